"""Count deltas into windows, each delta once. Pure.

A delta says which messages it counts: an input partition and its first and last offset. A window keeps,
beside its counts, the last offset applied of each input partition; a delta that ends at or before it has
been counted already and changes nothing. So the counts are exact on a stream that repeats itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from model.labels import LABELS
from stream.cloudevents import utc
from stream.events import MOST_COUNTED, UNKNOWN, OffsetRange, Source, WindowCounts
from stream.monitor.events import WindowCounter
from stream.monitor.sizes import LABEL_CHARS, MOST_LABELS, MOST_RANGES, MOST_SOURCES

SourceRange = tuple[str, int, int]
"""(input partition as ``input_partition`` names it, first offset, last offset)"""

MOST_SHARDS: Final = 8
"""Shards of a published window that are kept: it has another one each time that partitions are added to the
counts while it is open, and foreign records can make up any number of them."""


def counted(*counts: int) -> int:
    """Their sum, or the most that a count can say: each of them is valid, and what follows must be, too."""
    return min(sum(counts), MOST_COUNTED)


@dataclass(frozen=True, slots=True)
class Tally:
    """What happened in a span of event time."""

    labels: dict[str, int] = field(default_factory=dict)
    confidence_sum: float = 0.0
    unknown: int = 0
    opted_out: int = 0
    dead_lettered: int = 0
    tombstones: int = 0

    @property
    def messages(self) -> int:
        """Labelled messages."""
        return counted(*self.labels.values())

    @property
    def mean_confidence(self) -> float | None:
        """Mean confidence of the labels; None where nothing was labelled."""
        messages = self.messages
        return min(self.confidence_sum / messages, 1.0) if messages else None

    def plus(self, other: "Tally | WindowCounts") -> "Tally":
        labels = dict(self.labels)
        for label, count in other.labels.items():
            known = (
                label in labels
                or label in LABELS
                or (len(labels) < MOST_LABELS and len(label) <= LABEL_CHARS)
            )
            name = label if known else UNKNOWN
            labels[name] = counted(labels.get(name, 0), count)
        return Tally(
            labels=labels,
            confidence_sum=min(self.confidence_sum + other.confidence_sum, float(MOST_COUNTED)),
            unknown=counted(self.unknown, other.unknown),
            opted_out=counted(self.opted_out, other.opted_out),
            dead_lettered=counted(self.dead_lettered, other.dead_lettered),
            tombstones=counted(self.tombstones, other.tombstones),
        )


@dataclass(frozen=True, slots=True)
class Window:
    """A base window of one channel: its counts and, by input partition, the offsets of both ends."""

    tally: Tally = field(default_factory=Tally)
    applied: dict[str, int] = field(default_factory=dict)
    first: dict[str, int] = field(default_factory=dict)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Window":
        return cls(Tally(**value["tally"]), value["applied"], value["first"])


def input_partition(source: OffsetRange | Source) -> str:
    """Name of the partition that messages lie in: ``TOPIC-PARTITION``, and ``@EPOCH`` where it is known.

    A topic that was deleted and made anew begins again at offset 0, under another epoch: offsets of the old
    one say nothing of it.
    """
    name = f"{source.topic}-{source.partition}"
    return f"{name}@{source.epoch}" if source.epoch else name


def offset_range(source: SourceRange) -> OffsetRange:
    """A range of messages, taken apart again. A topic's name holds no ``@``."""
    name, first, last = source
    place, _, epoch = name.partition("@")
    topic, _, partition = place.rpartition("-")
    return OffsetRange(
        topic=topic, partition=int(partition), first_offset=first, last_offset=last, epoch=epoch or None
    )


def fold(window: Window, counts: WindowCounts, source: OffsetRange) -> Window:
    """The window with a delta's counts in it: the same object where they are in it already.

    Beyond ``MOST_SOURCES`` input partitions it is not remembered that they are.
    """
    name = input_partition(source)
    if window.applied.get(name, -1) >= source.last_offset:
        return window
    if name not in window.applied and len(window.applied) >= MOST_SOURCES:
        return replace(window, tally=window.tally.plus(counts))
    return replace(
        window,
        tally=window.tally.plus(counts),
        applied={**window.applied, name: source.last_offset},
        first={name: source.first_offset} | window.first,
    )


def merged(one: Window, other: Window) -> Window:
    """What two windows hold, as one."""
    names = list({**one.applied, **other.applied})[:MOST_SOURCES]
    return Window(
        one.tally.plus(other.tally),
        {
            name: max(window.applied[name] for window in (one, other) if name in window.applied)
            for name in names
        },
        {name: min(window.first[name] for window in (one, other) if name in window.first) for name in names},
    )


def total(tallies: Iterable[Tally]) -> Tally:
    """The sum of tallies: of the base windows within a longer one."""
    result = Tally()
    for tally in tallies:
        result = result.plus(tally)
    return result


def sources(windows: Iterable[Window]) -> tuple[SourceRange, ...]:
    """Where the messages of windows lie, by input partition: of ``MOST_RANGES`` of these."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for window in windows:
        for name, offset in window.first.items():
            first[name] = min(offset, first.get(name, offset))
        for name, offset in window.applied.items():
            last[name] = max(offset, last.get(name, offset))
    return tuple((name, first[name], last[name]) for name in sorted(last)[:MOST_RANGES])


def bound_shards(shards: dict[int | None, Any]) -> None:
    """Drop a published window's shards beyond ``MOST_SHARDS``, the highest numbers first.

    Partitions count from 0, so that the highest numbers are the doubtful ones; and what stays is the same in
    whatever order the records come.
    """
    while len(shards) > MOST_SHARDS:
        del shards[max(shards, key=lambda shard: -1 if shard is None else shard)]


def counter_record(
    channel: str, start_s: int, length_s: int, tally: Tally, *, shard: int | None = None
) -> WindowCounter:
    """A window as it is published."""
    return WindowCounter(
        channel=channel,
        window_s=length_s,
        start=utc(start_s * 1000),
        end=utc((start_s + length_s) * 1000),
        messages=tally.messages,
        labels=tally.labels,
        mean_confidence=tally.mean_confidence,
        unknown=tally.unknown,
        opted_out=tally.opted_out,
        dead_lettered=tally.dead_lettered,
        tombstones=tally.tombstones,
        shard=shard,
    )
