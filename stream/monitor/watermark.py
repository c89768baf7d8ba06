"""How far event time has come in a partition of the counts, whatever one record says. Pure.

    commits of one input partition ─► their clock ─┐
    commits of another             ─► their clock ─┴─► watermark: the slowest that is not idle

A record cannot hold messages from after it was published, and a jump ahead counts only once most of the
newest commits agree on it: so one record, or two in five, moves the watermark by half the allowed lateness
at most, which makes nothing late. One input partition that runs ahead moves nothing, since the slowest holds
it back; one that lags holds the others back by the allowed lateness at most, and one that is silent not at
all (watermark alignment and idleness in Apache Flink's words).

Who is silent is told by one clock for all, in the order in which commits lie in the partition (``Arrivals``):
annotators' own clocks differ, and beside one that is ahead all others would seem silent.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median_low
from typing import Any, Final

from stream.monitor.sizes import MOST_SOURCES

RECENT: Final = 5
"""Commits of an input partition that its clock is read from."""

IDLE_S: Final = 60.0
"""An input partition without a commit for this long, while others have some, holds nobody back."""

STEP_S: Final = IDLE_S / 2
"""So much of the time between two commits counts as silence of the others: after a night without any, or
beside a clock that is ahead, nobody seems silent who is heard of with the next few.
"""

FORGOTTEN_S: Final = 24 * 3600.0
"""And for this long, it is forgotten."""


@dataclass(frozen=True, slots=True)
class SourceClock:
    """The newest commits of one input partition, as (last offset, event time), and when they came, as
    ``Arrivals`` has it.
    """

    recent: tuple[tuple[int, int], ...] = ()
    heard_at: float = 0.0

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "SourceClock":
        return cls(tuple((offset, time) for offset, time in value["recent"]), value["heard_at"])

    def with_commit(
        self, last_offset: int, time: int, published_at: float | None, heard_at: float
    ) -> "SourceClock":
        """The clock after a commit. A commit makes a delta a channel: they count once, at the newest time."""
        if published_at is not None:
            time = min(time, int(published_at))
        same = [seen for offset, seen in self.recent if offset == last_offset]
        others = tuple(one for one in self.recent if one[0] != last_offset)
        recent = (*others, (last_offset, max([time, *same])))[-RECENT:]
        return SourceClock(recent, max(self.heard_at, heard_at))

    def time(self, slack_s: float) -> int:
        """Event time: of the newest commit that the middle of them bears out."""
        times = [time for _, time in self.recent]
        middle = median_low(times)
        return max(time for time in times if time <= middle + slack_s)

    @property
    def newest(self) -> int:
        return max(time for _, time in self.recent)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The one clock that silence is measured by: it goes on with the time at which most of the newest commits
    were published, whosever they are, and by ``STEP_S`` from one commit to the next at most.

    ``recent`` are the newest commits, as (input partition, last offset, published at); ``reached`` is the
    time that most of them had come to.
    """

    at: float = 0.0
    reached: float | None = None
    recent: tuple[tuple[str, int, float], ...] = ()

    @classmethod
    def going_on(cls, clocks: Mapping[str, SourceClock]) -> "Arrivals":
        """From where these were heard of last."""
        return cls(max((clock.heard_at for clock in clocks.values()), default=0.0))

    def with_commit(self, source: str, last_offset: int, published_at: float | None) -> "Arrivals":
        """After a delta. Those of one commit count once."""
        if published_at is None or (source, last_offset, published_at) in self.recent:
            return self
        recent = (*self.recent, (source, last_offset, published_at))[-RECENT:]
        most = median_low(published for *_, published in recent)
        reached = most if self.reached is None else max(most, self.reached)
        passed = 0.0 if self.reached is None else reached - self.reached
        return Arrivals(self.at + min(passed, STEP_S), reached, recent)


def watermark(clocks: Iterable[SourceClock], allowed_lateness_s: float) -> int:
    """The event time that all partitions have come to, but those that are idle or lag too far behind."""
    clocks = list(clocks)
    newest = max(clock.heard_at for clock in clocks)
    times = [clock.time(allowed_lateness_s / 2) for clock in clocks if newest - clock.heard_at <= IDLE_S]
    return max(min(times), int(median_low(times) - allowed_lateness_s))


def without_forgotten(clocks: Mapping[str, SourceClock]) -> dict[str, SourceClock]:
    """Those heard of within a day of the newest; of too many, those heard of last."""
    newest = max((clock.heard_at for clock in clocks.values()), default=0.0)
    heard = {name: clock for name, clock in clocks.items() if newest - clock.heard_at <= FORGOTTEN_S}
    if len(heard) > MOST_SOURCES:
        return dict(sorted(heard.items(), key=lambda one: -one[1].heard_at)[:MOST_SOURCES])
    return heard
