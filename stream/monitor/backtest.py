"""Alert rules on recorded events: the same code as in the live monitor, with the events' own time as clock.

    events ─► signal ─► SignalPartition ─┐
          └─► delta ──► CountPartition ──┴─► alerts

Events are labelled events or distress signals, as ``emotion-stream tail emotions`` or ``tail signals`` prints
them. Only signals name phrase lists, so phrase rules need those.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from stream.cloudevents import utc
from stream.errors import InputFileError
from stream.events import (
    ALL_CHANNELS,
    NO_CHANNEL,
    UNKNOWN,
    CountDelta,
    DistressSignal,
    OffsetRange,
    Source,
    WindowCounts,
)
from stream.ids import delta_id
from stream.monitor.board import Precision
from stream.monitor.counting import CountPartition, CountPolicy
from stream.monitor.events import Alert, Review
from stream.monitor.rules import RuleSet
from stream.monitor.signalling import SignalPartition, subject_name
from stream.monitor.windows import HOUR_S, window_start

_TOPIC: Final = "backtest"
_RELEASE_EVERY: Final = 1000
_TICK_S: Final = 2.0
"""How late the monitor may see that an alert has expired."""
_SHARD: Final = re.compile(r"(?<=:)~[0-9]+~")


@dataclass(frozen=True, slots=True)
class Backtest:
    """What a set of rules would have done. ``alerts`` holds each alert's first record."""

    alerts: tuple[Alert, ...]
    messages: int
    authors: int
    span: timedelta

    @property
    def alerts_a_day(self) -> float:
        days = self.span.total_seconds() / 86_400
        return len(self.alerts) / days if days else float(len(self.alerts))

    @property
    def authors_alerted_per_thousand(self) -> float:
        """Authors with an alert, of a thousand authors."""
        alerted = {alert.author for alert in self.alerts if alert.author is not None}
        return 1000 * len(alerted) / self.authors if self.authors else 0.0

    def precision(self, reviews: Iterable[Review]) -> Precision:
        """Over those alerts that people have judged: an alert is recognised by its id, whatever partition of
        the signals that names.
        """
        verdicts = {
            _without_shard(review.alert_id): review.verdict
            for review in reviews
            if review.verdict != "acknowledged"
        }
        known = (_without_shard(alert.id) for alert in self.alerts)
        judged = [verdicts[name] for name in known if name in verdicts]
        return Precision(judged.count("confirmed"), len(judged))


def replay(rules: RuleSet, events: Iterable[DistressSignal], policy: CountPolicy) -> Backtest:
    """Apply the rules to events in their order; an event that comes again (same id) is passed over."""
    counts = _Counts(rules, policy)
    signals = _Signals(rules)
    alerts: list[Alert] = []
    seen: set[str] = set()
    authors: set[str] = set()
    first: datetime | None = None
    last: datetime | None = None
    for event in events:
        if event.id in seen:
            continue
        offset = len(seen)
        seen.add(event.id)
        authors.update({event.author} if event.author else ())
        first, last = min(first or event.ts, event.ts), max(last or event.ts, event.ts)
        told = [*counts.take(event, offset), *signals.take(event, offset)]
        alerts += (alert for alert in told if alert.revision == 1)
    alerts += (alert for alert in counts.end() if alert.revision == 1)
    span = last - first if first and last else timedelta()
    return Backtest(tuple(alerts), messages=len(seen), authors=len(authors), span=span)


class _Signals:
    """The authors, each with their own time: what one of them says or leaves unsaid is nothing to another."""

    def __init__(self, rules: RuleSet) -> None:
        self._partition = SignalPartition(0, rules, lambda _: None, max_authors=2**62)
        self._firing: dict[str, dict[str, Alert]] = {}

    def take(self, event: DistressSignal, offset: int) -> Iterator[Alert]:
        """The alerts that follow from a message, after those that have expired before it."""
        if offset % _RELEASE_EVERY == 0:
            self._partition.take_changes()
        if event.label == UNKNOWN and not event.phrases:
            return
        name = subject_name(event.author, event.conversation, event.channel, 0)
        for alert in list(self._firing.get(name, {}).values()):
            expires_at = self._partition.expires_at(alert)
            if expires_at is not None and expires_at <= event.ts.timestamp():
                at = min(expires_at + _TICK_S, event.ts.timestamp())
                yield from self._told(name, self._partition.tick([alert], at))
        source = Source(topic=_TOPIC, partition=0, offset=offset)
        signal = event.model_copy(update={"source": source})
        yield from self._told(name, self._partition.apply(signal, offset))

    def _told(self, name: str, alerts: list[Alert]) -> list[Alert]:
        firing = self._firing.setdefault(name, {}) if alerts else {}
        _keep_firing(firing, alerts)
        if alerts and not firing:
            del self._firing[name]
        return alerts


