"""Whatever a single record holds, it gets one outcome, and its partition goes on: each row seen to stop one.

A partition that goes on is shown by its neighbours: a good message stands before and after each bad record.
"""

import asyncio
import hashlib
import itertools
import json
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.producer import message_accumulator
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from model.fake import FakeClassifier
from stream.annotate.admission import Admission
from stream.annotate.app import Annotator
from stream.annotate.intake import SLICE_S
from stream.deadletters import CUT_BYTES, decode_dead_letter
from stream.errors import RecordError
from stream.events import CountDelta, DeadLetter, EmotionEvent
from stream.privacy import OptOut, Pseudonyms
from stream.settings import Settings
from tests.conftest import Topics
from tests.records import (
    Record,
    Records,
    header,
    produce,
    produce_batch,
    read_committed_all,
)

STRUCTURED = [("content-type", b"application/cloudevents+json")]
GOOD = b'{"text": "joy: a neighbour"}'


async def annotate_all(settings: Settings) -> Annotator:
    annotator = Annotator(settings.model_copy(update={"drain": True}), FakeClassifier())
    await annotator.run()
    return annotator


async def labelled(settings: Settings) -> list[EmotionEvent]:
    records = await read_committed_all(str(settings.bootstrap_servers), settings.topics.emotions)
    return [EmotionEvent.model_validate_json(record.value or b"") for record in records]


async def dead(settings: Settings) -> Records:
    return await read_committed_all(str(settings.bootstrap_servers), settings.topics.dlq)


async def letters(settings: Settings) -> list[DeadLetter]:
    return [decode_dead_letter(record.headers)[0] for record in await dead(settings)]


async def send(settings: Settings, *records: Record | bytes | None) -> None:
    await produce(str(settings.bootstrap_servers), settings.input_topic, [GOOD, *records, GOOD])


async def test_a_backfill_with_a_window_for_each_message_is_counted_in_deltas_that_fit(
    configured: Topics,
) -> None:
    settings = await configured(counts={"max.message.bytes": 20_000})
    values = [
        b'{"text": "joy: x", "channel": "support", "ts": %d}' % (1_700_000_000 + 60 * n) for n in range(600)
    ]
    values.append(orjson.dumps({"text": "joy: x", "channel": "\x01" * 1024}))
    await send(settings, *values)
    await annotate_all(settings)
    assert len(await labelled(settings)) == 602
    (letter,) = await letters(settings)
    assert (letter.cause, letter.source.offset) == ("too_large", 601)
    records = await read_committed_all(str(settings.bootstrap_servers), settings.topics.counts)
    deltas = [CountDelta.model_validate_json(record.value or b"") for record in records]
    support = [window for delta in deltas if delta.channel == "support" for window in delta.windows]
    assert sum(sum(window.labels.values()) for window in support) == len(support) == 600


async def test_records_that_take_long_to_read_leave_time_for_heartbeats(
    topics: Topics,
) -> None:
    settings = await topics(partitions=2)
    long = [orjson.dumps({"text": "&lt;" * 30_000})] * 15
    servers = str(settings.bootstrap_servers)
    await produce_batch(servers, settings.input_topic, long, codec="gzip")
    await produce(servers, settings.input_topic, [Record(GOOD, partition=1)])
    annotating = asyncio.create_task(annotate_all(settings))
    moments = [time.monotonic()]
    while not annotating.done():
        await asyncio.sleep(0.001)
        moments.append(time.monotonic())
    pauses = [after - before for before, after in itertools.pairwise(moments)]
    at_work = sum(pause for pause in pauses if pause > SLICE_S / 2)
    assert max(pauses) < at_work / 3
    of_both = [(event.source.partition, event.source.offset) for event in await labelled(settings)]
    assert of_both == [(0, offset) for offset in range(len(long))] + [(1, 0)]


async def test_a_time_outside_the_calendar_is_replaced_and_marked(topics: Topics) -> None:
    settings = await topics(partitions=1)
    times = ['"0001-01-01T00:00:00+14:00"', '"9999-12-31T23:59:59-14:00"', "1700000000000000", "1e300"]
    values = [b'{"text": "joy: x", "ts": %s}' % claimed.encode() for claimed in times]
    await send(settings, *values)
    annotator = await annotate_all(settings)
    events = await labelled(settings)
    assert [event.ts_replaced for event in events] == [None, *["message"] * len(times), None]
    assert all(abs(event.ts - datetime.now(UTC)) < timedelta(minutes=5) for event in events)
    replaced = annotator.metrics.registry.get_sample_value(
        "emotion_replaced_times_total", {"clock": "message"}
    )
    assert replaced == len(times)


