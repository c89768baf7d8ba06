"""The verdict itself: it accepts what is right, and finds each way of being wrong."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import pytest

from stream.events import ALL_CHANNELS, CountDelta, DeadLetter, DistressSignal, EmotionEvent, Source
from stream.ids import delta_id, event_id
from tests.crash.outcomes import Place, Published, Returned, Sent, counted_as, problems
from tests.crash.traffic import Traffic

TOPIC = "messages"
SEED = 7
NOW = datetime(2026, 7, 31, 12, 0, tzinfo=UTC)
MODEL = {"name": "fake", "revision": "0"}
DISTRESS = {"score": 0.0, "level": "none"}
CONFIDENCE = 0.5


@pytest.fixture
def sent() -> dict[Place, Sent]:
    messages = Traffic(SEED, NOW).take(400)
    return {Place(number % 3, number // 3): message for number, message in enumerate(messages)}


@pytest.fixture
def published(sent: dict[Place, Sent]) -> Published:
    """What an annotator would publish that commits five messages of a partition at a time."""
    return Published(
        events=[event(place, message) for place, message in sent.items() if message.outcome == "labelled"],
        dead_letters=[
            returned(place, message) for place, message in sent.items() if message.outcome == "dead_letter"
        ],
        deltas=[
            delta
            for _, commit in groupby(sorted(sent), key=lambda place: (place.partition, place.offset // 5))
            for delta in deltas_of(list(commit), sent)
        ],
        signals=[signal(place, message) for place, message in sent.items() if message.has_author],
    )


def test_what_is_right_has_no_problems(sent: dict[Place, Sent], published: Published) -> None:
    assert problems(sent, published) == []


def test_traffic_holds_every_kind_of_message(sent: dict[Place, Sent]) -> None:
    outcomes = Counter(message.outcome for message in sent.values())
    assert set(outcomes) == {"labelled", "dead_letter", "tombstone", "opted_out"}
    causes = {message.cause for message in Traffic(SEED, NOW).take(3000)} - {None}
    assert len(causes) == 8


def without(items: list[Any]) -> list[Any]:
    return items[1:]


def doubled(items: list[Any]) -> list[Any]:
    return [*items, items[0]]


def of_a_stranger(items: list[Any]) -> list[Any]:
    stranger = items[0].source.model_copy(update={"offset": 10**6})
    identity = event_id(TOPIC, stranger.partition, stranger.offset)
    return [*items, items[0].model_copy(update={"source": stranger, "id": identity})]


def with_first(**changes: Any) -> Callable[[list[Any]], list[Any]]:
    return lambda items: [items[0].model_copy(update=changes), *items[1:]]


def with_another_cause(items: list[Returned]) -> list[Returned]:
    return [replace(items[0], letter=items[0].letter.model_copy(update={"cause": "other"})), *items[1:]]


def with_another_value(items: list[Returned]) -> list[Returned]:
    return [replace(items[0], value=b"changed"), *items[1:]]


def stretched(items: list[CountDelta]) -> list[CountDelta]:
    """The first commit of the total reaches one message into the next."""
    first = next(delta for delta in items if delta.channel == ALL_CHANNELS)
    source = first.source.model_copy(update={"last_offset": first.source.last_offset + 1})
    place = (source.partition, source.first_offset, source.last_offset)
    longer = first.model_copy(update={"source": source, "id": delta_id(TOPIC, *place, ALL_CHANNELS)})
    return [longer if delta is first else delta for delta in items]


def counting_one_more(name: str) -> Callable[[list[CountDelta]], list[CountDelta]]:
    def change(items: list[CountDelta]) -> list[CountDelta]:
        window = items[0].windows[0]
        more = window.model_copy(update={name: getattr(window, name) + 1})
        return [items[0].model_copy(update={"windows": (more, *items[0].windows[1:])}), *items[1:]]

    return change


def with_another_label_counted(items: list[CountDelta]) -> list[CountDelta]:
    window = items[0].windows[0]
    labels = {**window.labels, "joy": window.labels.get("joy", 0) + 1}
    other = window.model_copy(update={"labels": labels})
    return [items[0].model_copy(update={"windows": (other, *items[0].windows[1:])}), *items[1:]]


@pytest.mark.parametrize(
    ("part", "change", "complaint"),
    [
        ("events", without, "0 events and 0 dead letters, should be 1 and 0"),
        ("events", doubled, "2 events and 0 dead letters, should be 1 and 0"),
        ("events", of_a_stranger, "never sent"),
        ("events", with_first(label="other"), "labelled other"),
        ("events", with_first(message_id="other"), "for message other"),
        ("events", with_first(id="other"), "the event's id is other"),
        ("dead_letters", without, "0 events and 0 dead letters, should be 0 and 1"),
        ("dead_letters", doubled, "0 events and 2 dead letters, should be 0 and 1"),
        ("dead_letters", with_another_cause, "dead-lettered as other"),
        ("dead_letters", with_another_value, "does not hold the original"),
        ("signals", without, "0 signals, should be 1"),
        ("signals", doubled, "2 signals, should be 1"),
        ("deltas", without, "should be"),
        ("deltas", doubled, "two deltas"),
        ("deltas", with_first(id="other"), "has the id other"),
        ("deltas", stretched, "covered by the ranges of 2 total deltas"),
        ("deltas", counting_one_more("opted_out"), "opted_out counted"),
        ("deltas", counting_one_more("dead_lettered"), "dead_letter counted"),
        ("deltas", counting_one_more("tombstones"), "tombstone counted"),
        ("deltas", counting_one_more("confidence_sum"), "confidences sum to"),
        ("deltas", with_another_label_counted, "joy counted"),
    ],
)
def test_each_wrong_outcome_is_found(
    sent: dict[Place, Sent],
    published: Published,
    part: str,
    change: Callable[[list[Any]], list[Any]],
    complaint: str,
) -> None:
    wrong = replace(published, **{part: change(getattr(published, part))})
    assert any(complaint in problem for problem in problems(sent, wrong))


def test_a_message_that_should_only_be_counted_must_not_be_labelled(
    sent: dict[Place, Sent], published: Published
) -> None:
    place, message = next((place, m) for place, m in sent.items() if m.outcome == "opted_out")
    wrong = replace(published, events=[*published.events, event(place, replace(message, label="joy"))])
    assert any("1 events and 0 dead letters, should be 0 and 0" in p for p in problems(sent, wrong))


def event(place: Place, message: Sent) -> EmotionEvent:
    return EmotionEvent.model_validate(
        {
            "id": event_id(TOPIC, *place),
            "label": message.label,
            "confidence": CONFIDENCE,
            "scores": dict.fromkeys(["sadness", "joy", "love", "anger", "fear", "surprise"], 0.0),
            "neutral": 0.0,
            "distress": DISTRESS,
            "message_id": message.message_id,
            "channel": message.channel,
            "ts": datetime.fromtimestamp(message.at_ms / 1000, UTC),
            "labelled_at": NOW,
            "model": MODEL,
            "source": source(place),
            "windows": 1,
        }
    )


def signal(place: Place, message: Sent) -> DistressSignal:
    return DistressSignal.model_validate(
        {
            "id": event_id(TOPIC, *place),
            "label": message.label,
            "confidence": CONFIDENCE,
            "distress": DISTRESS,
            "ts": NOW,
            "model": MODEL,
            "source": source(place),
        }
    )


def returned(place: Place, message: Sent) -> Returned:
    assert message.cause is not None
    letter = DeadLetter(
        id=event_id(TOPIC, *place), cause=message.cause, source=source(place), error="why", failed_at=NOW
    )
    return Returned(letter, message.record.key, message.record.value)


def deltas_of(commit: list[Place], sent: dict[Place, Sent]) -> list[CountDelta]:
    """The deltas of one commit, each channel with its windows."""
    ends = (commit[0].partition, commit[0].offset, commit[-1].offset)
    messages = [sent[place] for place in commit]
    channels = {ALL_CHANNELS} | {counted_as(message.channel) for message in messages if message.label}
    return [
        CountDelta.model_validate(
            {
                "id": delta_id(TOPIC, *ends, channel),
                "channel": channel,
                "source": {
                    "topic": TOPIC,
                    "partition": ends[0],
                    "first_offset": ends[1],
                    "last_offset": ends[2],
                },
                "windows": windows_of(channel, messages),
            }
        )
        for channel in sorted(channels)
    ]


def windows_of(channel: str, messages: list[Sent]) -> list[dict[str, Any]]:
    counted = [
        message
        for message in messages
        if channel == ALL_CHANNELS or (message.label and counted_as(message.channel) == channel)
    ]
    windows = []
    for minute in sorted({message.at_ms // 60_000 for message in counted}):
        inside = [message for message in counted if message.at_ms // 60_000 == minute]
        outcomes = Counter(message.outcome for message in inside)
        windows.append(
            {
                "start": datetime.fromtimestamp(minute * 60, UTC),
                "labels": Counter(message.label for message in inside if message.label),
                "confidence_sum": CONFIDENCE * outcomes["labelled"],
                "opted_out": outcomes["opted_out"],
                "dead_lettered": outcomes["dead_letter"],
                "tombstones": outcomes["tombstone"],
            }
        )
    return windows


def source(place: Place) -> Source:
    return Source(topic=TOPIC, partition=place.partition, offset=place.offset)