class _Counts:
    """The channels, with the time of the newest event as that of all."""

    def __init__(self, rules: RuleSet, policy: CountPolicy) -> None:
        self._partition = CountPartition(0, rules, policy)
        self._policy = policy
        self._now: float | None = None
        self._firing: dict[str, Alert] = {}

    def take(self, event: DistressSignal, offset: int) -> Iterator[Alert]:
        """The alerts that follow from a message, after those of the silence before it."""
        ts = event.ts.timestamp()
        if self._now is not None:
            yield from self._silence(self._now, ts)
        self._now = max(ts, self._now or ts)
        for number, channel in enumerate((event.channel or NO_CHANNEL, ALL_CHANNELS)):
            delta = _delta(event, channel, offset, self._policy.base_s)
            yield from self._told(self._partition.apply(delta, 2 * offset + number))
        if offset % _RELEASE_EVERY == 0:
            self._partition.take_changes()

    def end(self) -> list[Alert]:
        """The alerts of the windows that the last events lie in."""
        if self._now is None:
            return []
        return self._partition.tick(self._now + self._policy.judge_delay_s + HOUR_S)

    def _silence(self, since: float, until: float) -> Iterator[Alert]:
        """Windows end though nothing comes any more, and after them the alerts that fire."""
        at = since + self._policy.base_s + self._policy.judge_delay_s
        while at < until:
            yield from self._told(self._partition.tick(at))
            if not self._firing:
                return
            at += self._policy.base_s

    def _told(self, alerts: list[Alert]) -> list[Alert]:
        _keep_firing(self._firing, alerts)
        return alerts


def _keep_firing(firing: dict[str, Alert], told: Iterable[Alert]) -> None:
    for alert in told:
        firing[alert.id] = alert
        if alert.status == "resolved":
            del firing[alert.id]


def _without_shard(alert_id: str) -> str:
    """An alert's id without the partition that it names where it is about no author (``subject_name``)."""
    return _SHARD.sub("~", alert_id, count=1)


def read_events(path: Path) -> Iterator[DistressSignal]:
    """Events of a file of JSON lines, in its order.

    Raises:
        InputFileError: the file cannot be read, or a line is no labelled event or signal.
    """
    for line, where in _lines(path):
        yield event_of(line, where)


def read_reviews(path: Path) -> Iterator[Review]:
    """Reviews of a file of JSON lines, in its order.

    Raises:
        InputFileError: the file cannot be read, or a line is no review.
    """
    for line, where in _lines(path):
        try:
            yield Review.model_validate_json(line)
        except ValidationError as error:
            raise InputFileError(
                f"{where} is no review ({_wrong_field(error)} is missing or wrong): "
                "record them with emotion-stream tail reviews --json"
            ) from None


def _lines(path: Path) -> Iterator[tuple[bytes, str]]:
    """Each line that is not empty, and where it stands."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield line, f"{path}, line {number}"
    except OSError as error:
        raise InputFileError(f"{path}: {error.strerror}: name a readable file") from error


def event_of(value: bytes, where: str) -> DistressSignal:
    """A labelled event or signal, as what the rules read of it.

    Raises:
        InputFileError: it is neither.
    """
    try:
        return DistressSignal.model_validate_json(value)
    except ValidationError as error:
        raise InputFileError(
            f"{where} is no labelled event ({_wrong_field(error)} is missing or wrong): "
            "record them with emotion-stream tail emotions --json"
        ) from None


def _wrong_field(error: ValidationError) -> str:
    return ".".join(map(str, error.errors(include_input=False)[0]["loc"])) or "the line"


def _delta(event: DistressSignal, channel: str, offset: int, base_s: int) -> CountDelta:
    """The event as a count delta of its own."""
    unknown = event.label == UNKNOWN
    counts = WindowCounts(
        start=utc(window_start(event.ts.timestamp(), base_s) * 1000),
        labels={} if unknown else {event.label: 1},
        confidence_sum=event.confidence,
        unknown=int(unknown),
    )
    return CountDelta(
        id=delta_id(_TOPIC, 0, offset, offset, channel),
        channel=channel,
        source=OffsetRange(topic=_TOPIC, partition=0, first_offset=offset, last_offset=offset),
        windows=(counts,),
        model=event.model,
    )
