"""Windows of every channel, and which channels differ from their usual. Pure.

A fold of the counters' topic: of two records of a window the one that has seen more holds. A window is kept
as a row of numbers, since thousands of channels have hundreds of them each.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt
from typing import Final, NamedTuple

from model.labels import LABELS
from stream.events import ALL_CHANNELS
from stream.monitor.channel_rules import stability_index
from stream.monitor.events import WindowCounter
from stream.monitor.windows import HOUR_S

OTHER: Final = "unknown"
ORDER: Final = (*LABELS, OTHER)
"""The order of counts in a row; what is no label that we know is counted as unknown."""

CHANNELS: Final = 5_000
TOTAL_WINDOWS: Final = 240
CHANNEL_WINDOWS: Final = 60
SHOWN_WINDOWS: Final = 120
RECENT_S: Final = 300
"""What "now" means where a channel is held against its usual."""
ENOUGH_USUAL: Final = 30
ENOUGH_RECENT: Final = 10
DRIFT_MESSAGES: Final = 500
DRIFT_HOURS: Final = 24


class Row(NamedTuple):
    """One window: messages, counts in ``ORDER``, sum of confidence, and what was not labelled."""

    messages: int
    counts: tuple[int, ...]
    confidence: float
    opted_out: int
    dead_lettered: int


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
    other = sum(count for label, count in counter.labels.items() if label not in LABELS)
    confidence = (counter.mean_confidence or 0.0) * counter.messages
    return Row(counter.messages, (*counts, other), confidence, counter.opted_out, counter.dead_lettered)


class History:
    """The fold of the counters' topic. ``dropped`` counts channels that had to go for newer ones."""

    def __init__(self) -> None:
        self.version = 0
        self.dropped = 0
        self.lengths: set[int] = set()
        self._channels: OrderedDict[str, dict[int, dict[int, Row]]] = OrderedDict()
        self._changes: dict[str, Change | None] = {}

    def take(self, counter: WindowCounter) -> None:
        """Fold one window in."""
        self.version += 1
        self.lengths.add(counter.window_s)
        channel, start = counter.channel, int(counter.start.timestamp())
        if channel not in self._channels:
            self._make_room()
        self._channels.setdefault(channel, {})
        self._channels.move_to_end(channel)
        self._changes.pop(channel, None)
        windows = self._channels[channel].setdefault(counter.window_s, {})
        known = windows.get(start)
        if known is None or known.messages <= counter.messages:
            windows[start] = row_of(counter)
        most = TOTAL_WINDOWS if channel == ALL_CHANNELS else CHANNEL_WINDOWS
        while len(windows) > most:
            del windows[min(windows)]

    def windows(self, channel: str, window_s: int) -> list[tuple[int, Row]]:
        """The newest windows of a channel, the oldest first, with empty ones between them."""
        rows = self._channels.get(channel, {}).get(window_s, {})
        newest = max(self._starts(window_s), default=None)
        if newest is None or not rows:
            return []
        first = max(min(rows), newest - (SHOWN_WINDOWS - 1) * window_s)
        empty = Row(0, (0,) * len(ORDER), 0.0, 0, 0)
        return [(start, rows.get(start, empty)) for start in range(first, newest + 1, window_s)]

    def names(self, containing: str = "", most: int = 50) -> tuple[list[str], int]:
        """Channels whose name contains a text, those active last first; and how many there are."""
        wanted = containing.casefold()
        found = [
            name
            for name in reversed(self._channels)
            if name != ALL_CHANNELS and (not wanted or wanted in name.casefold())
        ]
        return found[:most], len(found)

    def changes(self, most: int) -> list[Change]:
        """The channels that differ most from their usual; behind them, those with the most messages."""
        for channel in self._channels:
            if channel != ALL_CHANNELS and channel not in self._changes:
                self._changes[channel] = self._change(channel)
        known = [change for change in self._changes.values() if change is not None]
        known.sort(key=lambda one: (-abs(one.deviations or 0.0), -one.messages, one.channel))
        return known[:most]

    def drift(self) -> float | None:
        """Stability index of the last hour's labels against the day before; None where too few are known."""
        hours = sorted(self._channels.get(ALL_CHANNELS, {}).get(HOUR_S, {}).items())
        if not hours or hours[-1][1].messages < DRIFT_MESSAGES:
            hours = hours[:-1]
        if not hours:
            return None
        now, before = hours[-1][1], [row for _, row in hours[-1 - DRIFT_HOURS : -1]]
        if min(now.messages, sum(row.messages for row in before)) < DRIFT_MESSAGES:
            return None
        return stability_index(_by_label([now]), _by_label(before))

    def _starts(self, window_s: int) -> Iterable[int]:
        total = self._channels.get(ALL_CHANNELS, {}).get(window_s)
        if total:
            return total
        return [start for one in self._channels.values() for start in one.get(window_s, ())]

    def _make_room(self) -> None:
        while len(self._channels) >= CHANNELS:
            oldest = next(name for name in self._channels if name != ALL_CHANNELS)
            del self._channels[oldest]
            self._changes.pop(oldest, None)
            self.dropped += 1

    def _change(self, channel: str) -> Change | None:
        lengths = self._channels[channel]
        base_s = min(lengths)
        starts = self._channels.get(ALL_CHANNELS, {}).get(base_s) or lengths[base_s]
        since = max(starts) + base_s - max(RECENT_S, base_s)
        rows = lengths[base_s].items()
        recent = [row for start, row in rows if start >= since]
        usual = [row for start, row in rows if start < since]
        messages, known = sum(row.messages for row in recent), sum(row.messages for row in usual)
        if not messages:
            return None
        if messages < ENOUGH_RECENT or known < ENOUGH_USUAL:
            return Change(channel, messages, None, 0.0, 0.0, None)
        now, before = _by_label(recent), _by_label(usual)
        deviations = {
            label: 2 * (sqrt(now[label] + 0.375) - sqrt(before[label] / known * messages + 0.375))
            for label in ORDER
        }
        label = max(ORDER, key=lambda name: abs(deviations[name]))
        share, often = now[label] / messages, before[label] / known
        return Change(channel, messages, label, share, often, deviations[label])


def _by_label(rows: Iterable[Row]) -> dict[str, int]:
    sums = [0] * len(ORDER)
    for row in rows:
        for place, count in enumerate(row.counts):
            sums[place] += count
    return dict(zip(ORDER, sums, strict=True))
