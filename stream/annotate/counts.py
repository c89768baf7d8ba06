"""What a commit adds to the counts, by channel and window of event time. Pure."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from model.contract import Emotion
from stream.annotate.ledger import Silent, Unread
from stream.cloudevents import utc
from stream.errors import MessageError
from stream.events import ALL_CHANNELS, NO_CHANNEL

_DELTA_BYTES: Final = 1536
"""Room for all that a count delta of one window holds beside the name of its channel."""


@dataclass(slots=True)
class _Cell:
    """Counts of one channel in one window."""

    labels: dict[str, int] = field(default_factory=dict)
    confidence_sum: float = 0.0
    unknown: int = 0
    opted_out: int = 0
    dead_lettered: int = 0
    tombstones: int = 0

    def add_cell(self, other: "_Cell") -> None:
        for label, count in other.labels.items():
            self.labels[label] = self.labels.get(label, 0) + count
        self.confidence_sum += other.confidence_sum
        self.unknown += other.unknown
        self.opted_out += other.opted_out
        self.dead_lettered += other.dead_lettered
        self.tombstones += other.tombstones

    def as_json(self, start_ms: int) -> dict[str, Any]:
        return {
            "start": utc(start_ms),
            "labels": self.labels,
            "confidence_sum": round(self.confidence_sum, 6),
            "unknown": self.unknown,
            "opted_out": self.opted_out,
            "dead_lettered": self.dead_lettered,
            "tombstones": self.tombstones,
        }


class Counts:
    """Counts of the messages of one commit, in windows of ``window_ms``."""

    def __init__(self, window_ms: int) -> None:
        self._window_ms = window_ms
        self._channels: dict[tuple[str, int], _Cell] = defaultdict(_Cell)
        self._no_channel: dict[int, _Cell] = defaultdict(_Cell)

    def add(self, channel: str | None, event_ms: int, outcome: Emotion | Unread) -> None:
        """Count a message that is published."""
        cell = self._channels[counted_as(channel), event_ms - event_ms % self._window_ms]
        if isinstance(outcome, Emotion):
            label = outcome.label
            cell.labels[label] = cell.labels.get(label, 0) + 1
            cell.confidence_sum += outcome.confidence
        else:
            cell.unknown += 1

    def add_unpublished(self, event_ms: int, outcome: MessageError | Silent) -> None:
        """Count a message that no event says anything of: whom it belongs to is not known, or not to be
        said, so only the total has it.
        """
        cell = self._no_channel[event_ms - event_ms % self._window_ms]
        if isinstance(outcome, MessageError):
            cell.dead_lettered += 1
        elif outcome is Silent.OPTED_OUT:
            cell.opted_out += 1
        else:
            cell.tombstones += 1

    def by_channel(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """The windows of each channel and of the total, as a count delta has them."""
        totals: dict[int, _Cell] = defaultdict(_Cell)
        for start_ms, cell in self._no_channel.items():
            totals[start_ms].add_cell(cell)
        for (_, start_ms), cell in self._channels.items():
            totals[start_ms].add_cell(cell)
        cells = self._channels | {(ALL_CHANNELS, start_ms): cell for start_ms, cell in totals.items()}
        windows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for (channel, start_ms), cell in sorted(cells.items()):
            windows[channel].append(cell.as_json(start_ms))
        yield from windows.items()


def counted_as(channel: str | None) -> str:
    """The channel's name in the counts; a message may not count itself into the total."""
    return NO_CHANNEL if channel is None or channel == ALL_CHANNELS else channel


def most_delta_bytes(channel: str | None) -> int:
    """Most that the count of one message can have: its channel stands in key, header, id and value, where a
    character has six bytes at most.
    """
    return 4 * 6 * len(counted_as(channel)) + _DELTA_BYTES
