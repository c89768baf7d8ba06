"""The base windows of all channels of a partition of the counts, and what of them is to be written. Pure."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from stream.events import OffsetRange, WindowCounts
from stream.monitor.count_changes import WindowKey
from stream.monitor.fold import SourceRange, Tally, Window, fold, merged, sources, total
from stream.monitor.windows import is_expired, window_start


@dataclass(frozen=True, slots=True)
class WindowChanges:
    """Windows to store, and those to delete."""

    stored: dict[WindowKey, Window]
    deleted: list[WindowKey]


class BaseWindows:
    """Windows of ``base_s`` seconds. Those of ``stored`` that are shorter become parts of these.

    ``changed`` are those that are to be published and stored.
    """

    def __init__(self, base_s: int, stored: Mapping[WindowKey, Window]) -> None:
        self.changed: set[WindowKey] = set()
        self._base_s = base_s
        self._by_channel: defaultdict[str, dict[int, Window]] = defaultdict(dict)
        self._deleted: set[WindowKey] = set()
        for (channel, stored_s), window in stored.items():
            own, start_s = self._by_channel[channel], window_start(stored_s, base_s)
            own[start_s] = merged(own[start_s], window) if start_s in own else window
            if start_s != stored_s:
                self._deleted.add((channel, stored_s))
                self.changed.add((channel, start_s))

    @property
    def channels(self) -> list[str]:
        return sorted(self._by_channel)

    @property
    def starts(self) -> set[int]:
        """Starts of the windows of all channels."""
        return {start_s for windows in self._by_channel.values() for start_s in windows}

    def count(self, channel: str, moment_s: int, counts: WindowCounts, source: OffsetRange) -> None:
        """Count into the window that the moment lies in."""
        start_s = window_start(moment_s, self._base_s)
        windows = self._by_channel[channel]
        windows[start_s] = fold(windows.get(start_s) or Window(), counts, source)
        self.changed.add((channel, start_s))
        self._deleted.discard((channel, start_s))

    def tally(self, channel: str, start_s: int, length_s: int) -> Tally:
        """Counts of a channel in [start, start + length)."""
        return total(window.tally for window in self._within(channel, start_s, start_s + length_s))

    def sources(self, channel: str, start_s: int, end_s: int) -> tuple[SourceRange, ...]:
        """Where the messages behind that lie."""
        return sources(self._within(channel, start_s, end_s))

    def forget(self, author: str) -> None:
        """Delete those of channels in whose names the author stands."""
        for channel in [channel for channel in self._by_channel if author in channel]:
            gone = {(channel, start_s) for start_s in self._by_channel.pop(channel)}
            self.changed -= gone
            self._deleted |= gone

    def take_changes(self, watermark_s: int, open_s: float) -> WindowChanges:
        """What has changed since the last call, without those that expire now (``is_expired``)."""
        for channel, start_s in self._expired(watermark_s, open_s):
            del self._by_channel[channel][start_s]
            if not self._by_channel[channel]:
                del self._by_channel[channel]
            self._deleted.add((channel, start_s))
        stored = {
            (channel, start_s): self._by_channel[channel][start_s]
            for channel, start_s in self.changed - self._deleted
        }
        changes = WindowChanges(stored, list(self._deleted))
        self.changed, self._deleted = set(), set()
        return changes

    def _within(self, channel: str, start_s: int, end_s: int) -> list[Window]:
        windows = self._by_channel.get(channel, {})
        return [windows[start] for start in range(start_s, end_s, self._base_s) if start in windows]

    def _expired(self, watermark_s: int, open_s: float) -> list[WindowKey]:
        return [
            (channel, start_s)
            for channel, windows in self._by_channel.items()
            for start_s in windows
            if is_expired(start_s, open_s=open_s, watermark_s=watermark_s)
        ]
