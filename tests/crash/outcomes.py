"""Holds what was published against what was sent: one outcome for every message, and counts that add up.

    sent = await send(settings, traffic, 1000)             what went in, with what must become of it
    await assert_exactly_once(settings, sent)              what a reader of committed data sees

Nothing here trusts the annotator: labels, causes and counts follow from what was sent.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from stream.deadletters import decode_dead_letter
from stream.errors import Cause
from stream.events import (
    ALL_CHANNELS,
    NO_CHANNEL,
    CountDelta,
    DeadLetter,
    DistressSignal,
    EmotionEvent,
    Source,
)
from stream.ids import delta_id, event_id
from stream.settings import Settings
from tests.records import Record, read_committed_all


class Place(NamedTuple):
    """Where a message lies in the input topic."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that was produced, and what must become of it.

    ``at_ms`` is the time it counts for. ``label``, ``message_id`` and ``has_author`` are those of a
    message that is to be labelled, ``cause`` that of a dead letter.
    """

    record: Record
    outcome: Literal["labelled", "dead_letter", "opted_out", "tombstone"]
    at_ms: int
    label: str | None = None
    channel: str | None = None
    message_id: str | None = None
    has_author: bool = False
    cause: Cause | None = None


@dataclass(frozen=True, slots=True)
class Returned:
    """A dead letter, and the original that came back with it."""

    letter: DeadLetter
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Published:
    """Everything that is committed in the output topics."""

    events: list[EmotionEvent]
    dead_letters: list[Returned]
    deltas: list[CountDelta]
    signals: list[DistressSignal]


async def read_published(settings: Settings) -> Published:
    """All committed outputs, each held against its type."""
    servers, topics = settings.bootstrap_servers or "", settings.topics
    returned = [
        Returned(decode_dead_letter(record.headers)[0], record.key, record.value)
        for record in await read_committed_all(servers, topics.dlq)
    ]
    return Published(
        events=[
            EmotionEvent.model_validate_json(record.value or b"")
            for record in await read_committed_all(servers, topics.emotions)
        ],
        dead_letters=returned,
        deltas=[
            CountDelta.model_validate_json(record.value or b"")
            for record in await read_committed_all(servers, topics.counts)
        ],
        signals=[
            DistressSignal.model_validate_json(record.value or b"")
            for record in await read_committed_all(servers, topics.signals)
        ],
    )


async def assert_exactly_once(settings: Settings, sent: Mapping[Place, Sent]) -> None:
    """Read what was published and hold it against what was sent.

    Raises:
        AssertionError: with the first problems, and how many there are.
    """
    _assert_none(problems(sent, await read_published(settings), count_window_s=settings.count_window_s))


async def assert_nothing_lost(settings: Settings, sent: Mapping[Place, Sent]) -> None:
    """What ``at_least_once`` promises: after dropping repeated ids, one right outcome for every message.

    Count deltas of a repeated commit may cover other ranges, so they are not looked at.

    Raises:
        AssertionError: with the first problems, and how many there are.
    """
    published = await read_published(settings)
    once = Published(
        events=list({event.id: event for event in published.events}.values()),
        dead_letters=list({returned.letter.id: returned for returned in published.dead_letters}.values()),
        signals=list({signal.id: signal for signal in published.signals}.values()),
        deltas=[],
    )
    _assert_none([*_wrong_outcomes(sent, once), *_wrong_signals(sent, once.signals)])


def _assert_none(found: list[str]) -> None:
    shown = "\n  ".join(found[:20])
    assert not found, f"{len(found)} problems:\n  {shown}"


def problems(sent: Mapping[Place, Sent], published: Published, *, count_window_s: int = 60) -> list[str]:
    """Every way in which the outcomes are not exactly one for each message; empty when all is well."""
    return [
        *_wrong_outcomes(sent, published),
        *_wrong_signals(sent, published.signals),
        *_wrong_ranges(sent, published.deltas),
        *_wrong_counts(sent, published, count_window_s * 1000),
    ]


def _wrong_outcomes(sent: Mapping[Place, Sent], published: Published) -> Iterable[str]:
    """One event or dead letter for each message that must have one, with what it must say."""
    events, letters = defaultdict(list), defaultdict(list)
    for event in published.events:
        events[_place(event.source)].append(event)
    for returned in published.dead_letters:
        letters[_place(returned.letter.source)].append(returned)
    for place, message in sent.items():
        wanted = (int(message.outcome == "labelled"), int(message.outcome == "dead_letter"))
        found = (len(events[place]), len(letters[place]))
        if found != wanted:
            yield (
                f"{_at(place)}: {found[0]} events and {found[1]} dead letters, "
                f"should be {wanted[0]} and {wanted[1]} ({message.outcome})"
            )
        for event in events[place]:
            yield from _wrong_event(place, message, event)
        for returned in letters[place]:
            yield from _wrong_letter(place, message, returned)
    for place in sorted((events.keys() | letters.keys()) - sent.keys()):
        yield f"{_at(place)}: an outcome for a message that was never sent"


def _wrong_event(place: Place, message: Sent, event: EmotionEvent) -> Iterable[str]:
    if event.id != event_id(event.source.topic, *place, event.source.epoch):
        yield f"{_at(place)}: the event's id is {event.id}"
    if (event.label, event.message_id) != (message.label, message.message_id):
        yield (
            f"{_at(place)}: labelled {event.label} for message {event.message_id}, "
            f"should be {message.label} for {message.message_id}"
        )


def _wrong_letter(place: Place, message: Sent, returned: Returned) -> Iterable[str]:
    if returned.letter.cause != message.cause:
        yield f"{_at(place)}: dead-lettered as {returned.letter.cause}, should be {message.cause}"
    if (returned.key, returned.value) != (message.record.key, message.record.value):
        yield f"{_at(place)}: the dead letter does not hold the original key and value"


def _wrong_signals(sent: Mapping[Place, Sent], signals: Iterable[DistressSignal]) -> Iterable[str]:
    """With ``signal_min_level`` none, every labelled message of a known author has one signal."""
    found = Counter(_place(signal.source) for signal in signals)
    wanted = Counter(
        place for place, message in sent.items() if message.outcome == "labelled" and message.has_author
    )
    for place in sorted(found.keys() | wanted.keys()):
        if found[place] != wanted[place]:
            yield f"{_at(place)}: {found[place]} signals, should be {wanted[place]}"


def _wrong_ranges(sent: Mapping[Place, Sent], deltas: Iterable[CountDelta]) -> Iterable[str]:
    """The ranges of the total cover every offset once; those of a channel are among them, each once."""
    totals: set[tuple[int, int, int]] = set()
    seen: set[str] = set()
    covered: Counter[Place] = Counter()
    for delta in deltas:
        source = delta.source
        place = (source.partition, source.first_offset, source.last_offset)
        if delta.id != delta_id(source.topic, *place, delta.channel, source.epoch):
            yield f"a delta of channel {delta.channel} over {_range(place)} has the id {delta.id}"
        if delta.id in seen:
            yield f"two deltas of channel {delta.channel} over {_range(place)}"
        seen.add(delta.id)
        if delta.channel == ALL_CHANNELS:
            totals.add(place)
            offsets = range(source.first_offset, source.last_offset + 1)
            covered.update(Place(source.partition, offset) for offset in offsets)
    for delta in deltas:
        place = (delta.source.partition, delta.source.first_offset, delta.source.last_offset)
        if place not in totals:
            yield f"channel {delta.channel} is counted over {_range(place)}, the total is not"
    for spot in sorted(covered.keys() | sent.keys()):
        if covered[spot] != 1:
            yield f"{_at(spot)}: covered by the ranges of {covered[spot]} total deltas, should be 1"


def _wrong_counts(sent: Mapping[Place, Sent], published: Published, window_ms: int) -> Iterable[str]:
    """The deltas add up to what a batch count over everything that was sent gives."""
    wanted = _batch_count(sent.values(), window_ms)
    found: Counter[tuple[str, int, str]] = Counter()
    confidences: dict[tuple[str, int], float] = defaultdict(float)
    for delta in published.deltas:
        for window in delta.windows:
            start_ms = round(window.start.timestamp() * 1000)
            counts = {
                **window.labels,
                "opted_out": window.opted_out,
                "dead_letter": window.dead_lettered,
                "tombstone": window.tombstones,
            }
            found.update({(delta.channel, start_ms, name): count for name, count in counts.items()})
            confidences[delta.channel, start_ms] += window.confidence_sum
    for cell in sorted(found.keys() | wanted.keys()):
        if found[cell] != wanted[cell]:
            channel, start_ms, name = cell
            yield (
                f"channel {channel}, window {start_ms}: {name} counted {found[cell]} times, "
                f"should be {wanted[cell]}"
            )
    yield from _wrong_confidences(published.events, confidences, window_ms)


def _batch_count(messages: Iterable[Sent], window_ms: int) -> Counter[tuple[str, int, str]]:
    """Messages by channel, window and label; what has no label counts for the total alone."""
    count: Counter[tuple[str, int, str]] = Counter()
    for message in messages:
        start_ms = message.at_ms - message.at_ms % window_ms
        if message.label is None:
            count[ALL_CHANNELS, start_ms, message.outcome] += 1
            continue
        for channel in (ALL_CHANNELS, counted_as(message.channel)):
            count[channel, start_ms, message.label] += 1
    return count


def _wrong_confidences(
    events: Iterable[EmotionEvent], found: Mapping[tuple[str, int], float], window_ms: int
) -> Iterable[str]:
    wanted: dict[tuple[str, int], float] = defaultdict(float)
    for event in events:
        at_ms = round(event.ts.timestamp() * 1000)
        for channel in (ALL_CHANNELS, counted_as(event.channel)):
            wanted[channel, at_ms - at_ms % window_ms] += event.confidence
    for cell in sorted(found.keys() | wanted.keys()):
        if abs(found.get(cell, 0.0) - wanted.get(cell, 0.0)) > 1e-3:
            yield (
                f"channel {cell[0]}, window {cell[1]}: confidences sum to {found.get(cell, 0.0):.4f}, "
                f"should be {wanted.get(cell, 0.0):.4f}"
            )


def counted_as(channel: str | None) -> str:
    """The channel whose count a message adds to; one that calls itself as the total has none."""
    return NO_CHANNEL if channel in (None, ALL_CHANNELS) else str(channel)


def _place(source: Source) -> Place:
    return Place(source.partition, source.offset)


def _at(place: Place) -> str:
    return f"partition {place.partition}, offset {place.offset}"


def _range(place: tuple[int, int, int]) -> str:
    return f"partition {place[0]}, offsets {place[1]} to {place[2]}"
