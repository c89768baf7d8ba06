"""``emotion-stream replay``: dead letters go back as they were, each once, and by cause."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka.admin import RecordsToDelete
from aiokafka.structs import TopicPartition

from model.fake import FakeClassifier
from stream.admin import connected, create_topics
from stream.annotate.app import Annotator
from stream.commands import replay as replay_module
from stream.commands.letters import CAUSES, find_original
from stream.commands.replay import Replay
from stream.commands.replaypositions import replay_group
from stream.deadletters import dead_letter_record, encode_dead_letter
from stream.errors import StreamError
from stream.events import DeadLetter, Source
from stream.settings import Settings
from tests.conftest import Topics
from tests.records import CODECS, Headers, Record, delete_topic, header, produce, read_committed_all
from tests.stream.commands import finished, run_beside, start

WHEN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
WRITTEN_AT_MS = int(WHEN.timestamp()) * 1000  # recent, since brokers delete what is older than the retention


def dead(
    settings: Settings,
    cause: str,
    value: bytes,
    *,
    partition: int = 0,
    headers: Headers = (),
    key: bytes = b"k",
    first_offset: int | None = None,
) -> Record:
    """A dead letter as the annotator writes it."""
    source = Source(topic=settings.input_topic, partition=partition, offset=0)
    letter = DeadLetter(
        id="any",
        cause=cause,
        error="what was wrong",
        source=source,
        failed_at=WHEN,
        first_offset=first_offset,
    )
    return Record(value, key, encode_dead_letter(letter, headers, "/test"), partition, WRITTEN_AT_MS)


async def write(settings: Settings, records: Sequence[Record]) -> None:
    await produce(settings.bootstrap_servers or "", settings.topics.dlq, records)


async def sent_back(settings: Settings) -> Any:
    """What the input topic holds, by partition and offset."""
    return await read_committed_all(settings.bootstrap_servers or "", settings.input_topic)


async def values_sent_back(settings: Settings) -> Counter[bytes | None]:
    return Counter(record.value for record in await sent_back(settings))


async def replay(settings: Settings, *arguments: Any) -> str:
    result = await run_beside("replay", *arguments, settings=settings)
    assert result.exit_code == 0, result.output
    return result.stdout


async def test_a_message_goes_back_as_it_was_to_the_partition_it_came_from(topics: Topics) -> None:
    settings = await topics(partitions=4)
    original = [("traceparent", b"00-1"), ("ce_type", b"theirs"), ("content-type", b"text/plain")]
    original += [("dlq_note", b"theirs"), ("original_x", b"theirs")]
    await write(settings, [dead(settings, "not_json", b"\xff\x00", partition=3, headers=original)])
    await replay(settings)
    (record,) = await sent_back(settings)
    assert (record.key, record.value, record.partition) == (b"k", b"\xff\x00", 3)
    ours = [("dlq_replays", b"1"), ("dlq_timestamp", str(WRITTEN_AT_MS).encode())]
    assert sorted(record.headers) == sorted([*original, *ours])


async def test_a_count_of_replays_that_is_none_begins_anew(topics: Topics) -> None:
    settings = await topics(partitions=1)
    given = [b"9" * 5000, b"-1", b"x", b""]
    await write(settings, [dead(settings, "not_json", b"1", headers=[("dlq_replays", one)]) for one in given])
    assert "4  dead letters sent back" in await replay(settings)
    assert {header(record, "dlq_replays") for record in await sent_back(settings)} == {"1"}


@pytest.mark.every_broker
async def test_a_second_replay_sends_nothing_and_again_sends_all(topics: Topics) -> None:
    settings = await topics()
    await write(settings, [dead(settings, "not_json", b"%d" % n, partition=n % 4) for n in range(40)])
    assert "40  dead letters sent back" in await replay(settings)
    assert "0  dead letters sent back" in await replay(settings)
    await write(settings, [dead(settings, "not_json", b"new")])
    assert "1  dead letters sent back" in await replay(settings)
    assert "41  dead letters sent back" in await replay(settings, "--again")
    assert "0  dead letters sent back" in await replay(settings)
    counts = await values_sent_back(settings)
    assert set(counts) == {b"new"} | {b"%d" % n for n in range(40)}
    assert set(counts.values()) == {2}


async def test_causes_that_were_not_asked_for_stay_for_a_later_replay(topics: Topics) -> None:
    settings = await topics(partitions=1)
    causes = ["model_failed", "not_json", "too_large", "model_failed", "not_json"]
    await write(settings, [dead(settings, cause, b"%d" % n) for n, cause in enumerate(causes)])
    await replay(settings, "--cause", "model_failed")
    assert await values_sent_back(settings) == Counter([b"0", b"3"])
    await replay(settings, "--cause", "model_failed", "--cause", "not_json")
    assert await values_sent_back(settings) == Counter([b"0", b"3", b"1", b"4"])
    await replay(settings)
    assert await values_sent_back(settings) == Counter([b"0", b"3", b"1", b"4", b"2"])


async def test_a_cause_of_another_version_is_replayed_as_other(topics: Topics) -> None:
    settings = await topics(partitions=1)
    await write(settings, [dead(settings, "from_the_future", b"1"), dead(settings, "not_json", b"2")])
    assert "1  other" in await replay(settings, "--cause", "other")
    assert await values_sent_back(settings) == Counter([b"1"])


async def test_a_letter_that_stands_for_a_batch_is_named_and_not_sent(topics: Topics) -> None:
    settings = await topics(partitions=1)
    batch = dead(settings, "unread_batch", b"", first_offset=0)
    await write(settings, [batch, dead(settings, "not_json", b"2")])
    result = await run_beside("replay", settings=settings)
    assert "offsets 0 to 0): send its messages again" in result.stderr
    assert await values_sent_back(settings) == Counter([b"2"])


async def test_with_a_limit_the_rest_stays_for_a_later_replay(topics: Topics) -> None:
    settings = await topics(partitions=1)
    await write(settings, [dead(settings, ("not_json", "no_text")[n % 2], b"%d" % n) for n in range(7)])
    for expected in (3, 6, 7, 7):
        await replay(settings, "--max", 3)
        assert await values_sent_back(settings) == Counter(b"%d" % n for n in range(expected))


async def test_a_dry_run_counts_and_sends_nothing(topics: Topics) -> None:
    settings = await topics()
    letters = [
        dead(settings, "not_json", b"1"),
        dead(settings, "no_text", b"2"),
        dead(settings, "no_text", b"3"),
    ]
    await write(settings, letters)
    for _ in range(2):
        lines = [line.split() for line in (await replay(settings, "--dry-run")).splitlines()]
        assert lines[:2] == [["2", "no_text"], ["1", "not_json"]]
        assert lines[2][:5] == ["3", "dead", "letters", "would", "be"]
    assert await sent_back(settings) == []


async def test_a_message_that_failed_again_carries_how_often_it_was_sent_back(topics: Topics) -> None:
    settings = await topics(partitions=1)
    headers: Headers = []
    for replays in (1, 2, 3):
        await write(settings, [dead(settings, "model_failed", b"poison", headers=headers)])
        await replay(settings)
        record = (await sent_back(settings))[-1]
        assert header(record, "dlq_replays") == str(replays)
        assert len(record.headers) == 2
        headers = record.headers


async def test_more_dead_letters_than_a_chunk_go_back_once_each(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_module, "CHUNK", 7)
    settings = await topics(partitions=3)
    causes = ("not_json", "no_text", "model_failed")
    letters = [dead(settings, causes[n % 3], b"%d" % n, partition=n % 2) for n in range(60)]
    await write(settings, letters)
    await replay(settings, "--cause", "no_text")
    await replay(settings)
    assert await values_sent_back(settings) == Counter(b"%d" % n for n in range(60))


async def test_a_replay_that_is_killed_sends_nothing_twice(topics: Topics) -> None:
    settings = await topics(partitions=2)
    await write(settings, [dead(settings, "not_json", b"%d" % n, partition=n % 2) for n in range(3000)])
    for delay_s in (0.5, 0.7, 0.9):
        with start("replay", settings=settings) as process:
            await asyncio.sleep(delay_s)
            process.kill()
    await replay(settings)
    assert await values_sent_back(settings) == Counter(b"%d" % n for n in range(3000))


async def test_a_replay_that_another_has_overtaken_stops_and_nothing_is_sent_twice(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = await topics(partitions=1)
    await write(settings, [dead(settings, "not_json", b"%d" % n) for n in range(20)])
    monkeypatch.setattr(replay_module, "CHUNK", 5)
    began, may_go_on = asyncio.Event(), asyncio.Event()
    send = Replay.send

    async def send_and_wait(self: Replay, records: Any) -> None:
        await send(self, records)
        if not began.is_set():
            began.set()
            await may_go_on.wait()

    monkeypatch.setattr(Replay, "send", send_and_wait)
    overtaken = asyncio.create_task(
        replay_module.replay_dead_letters(settings, CAUSES, limit=None, again=False, dry_run=False)
    )
    await began.wait()
    assert "15  dead letters sent back" in await replay(settings)
    may_go_on.set()
    with pytest.raises(StreamError, match="another replay of this group has begun"):
        await overtaken
    assert await values_sent_back(settings) == Counter(b"%d" % n for n in range(20))


async def test_a_dead_letter_topic_that_was_made_anew_is_replayed_from_its_beginning(topics: Topics) -> None:
    settings = await topics(partitions=1)
    await write(settings, [dead(settings, "not_json", b"old %d" % n) for n in range(5)])
    await replay(settings)
    await delete_topic(settings, settings.topics.dlq)
    await create_topics(settings)
    await write(settings, [dead(settings, "not_json", b"new")])
    assert "1  dead letters sent back" in await replay(settings)
    assert "0  dead letters sent back" in await replay(settings)


async def test_dead_letters_in_batches_of_every_codec_go_back(topics: Topics) -> None:
    settings = await topics(partitions=1)
    for codec in CODECS:
        letter = dead(settings, "not_json", b"the same words, " * 9 + str(codec).encode())
        await produce(settings.bootstrap_servers or "", settings.topics.dlq, [letter], codec=codec)
    assert f"{len(CODECS)}  dead letters sent back" in await replay(settings)


async def test_a_record_that_is_no_dead_letter_is_named_and_passed_over(topics: Topics) -> None:
    settings = await topics(partitions=1)
    await write(settings, [Record(b"by hand"), dead(settings, "not_json", b"1")])
    result = await run_beside("replay", settings=settings)
    assert result.exit_code == 0
    assert result.stderr.startswith(f"{settings.topics.dlq} 0, offset 0: not a dead letter")
    assert await values_sent_back(settings) == Counter([b"1"])


async def test_a_message_from_a_partition_or_topic_that_is_gone_goes_by_its_key(topics: Topics) -> None:
    settings = await topics(partitions=2)
    elsewhere = Source(topic="elsewhere", partition=1, offset=0)
    letter = DeadLetter(id="any", cause="no_text", error="", source=elsewhere, failed_at=WHEN)
    gone = Record(b"elsewhere", b"k", encode_dead_letter(letter, (), "/test"), 0)
    source = Source(topic=settings.input_topic, partition=9, offset=0)
    letter = DeadLetter(id="any", cause="no_text", error="", source=source, failed_at=WHEN)
    await write(settings, [gone, Record(b"partition 9", b"k", encode_dead_letter(letter, (), "/test"), 0)])
    await replay(settings)
    first, second = await sent_back(settings)
    assert {first.value, second.value} == {b"elsewhere", b"partition 9"}
    assert first.partition == second.partition


async def test_what_failed_in_the_annotator_is_labelled_once_the_fault_is_mended(topics: Topics) -> None:
    settings = await topics()
    messages = [b'{"text": "joy"}', b'{"text": "fear, boom"}', b"not json"]
    await produce(settings.bootstrap_servers or "", settings.input_topic, messages)

    async def annotate(model: str) -> Counter[str]:
        """Label what is there; returns the labels of all messages so far."""
        done = await asyncio.to_thread(
            finished, "annotate", "--drain", "--include-text", "--model", model, settings=settings
        )
        assert done.returncode == 0, done.stderr
        events = await read_committed_all(settings.bootstrap_servers or "", settings.topics.emotions)
        return Counter(json.loads(event.value or b"")["text"] for event in events)

    assert await annotate("fake?fail_on=boom") == Counter(["joy"])
    await replay(settings, "--cause", "model_failed")
    assert await annotate("fake") == Counter(["joy", "fear, boom"])


async def annotate_all(settings: Settings) -> None:
    await Annotator(settings.model_copy(update={"drain": True}), FakeClassifier()).run()


async def test_a_message_that_was_cut_goes_back_whole_or_is_said_to_be_gone(configured: Topics) -> None:
    settings = await configured(
        messages={"max.message.bytes": 20_000_000}, dlq={"max.message.bytes": 100_000}
    )
    value, headers = random.Random(7).randbytes(2_000_000), [("tenant", b"7"), ("none", None)]
    await produce(settings.bootstrap_servers or "", settings.input_topic, [Record(value, b"k", headers)])
    await annotate_all(settings)
    [letter] = await read_committed_all(settings.bootstrap_servers or "", settings.topics.dlq)
    assert len(letter.value or b"") < 100_000
    assert "1  dead letters sent back" in await replay(settings)
    original, back = await sent_back(settings)
    assert (back.key, back.value, back.headers[:2]) == (b"k", value, original.headers)
    assert header(back, "dlq_timestamp") == str(original.timestamp)

    async with connected(settings) as admin:
        await admin.delete_records(
            {TopicPartition(settings.input_topic, 0): RecordsToDelete(before_offset=2)}
        )
    result = await run_beside("replay", "--again", settings=settings)
    assert "0  dead letters sent back" in result.stdout
    assert f"its original is gone from {settings.input_topic} 0, offset 0" in result.stderr


async def test_each_message_that_was_cut_goes_back_before_the_next_one_is_looked_for(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking for many in one transaction would take longer than it may be open."""
    settings = await topics(partitions=1)
    servers, values = settings.bootstrap_servers or "", [b"%d" % n * 5000 for n in range(3)]
    await produce(servers, settings.input_topic, values)
    letters = [dead(settings, "not_json", b"whole")]
    for offset, value in enumerate(values):
        source = Source(topic=settings.input_topic, partition=0, offset=offset)
        letter = DeadLetter(id="any", cause="not_json", error="what was wrong", source=source, failed_at=WHEN)
        cut = dead_letter_record(letter, None, value, (), source="/test", max_bytes=1, at_ms=WRITTEN_AT_MS)
        letters.append(Record(cut.value, headers=cut.headers))
    await write(settings, letters)
    there = []

    async def look(*arguments: Any) -> Any:
        there.append(len(await sent_back(settings)))
        return await find_original(*arguments)

    monkeypatch.setattr(replay_module, "find_original", look)
    await replay_module.replay_dead_letters(settings, CAUSES, limit=None, again=False, dry_run=False)
    assert there == [3, 5, 6]
    assert await values_sent_back(settings) == Counter({b"whole": 1} | dict.fromkeys(values, 2))