async def test_deeply_nested_data_is_a_dead_letter(topics: Topics) -> None:
    settings = await topics(partitions=1)
    deep = b'{"specversion": "1.0", "data": {"text": "x", "meta": {"a": %s}}}' % (b"[" * 1000 + b"]" * 1000)
    await send(settings, Record(deep, headers=STRUCTURED), b'{"text": "x", "meta": %s}' % (b"[" * 3000))
    await annotate_all(settings)
    assert len(await labelled(settings)) == 2
    assert [letter.cause for letter in await letters(settings)] == ["too_deep", "too_deep"]


@pytest.mark.parametrize("scale", ["seconds", "microseconds", "years ahead"])
async def test_a_record_time_stamp_that_cannot_be_right_is_replaced(configured: Topics, scale: str) -> None:
    settings = await configured(messages={"message.timestamp.after.max.ms": 2**63 - 1})
    now_ms = int(time.time() * 1000)
    wrong = {
        "seconds": now_ms // 1000,
        "microseconds": now_ms * 1000,
        "years ahead": now_ms + 5 * 31_536_000_000,
    }
    bad = [Record(value, timestamp_ms=wrong[scale]) for value in (GOOD, b"{oops")]
    await send(settings, *bad, Record(None, b"k", timestamp_ms=wrong[scale]))
    await annotate_all(settings)
    events = await labelled(settings)
    assert [event.ts_replaced for event in events] == [None, "broker", None]
    assert all(abs(event.ts - datetime.now(UTC)) < timedelta(minutes=5) for event in events)
    [letter] = await letters(settings)
    assert letter.timestamp_ms == wrong[scale]
    counts = await read_committed_all(str(settings.bootstrap_servers), settings.topics.counts)
    deltas = [CountDelta.model_validate_json(record.value or b"") for record in counts]
    starts = [window.start for delta in deltas for window in delta.windows]
    assert all(abs(start - datetime.now(UTC)) < timedelta(minutes=5) for start in starts)


async def test_a_message_ahead_of_the_brokers_limit_for_outputs_is_labelled(configured: Topics) -> None:
    limit = {"message.timestamp.after.max.ms": 60_000}
    settings = await configured(emotions=limit, counts=limit, signals=limit, dlq=limit)
    ahead = (datetime.now(UTC) + timedelta(minutes=4)).replace(microsecond=0)
    message = orjson.dumps({"text": "joy: x", "author": "kim", "ts": ahead})
    await send(settings, Record(message, timestamp_ms=int(ahead.timestamp() * 1000)))
    await annotate_all(settings)
    assert max(event.ts for event in await labelled(settings)) == ahead


OLD = int((datetime.now(UTC) - timedelta(days=30)).timestamp() * 1000)


async def test_labels_of_a_backfill_live_for_their_retention(configured: Topics) -> None:
    """Kafka drops a segment by its newest time stamp: under those of the messages, all would go at once."""
    brief = {"retention.ms": 3_600_000, "segment.bytes": 1_048_576}
    settings = await configured(emotions=brief, counts=brief, signals=brief, dlq=brief)
    messages = [orjson.dumps({"text": f"joy: {n}", "author": f"a{n % 7}"}) for n in range(500)]
    old = [Record(value, timestamp_ms=OLD + n) for n, value in enumerate([*messages, b"{oops"])]
    await produce(str(settings.bootstrap_servers), settings.input_topic, old)
    await annotate_all(settings)
    now_ms = time.time() * 1000
    for topic in (
        settings.topics.emotions,
        settings.topics.counts,
        settings.topics.signals,
        settings.topics.dlq,
    ):
        records = await read_committed_all(str(settings.bootstrap_servers), topic)
        assert records
        assert all(abs(record.timestamp - now_ms) < 300_000 for record in records), topic
    events = await labelled(settings)
    assert sorted(event.ts.timestamp() for event in events) == [(OLD + n) / 1000 for n in range(500)]
    [first, *_] = await read_committed_all(str(settings.bootstrap_servers), settings.topics.emotions)
    assert header(first, "ce_time") == events[0].ts.isoformat()


