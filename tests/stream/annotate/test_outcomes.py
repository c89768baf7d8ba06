"""The records of a commit: every output is of its type, in its partition, and the counts add up."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.contract import Distress, Emotion, ModelInfo
from model.labels import EMOTIONS, LABELS
from stream.annotate.ledger import Entry, Outcome, Silent, Unread
from stream.annotate.outcomes import OutcomeEncoder, OutcomePolicy
from stream.deadletters import decode_dead_letter
from stream.errors import Cause, MessageError
from stream.events import CountDelta, DistressSignal, EmotionEvent, Message
from stream.language import Language
from stream.privacy import OptOut, Pseudonyms
from stream.records import Output, Record
from stream.topics import TopicNames, partition_of

TOPICS = TopicNames(prefix="emotions")
NOW = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
NOON_MS = int(datetime(2026, 3, 1, 12, 0, tzinfo=UTC).timestamp() * 1000)
PARTITIONS = {TOPICS.emotions: 4, TOPICS.counts: 3, TOPICS.signals: 5, TOPICS.dlq: 2}


def encoder(epoch: str | None = None, **policy: Any) -> OutcomeEncoder:
    values: dict[str, Any] = {
        "topics": TOPICS,
        "partitions": PARTITIONS,
        "model": ModelInfo("tiny", "abc", ("en",), "cpu", "int8"),
        "include_text": False,
        "count_window_s": 60,
        "signal_min_level": "none",
    }
    return OutcomeEncoder(OutcomePolicy(**values | policy), "messages", epoch)


def emotion(label: str = "anger", level: Any = "watch") -> Emotion:
    scores = {name: 0.9 if name == label else 0.01 for name in EMOTIONS}
    return Emotion(label, 0.9, scores, 0.05, Distress(0.4, level))


def entry(offset: int, outcome: Outcome, message: Message | None = None, **fields: Any) -> Entry:
    values: dict[str, Any] = {
        "timestamp_ms": NOON_MS,
        "event_ms": NOON_MS,
        "key": b"k",
        "value": b"v",
        "headers": (),
        "admitted_at": 0.0,
    }
    return Entry(offset=offset, message=message, outcome=outcome, **values | fields)


def records(output: Output, topic: str) -> list[Record]:
    return [record for (name, _), found in output.items() if name == topic for record in found]


def test_an_event_is_of_its_type_and_says_where_its_message_lies() -> None:
    message = Message(text="no parcel!", id="m-1", author="kim", channel="support", conversation="t-9")
    output = encoder().encode(
        6, [entry(41, emotion(), message, author="pseudonym", published_key=b"stand-in")], NOW
    )
    [record] = output[TOPICS.emotions, 6 % 4]
    event = EmotionEvent.model_validate_json(record.value or b"")
    assert event.id == "messages-6-41"
    assert event.source.model_dump(exclude_none=True) == {"topic": "messages", "partition": 6, "offset": 41}
    assert (event.message_id, event.author, event.channel) == ("m-1", "pseudonym", "support")
    assert event.labelled_at == NOW
    assert record.key == b"stand-in"


def test_a_message_that_the_model_was_not_measured_for_is_unknown_and_never_a_signal() -> None:
    message = Message(text="kein Paket!", author="kim", channel="support")
    german = Language("de", 0.97)
    output = encoder().encode(0, [entry(7, Unread.UNKNOWN, message, author="p", language=german)], NOW)
    [record] = records(output, TOPICS.emotions)
    event = EmotionEvent.model_validate_json(record.value or b"")
    assert (event.label, event.labels, event.confidence) == ("unknown", (), 0.0)
    assert (event.scores, event.neutral, event.distress) == (None, None, None)
    assert (event.language, event.language_confidence) == ("de", 0.97)
    assert not records(output, TOPICS.signals)
    for delta in records(output, TOPICS.counts):
        [window] = CountDelta.model_validate_json(delta.value or b"").windows
        assert (window.labels, window.unknown, window.confidence_sum) == ({}, 1, 0.0)


def test_the_operators_own_phrases_are_heard_of_in_any_language() -> None:
    message = Message(text="ich will nicht mehr", author="kim")
    found = entry(7, Unread.UNKNOWN, message, author="p", phrases=("crisis",))
    [record] = records(encoder().encode(0, [found], NOW), TOPICS.signals)
    signal = DistressSignal.model_validate_json(record.value or b"")
    assert (signal.label, signal.phrases, signal.distress.level) == ("unknown", ("crisis",), "none")


@pytest.mark.parametrize("outcome", [emotion(), Unread.UNKNOWN, MessageError(Cause.TOO_LARGE, "x")])
@pytest.mark.parametrize("named", [True, False])
def test_of_who_opts_out_while_their_message_is_in_work_nothing_is_published(
    outcome: Outcome, named: bool
) -> None:
    pseudonyms = Pseudonyms(b"a key for the tests")
    optout = OptOut(pseudonyms)
    message = Message(text="no parcel!", author="kim" if named else None, channel="support")
    theirs = entry(7, outcome, message, key=b"m-7" if named else b"kim", author=pseudonyms.of("kim"))
    others = entry(8, emotion(), Message(text="a parcel", author="lee"), author=pseudonyms.of("lee"))
    found = encoder(optout=optout)
    found.encode(0, [theirs, others], NOW)
    assert theirs.outcome is outcome
    optout.update(pseudonyms.of("kim"), opted_out=True)
    output = found.encode(0, [theirs, others], NOW)
    assert theirs.outcome is Silent.OPTED_OUT
    assert len(records(output, TOPICS.emotions)) == len(records(output, TOPICS.signals)) == 1
    assert not records(output, TOPICS.dlq)
    deltas = [CountDelta.model_validate_json(one.value or b"") for one in records(output, TOPICS.counts)]
    assert {one.channel: one.windows[0].opted_out for one in deltas} == {"-": 0, "*": 1}


def test_an_event_names_every_emotion_and_the_language() -> None:
    both = replace(emotion("anger"), labels=("anger", "sadness"))
    output = encoder().encode(0, [entry(1, both, Message(text="x"), language=Language("en", 0.9))], NOW)
    [record] = records(output, TOPICS.emotions)
    event = EmotionEvent.model_validate_json(record.value or b"")
    assert (event.labels, event.language) == (("anger", "sadness"), "en")


def test_outcomes_of_a_topic_made_anew_have_ids_of_their_own() -> None:
    """The same offsets come again, under another epoch; where a broker gives none, the ids stay plain."""
    entries = [
        entry(3, emotion(), Message(text="x"), author="a"),
        entry(4, MessageError(Cause.NOT_JSON, "x")),
    ]
    ids: list[str] = []
    for epoch in ("SmWveVbgSRCaUuo2YxzDgw", "hWtb0DJvQOSHtmeljsVM3g", None):
        output = encoder(epoch=epoch).encode(0, entries, NOW)
        [event] = records(output, TOPICS.emotions)
        [signal] = records(output, TOPICS.signals)
        [letter] = records(output, TOPICS.dlq)
        decoded, _ = decode_dead_letter(letter.headers)
        labelled = EmotionEvent.model_validate_json(event.value or b"")
        signalled = DistressSignal.model_validate_json(signal.value or b"")
        deltas = [
            CountDelta.model_validate_json(record.value or b"") for record in records(output, TOPICS.counts)
        ]
        assert {found.source.epoch for found in (labelled, signalled, decoded, *deltas)} == {epoch}
        assert labelled.id == signalled.id
        ids += [labelled.id, decoded.id, *(delta.id for delta in deltas)]
    assert len(set(ids)) == len(ids)
    assert "messages-0-3" in ids


def test_neither_text_nor_author_leave_unless_text_is_asked_for() -> None:
    message = Message(text="between us", author="kim@example.org")
    entries = [entry(0, emotion(), message, author="pseudonym", phrases=("urgent",))]
    closed = [record.value or b"" for found in encoder().encode(0, entries, NOW).values() for record in found]
    assert not any(b"between us" in value or b"kim" in value for value in closed)
    opened = encoder(include_text=True).encode(0, entries, NOW)
    [event] = records(opened, TOPICS.emotions)
    assert EmotionEvent.model_validate_json(event.value or b"").text == "between us"
    assert not any(b"kim" in (record.value or b"") for found in opened.values() for record in found)


def test_outputs_are_cloudevents_and_carry_the_trace_on() -> None:
    trace = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    headers = (trace, ("x-internal", b"1"), ("tracestate", b"not a state"))
    output = encoder().encode(0, [entry(7, emotion(), Message(text="x"), headers=headers)], NOW)
    [record] = records(output, TOPICS.emotions)
    by_name = dict(record.headers)
    assert by_name["ce_specversion"] == b"1.0"
    assert by_name["ce_id"] == b"messages-0-7"
    assert by_name["ce_type"] == b"emotion-stream.emotion.v1"
    assert by_name["content-type"] == b"application/json"
    assert by_name["ce_time"] == b"2026-03-01T12:00:00+00:00"
    assert by_name["traceparent"] == trace[1]
    assert "x-internal" not in by_name
    assert "tracestate" not in by_name


def test_all_signals_of_an_author_meet_in_one_partition() -> None:
    entries = [
        entry(number, emotion(), Message(text="x", author="a"), author=f"author {number % 7}")
        for number in range(50)
    ]
    output = encoder().encode(3, entries, NOW)
    for (topic, partition), found in output.items():
        if topic == TOPICS.signals:
            assert {partition_of(record.key or b"", 5) for record in found} == {partition}
            for record in found:
                signal = DistressSignal.model_validate_json(record.value or b"")
                assert (signal.author or "").encode() == record.key
    assert len(records(output, TOPICS.signals)) == 50


def test_signals_can_be_kept_to_a_least_level_but_a_phrase_always_signals() -> None:
    message = Message(text="x", author="a")
    entries = [
        entry(0, emotion(level="none"), message, author="p"),
        entry(1, emotion(level="high"), message, author="p"),
        entry(2, emotion(level="none"), Message(text="x"), phrases=("leaving",)),
        entry(3, emotion(level="high"), Message(text="nobody's")),
    ]
    found = records(encoder(signal_min_level="elevated").encode(0, entries, NOW), TOPICS.signals)
    signals = [DistressSignal.model_validate_json(record.value or b"") for record in found]
    assert {signal.source.offset for signal in signals} == {1, 2}
    assert {signal.source.offset: signal.phrases for signal in signals}[2] == ("leaving",)


def test_a_dead_letter_keeps_key_value_and_headers() -> None:
    original = (
        ("content-type", b"application/json"),
        ("ce_id", b"theirs"),
        ("tenant", b"7"),
        ("dlq_replays", b"1"),
    )
    broken = entry(5, MessageError(Cause.NOT_JSON, "no"), headers=original, value=b"{oops")
    [record] = records(encoder().encode(1, [broken], NOW), TOPICS.dlq)
    letter, headers = decode_dead_letter(record.headers)
    assert (record.key, record.value) == (b"k", b"{oops")
    assert (letter.cause, letter.source.partition, letter.source.offset) == ("not_json", 1, 5)
    assert tuple(headers) == original


labelled = st.builds(
    lambda label, channel, shift_s: (emotion(label), Message(text="x", channel=channel), shift_s),
    st.sampled_from(LABELS),
    st.sampled_from(["support", "billing", None, "*", "-"]),
    st.integers(-200, 200),
)
silent = st.sampled_from([Silent.OPTED_OUT, Silent.TOMBSTONE, MessageError(Cause.NO_TEXT, "x")]).map(
    lambda outcome: (outcome, None, 0)
)


@given(st.lists(labelled | silent, min_size=1, max_size=60), st.integers(0, 9))
def test_the_deltas_of_a_commit_add_up_to_its_messages(
    outcomes: list[tuple[Outcome, Message | None, int]], partition: int
) -> None:
    entries = [
        entry(offset, outcome, message, event_ms=NOON_MS + shift_s * 1000)
        for offset, (outcome, message, shift_s) in enumerate(outcomes)
    ]
    output = encoder().encode(partition, entries, NOW)
    total: Counter[str] = Counter()
    by_channel: Counter[str] = Counter()
    for record in records(output, TOPICS.counts):
        delta = CountDelta.model_validate_json(record.value or b"")
        assert (delta.source.first_offset, delta.source.last_offset) == (0, len(entries) - 1)
        assert record.key == delta.channel.encode()
        for window in delta.windows:
            assert int(window.start.timestamp()) % 60 == 0
            if delta.channel == "*":
                total.update(window.labels)
                total.update(
                    opted_out=window.opted_out, dead=window.dead_lettered, tombstones=window.tombstones
                )
            else:
                by_channel.update(window.labels)
    labels = Counter(o.label for o, _, _ in outcomes if isinstance(o, Emotion))
    assert +by_channel == labels
    silent_counts = {
        "opted_out": sum(o is Silent.OPTED_OUT for o, _, _ in outcomes),
        "tombstones": sum(o is Silent.TOMBSTONE for o, _, _ in outcomes),
        "dead": sum(isinstance(o, MessageError) for o, _, _ in outcomes),
    }
    assert +total == labels + Counter(silent_counts)


def test_json_of_an_event_has_its_times_in_utc() -> None:
    [record] = records(encoder().encode(0, [entry(0, emotion(), Message(text="x"))], NOW), TOPICS.emotions)
    event = orjson.loads(record.value or b"")
    assert event["labelled_at"] == "2026-03-01T12:00:30Z"
    assert event["ts"] == "2026-03-01T12:00:00Z"