async def test_a_message_that_came_compressed_fits_when_it_goes_back(configured: Topics) -> None:
    settings = await configured(messages={}, dlq={"max.message.bytes": 20_000_000})
    value = b'{"text": "%s"}' % (b"the parcel " * 300_000)
    await write(settings, [dead(settings, "too_large", value)])
    assert "1  dead letters sent back" in await replay(settings)
    assert await values_sent_back(settings) == Counter([value])


async def test_a_message_that_does_not_fit_is_named_and_does_not_hold_up_others(configured: Topics) -> None:
    settings = await configured(messages={}, dlq={"max.message.bytes": 20_000_000})
    large = random.Random(7).randbytes(2_000_000)
    await write(settings, [dead(settings, "too_large", value) for value in (b"1", large, b"2")])
    result = await run_beside("replay", settings=settings)
    assert "2  dead letters sent back" in result.stdout
    assert "0, offset 1: not sent back" in result.stderr
    assert "max.message.bytes" in result.stderr
    assert await values_sent_back(settings) == Counter([b"1", b"2"])


async def test_a_replayed_message_counts_for_the_time_that_it_was_first_taken(topics: Topics) -> None:
    settings = await topics(partitions=1)
    await write(settings, [dead(settings, "model_failed", b'{"text": "joy"}')])
    await replay(settings)
    await annotate_all(settings)
    [event] = await read_committed_all(settings.bootstrap_servers or "", settings.topics.emotions)
    assert json.loads(event.value or b"")["ts"] == WHEN.isoformat().replace("+00:00", "Z")


def test_each_cause_has_a_consumer_group_of_its_own() -> None:
    assert replay_group("labels", "not_json") == "labels-replay-not_json"
