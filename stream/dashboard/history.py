"""Windows of every channel, and which channels differ from their usual. Pure.

A fold of the counters' topic: of two records of a window the one that has seen more holds; several shards are
summed. A window is kept as a row of numbers, since thousands of channels have hundreds of them each. Windows
that have not begun yet are not shown: one clock that is ahead would empty the page of all others.

A monitor publishes up to three lengths of windows, but whoever writes to the topic can make up any number of
them. So few are kept, those heard of most, and of these the rare ones are not shown: the shortest length is
the one that the page begins with.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf, sqrt
from typing import Final, NamedTuple

from model.labels import LABELS
from stream.events import ALL_CHANNELS
from stream.monitor.channel_rules import stability_index
from stream.monitor.events import WindowCounter
from stream.monitor.fold import bound_shards, counted
from stream.monitor.windows import FIVE_MINUTES_S, HOUR_S, window_start

OTHER: Final = "unknown"
ORDER: Final = (*LABELS, OTHER)
"""The order of counts in a row; what is no label that we know is counted as unknown."""

LENGTHS: Final = 6
"""Lengths of windows that are kept: those of a monitor, and of one before with another ``count_window_s``."""
RARE: Final = 0.1
"""A length heard of less than this, as a part of the one heard of most, is not shown."""
LENGTHS_HEARD: Final = 10_000
"""After so many windows, those heard of before count half."""
_ALWAYS: Final = (FIVE_MINUTES_S, HOUR_S)
"""Every monitor has them where they are made of its base windows, of which there may be thousands to one."""

CHANNELS: Final = 5_000
TOTAL_WINDOWS: Final = 240
CHANNEL_WINDOWS: Final = 60
SHOWN_WINDOWS: Final = 120
SHARDED_WINDOWS: Final = 20_000
RECENT_S: Final = 300
"""What "now" means where a channel is held against its usual."""
ENOUGH_USUAL: Final = 30
ENOUGH_RECENT: Final = 10
DRIFT_MESSAGES: Final = 500
DRIFT_HOURS: Final = 24


class Row(NamedTuple):
    """One window of one shard: labelled messages, their counts in ``ORDER``, and the sum of their confidence.

    ``unknown`` are messages in languages that the weights were not measured in.
    """

    messages: int
    counts: tuple[int, ...]
    confidence: float
    unknown: int
    shard: int | None


EMPTY: Final = Row(0, (0,) * len(ORDER), 0.0, 0, None)


@dataclass(frozen=True, slots=True)
class Change:
    """How a channel's last minutes differ from its usual.

    ``deviations`` says how far the count of ``label`` lies from what the channel's own mix makes expected, in
    standard deviations on the variance-stabilised scale (Anscombe, 1948); None where too little is known.
    """

    channel: str
    messages: int
    label: str | None
    share: float
    usual: float
    deviations: float | None


def row_of(counter: WindowCounter) -> Row:
    """A window's row."""
    counts = [counter.labels.get(label, 0) for label in LABELS]
    other = counted(*(count for label, count in counter.labels.items() if label not in LABELS))
    confidence = (counter.mean_confidence or 0.0) * counter.messages
    return Row(counter.messages, (*counts, other), confidence, counter.unknown, counter.shard)


def sum_of(shards: Mapping[int | None, Row]) -> Row:
    """A window over its shards. One without a shard, of version 0.1, went on as one with it."""
    rows = [row for shard, row in shards.items() if shard is not None] or list(shards.values())
    counts = tuple(counted(*column) for column in zip(*(row.counts for row in rows), strict=True))
    confidence = sum(row.confidence for row in rows)
    messages, unknown = counted(*(row.messages for row in rows)), counted(*(row.unknown for row in rows))
    return Row(messages, counts, confidence, unknown, None)