async def test_what_does_not_fit_the_dead_letters_is_cut_and_told(configured: Topics) -> None:
    """A larger limit of the input than of the dead letters, known to the annotator."""
    settings = await configured(messages={"max.message.bytes": 20_000_000}, dlq={"max.message.bytes": 99_000})
    value = json.dumps({"text": "x" * 5_000_000}).encode()
    await send(settings, Record(value, key=b"k", headers=[("tenant", b"7"), ("none", None)]))
    await annotate_all(settings)
    assert len(await labelled(settings)) == 2
    [record] = await dead(settings)
    letter, headers = decode_dead_letter(record.headers)
    assert (letter.cause, letter.cut, letter.size) == ("too_large", ("value",), len(value))
    assert letter.sha256 == hashlib.sha256(value).hexdigest()
    assert (record.key, record.value) == (b"k", value[:CUT_BYTES])
    assert headers == [("tenant", b"7"), ("none", None)]
    assert (letter.source.topic, letter.source.offset) == (settings.input_topic, 1)


async def test_a_dead_letter_topic_that_takes_less_than_was_known_gets_less(
    configured: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where this user may not read the configuration, or it was changed meanwhile."""
    settings = await configured(
        {"guarantee": "at_least_once"},
        messages={"max.message.bytes": 5_000_000},
        dlq={"max.message.bytes": 100_000},
    )
    await send(settings, b'{"text": "%s"}' % (b"x" * 1_000_000))
    monkeypatch.setattr("stream.annotate.app.batch_limits", untold)
    await annotate_all(settings)
    assert {event.source.offset for event in await labelled(settings)} == {0, 2}
    [letter] = await letters(settings)
    assert letter.cut == ("value",)


async def untold(*_: object) -> dict[str, int]:
    return {}


async def test_three_compressible_megabytes_in_a_batch_that_passes_go_to_the_dead_letters(
    configured: Topics,
) -> None:
    settings = await configured(messages={})
    value = json.dumps({"text": "the parcel " * 300_000}).encode()
    async with AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers, compression_type="gzip", max_request_size=1 << 30
    ) as producer:
        for text in (GOOD, value, GOOD):
            await producer.send_and_wait(settings.input_topic, text)
    await annotate_all(settings)
    assert len(await labelled(settings)) == 2
    [letter] = await letters(settings)
    assert letter.size in (None, len(value))


@pytest.mark.parametrize("part", ["key", "headers"])
async def test_a_huge_key_or_header_is_left_out_of_the_dead_letter(configured: Topics, part: str) -> None:
    settings = await configured(messages={"max.message.bytes": 20_000_000})
    large = b"x" * 4_000_000
    bad = Record(b"{oops", key=large) if part == "key" else Record(b"{oops", headers=[("h", large)])
    await send(settings, bad)
    await annotate_all(settings)
    assert len(await labelled(settings)) == 2
    [letter] = await letters(settings)
    assert letter.cut == (part,)


async def test_an_event_that_its_topic_has_no_room_for_is_a_dead_letter(configured: Topics) -> None:
    settings = await configured({"include_text": True}, emotions={"max.message.bytes": 50_000})
    await send(settings, b'{"text": "joy %s"}' % (b"x" * 100_000))
    await annotate_all(settings)
    assert len(await labelled(settings)) == 2
    [letter] = await letters(settings)
    assert letter.cause == "too_large"
    assert settings.topics.emotions in letter.error


async def test_what_cannot_be_written_at_all_ends_the_process_and_is_named(
    configured: Topics,
) -> None:
    settings = await configured(dlq={"max.message.bytes": 400})
    await send(settings, b"{oops" * 100)
    with pytest.raises(RecordError, match=r"partition 0, offset 1: .*max\.message\.bytes") as ended:
        await annotate_all(settings)
    assert settings.input_topic in str(ended.value)


async def test_an_output_topic_that_takes_no_record_without_a_key_ends_the_process_and_is_named(
    configured: Topics,
) -> None:
    settings = await configured(emotions={"cleanup.policy": "compact"})
    await send(settings)
    with pytest.raises(RecordError, match=r"topic \S+emotions, .*compacted"):
        await annotate_all(settings)


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_batches_of_every_codec_are_read(topics: Topics, codec: str) -> None:
    settings = await topics(partitions=1)
    await compressed(settings, codec)
    await annotate_all(settings)
    assert len(await labelled(settings)) == 20


async def test_a_topic_that_the_broker_compresses_is_read(configured: Topics) -> None:
    settings = await configured(messages={"compression.type": "zstd"})
    await compressed(settings, None)
    await annotate_all(settings)
    assert len(await labelled(settings)) == 20


@pytest.mark.parametrize("codec", [None, "gzip"])
async def test_a_header_whose_name_is_not_utf8_stops_nobody(
    topics: Topics, monkeypatch: pytest.MonkeyPatch, codec: str | None
) -> None:
    settings = await topics(partitions=1)
    with monkeypatch.context() as sending:
        sending.setattr(message_accumulator, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
        async with AIOKafkaProducer(
            bootstrap_servers=settings.bootstrap_servers, compression_type=codec
        ) as producer:
            batch = producer.create_batch()
            for value, name in ((GOOD, "a"), (GOOD, RawName()), (b"{oops", RawName()), (GOOD, "b")):
                headers = [(name, b"1"), ("tenant", b"7")]
                batch.append(timestamp=None, key=None, value=value, headers=headers)
            await (await producer.send_batch(batch, settings.input_topic, partition=0))
    await annotate_all(settings)
    assert len(await labelled(settings)) == 3
    [record] = await dead(settings)
    assert decode_dead_letter(record.headers)[1] == [("???", b"1"), ("tenant", b"7")]


def test_a_record_of_the_oldest_format_which_has_no_time_stamp_counts_for_now() -> None:
    """Kafka 0.9 and before wrote it. Segments of that time are still read, but nobody takes it any more."""
    written = LegacyRecordBatchBuilder(magic=0, compression_type=0, batch_size=1000)
    written.append(0, timestamp=None, key=None, value=GOOD)
    [read] = MemoryRecords(bytes(written.build())).next_batch()
    admission = Admission(
        input_format="json",
        max_message_bytes=1000,
        max_ahead_s=300,
        pseudonyms=Pseudonyms(b"key"),
        optout=OptOut(Pseudonyms(b"key")),
        phrases=None,
        clock=lambda: 1_800_000_000.0,
    )
    entry = admission.admit(read)
    assert (entry.text, entry.event_ms, entry.wrong_clock) == (
        "joy: a neighbour",
        1_800_000_000_000,
        "broker",
    )


class RawName(str):
    """The name of a header as a client sends it that takes any bytes."""

    def encode(self, *_: Any) -> bytes:
        return b"\xff?\xfe"


async def test_a_batch_that_cannot_be_read_ends_the_process_and_is_named(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = await topics(partitions=1)
    await send(settings)
    await compressed(settings, "zstd")
    monkeypatch.setattr("aiokafka.codec.has_zstd", lambda: False)
    with pytest.raises(RecordError, match=r"partition 0: what lies at offset 2 cannot be read.*zstd"):
        await annotate_all(settings)


@pytest.mark.usefixtures("unpacking_as_before")
async def test_a_batch_that_unpacks_to_more_than_is_allowed_is_passed_over_as_one_dead_letter(
    topics: Topics,
) -> None:
    """Of the other codecs: ``tests/stream/test_batches.py``."""
    settings = await topics(partitions=1, max_unpacked_bytes=200_000)
    servers = str(settings.bootstrap_servers)
    await send(settings)
    await produce_batch(servers, settings.input_topic, [GOOD, GOOD, bytes(300_000)], codec="zstd")
    await send(settings)
    annotator = await annotate_all(settings)
    await annotate_all(settings)
    assert [event.source.offset for event in await labelled(settings)] == [0, 1, 5, 6]
    [record] = await dead(settings)
    letter, headers = decode_dead_letter(record.headers)
    assert (letter.cause, letter.first_offset, letter.source.offset) == ("unread_batch", 2, 4)
    assert re.search(r"offsets 2 to 4 \(\d+ bytes\) is not read: .*max_unpacked_bytes", letter.error)
    assert (record.key, record.value, headers) == (None, b"", [])
    assert annotator.metrics.dead_letters.labels("unread_batch")._value.get() == 1


async def compressed(settings: Settings, codec: str | None) -> None:
    """Twenty messages in one batch."""
    async with AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers, compression_type=codec, linger_ms=100
    ) as producer:
        for number in range(20):
            await producer.send(settings.input_topic, b'{"text": "joy: the same words, %d"}' % number)