class History:
    """The fold of the counters' topic. ``dropped`` counts channels that had to go for newer ones."""

    def __init__(self) -> None:
        self.dropped = 0
        self._heard: Counter[int] = Counter()
        self._channels_of: dict[int, set[str]] = {}
        self._channels: OrderedDict[str, dict[int, dict[int, Row]]] = OrderedDict()
        self._published_at: dict[str, float] = {}
        self._shards: OrderedDict[tuple[str, int, int], dict[int | None, Row]] = OrderedDict()
        self._changes: dict[str, Change | None] = {}
        self._changes_until: dict[int, int | None] = {}

    def take(self, counter: WindowCounter, published_at: float = inf) -> None:
        """Fold one window in. ``published_at`` is the record's time stamp, in seconds."""
        row = row_of(counter)
        self._hear_of(counter.window_s)
        channel, start = counter.channel, window_start(counter.start.timestamp(), counter.window_s)
        if channel not in self._channels:
            self._make_room()
        self._channels.setdefault(channel, {})
        self._channels.move_to_end(channel)
        self._published_at[channel] = published_at
        self._changes.pop(channel, None)
        self._channels_of[counter.window_s].add(channel)
        windows = self._channels[channel].setdefault(counter.window_s, {})
        windows[start] = self._window((channel, counter.window_s, start), windows.get(start), row)
        most = TOTAL_WINDOWS if channel == ALL_CHANNELS else CHANNEL_WINDOWS
        while len(windows) > most:
            del windows[min(windows)]

    def prune(self, before: float) -> None:
        """Drop channels of which nothing was published since a time in seconds."""
        for channel in [name for name, at in self._published_at.items() if at < before]:
            self._drop(channel)

    @property
    def lengths(self) -> list[int]:
        """Lengths of windows that are shown, in seconds, the shortest first."""
        least = RARE * max(self._heard.values(), default=0)
        return sorted(length for length, heard in self._heard.items() if length in _ALWAYS or heard > least)

    def windows(self, channel: str, window_s: int, now: float) -> list[tuple[int, Row]]:
        """The newest windows of a channel, the oldest first, with empty ones between them."""
        rows = self._channels.get(channel, {}).get(window_s, {})
        newest = self._newest(window_s, now)
        if newest is None or not rows:
            return []
        first = max(min(rows), newest - (SHOWN_WINDOWS - 1) * window_s)
        return [(start, rows.get(start, EMPTY)) for start in range(first, newest + 1, window_s)]

    def names(self, containing: str = "", most: int = 50) -> tuple[list[str], int]:
        """Channels whose name contains a text, those active last first; and how many there are."""
        wanted = containing.casefold()
        found = [
            name
            for name in reversed(self._channels)
            if name != ALL_CHANNELS and (not wanted or wanted in name.casefold())
        ]
        return found[:most], len(found)

    def changes(self, most: int, now: float) -> list[Change]:
        """The channels that differ most from their usual; behind them, those with the most messages."""
        newest = {length: self._newest(length, now) for length in self.lengths}
        if newest != self._changes_until:  # what was of the last minutes no longer is
            self._changes.clear()
            self._changes_until = newest
        for channel in self._channels:
            if channel != ALL_CHANNELS and channel not in self._changes:
                self._changes[channel] = self._change(channel, newest, now)
        known = [change for change in self._changes.values() if change is not None]
        known.sort(key=lambda one: (-abs(one.deviations or 0.0), -one.messages, one.channel))
        return known[:most]

    def drift(self, now: float) -> float | None:
        """Stability index of the last hour's labels against the day before; None where too few are known."""
        found = self._channels.get(ALL_CHANNELS, {}).get(HOUR_S, {})
        hours = sorted((start, row) for start, row in found.items() if start <= now)
        if not hours or hours[-1][1].messages < DRIFT_MESSAGES:
            hours = hours[:-1]
        if not hours:
            return None
        last, before = hours[-1][1], [row for _, row in hours[-1 - DRIFT_HOURS : -1]]
        if min(last.messages, sum(row.messages for row in before)) < DRIFT_MESSAGES:
            return None
        return stability_index(_by_label([last]), _by_label(before))

    def _window(self, key: tuple[str, int, int], known: Row | None, row: Row) -> Row:
        """A window with one more record in it. Where partitions were added, several shards make it up."""
        shards = self._shards.get(key)
        if shards is None:
            if known is None or known.shard == row.shard:
                return row if known is None or known.messages <= row.messages else known
            shards = self._shards[key] = {known.shard: known}
            if len(self._shards) > SHARDED_WINDOWS:
                self._shards.popitem(last=False)
        last = shards.get(row.shard)
        if last is None or last.messages <= row.messages:
            shards[row.shard] = row
        bound_shards(shards)
        return sum_of(shards)

    def _newest(self, window_s: int, now: float) -> int | None:
        """When the newest window of this length began, of all that have begun."""
        total = self._channels.get(ALL_CHANNELS, {}).get(window_s)
        starts = total or (start for one in self._channels.values() for start in one.get(window_s, ()))
        return max((start for start in starts if start <= now), default=None)

    def _hear_of(self, length: int) -> None:
        """Count a window of this length; of too many, the length heard of least goes with its windows."""
        if length not in self._heard and len(self._heard) >= LENGTHS:
            rarest = min(self._heard.keys() - _ALWAYS, key=lambda known: self._heard[known])
            del self._heard[rarest]
            for channel in self._channels_of.pop(rarest):
                self._forget_length(channel, rarest)
        self._heard[length] += 1
        self._channels_of.setdefault(length, set())
        if self._heard.total() > LENGTHS_HEARD:
            self._heard = Counter({known: heard // 2 for known, heard in self._heard.items()})

    def _forget_length(self, channel: str, length: int) -> None:
        del self._channels[channel][length]
        self._changes.pop(channel, None)
        if not self._channels[channel]:
            self._drop(channel)

    def _make_room(self) -> None:
        while len(self._channels) >= CHANNELS:
            oldest = next(name for name in self._channels if name != ALL_CHANNELS)
            self._drop(oldest)
            self.dropped += 1

    def _drop(self, channel: str) -> None:
        for length in self._channels.pop(channel):
            self._channels_of[length].discard(channel)
        self._published_at.pop(channel, None)
        self._changes.pop(channel, None)

    def _change(self, channel: str, newest: Mapping[int, int | None], now: float) -> Change | None:
        lengths = self._channels[channel]
        base_s = min((length for length in lengths if length in newest), default=None)
        until = None if base_s is None else newest[base_s]
        if base_s is None or until is None:
            return None
        since = until + base_s - max(RECENT_S, base_s)
        rows = lengths[base_s].items()
        recent = [row for start, row in rows if since <= start <= now]
        usual = [row for start, row in rows if start < since]
        messages, known = sum(row.messages for row in recent), sum(row.messages for row in usual)
        if not messages:
            return None
        if messages < ENOUGH_RECENT or known < ENOUGH_USUAL:
            return Change(channel, messages, None, 0.0, 0.0, None)
        lately, before = _by_label(recent), _by_label(usual)
        deviations = {
            label: 2 * (sqrt(lately[label] + 0.375) - sqrt(before[label] / known * messages + 0.375))
            for label in ORDER
        }
        label = max(ORDER, key=lambda name: abs(deviations[name]))
        share, often = lately[label] / messages, before[label] / known
        return Change(channel, messages, label, share, often, deviations[label])


def _by_label(rows: Iterable[Row]) -> dict[str, int]:
    sums = [0] * len(ORDER)
    for row in rows:
        for place, count in enumerate(row.counts):
            sums[place] += count
    return dict(zip(ORDER, sums, strict=True))
