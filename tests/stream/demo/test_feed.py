"""What the demo sends: messages as people write them, a few broken inputs, at a steady rate."""

import asyncio
import itertools
import time
from collections import Counter
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from stream.codec import decode_message
from stream.demo.feed import BROKEN, Record, Sent, messages_of, own_messages, send_all, take
from stream.errors import InputFileError, MessageError
from stream.events import Message
from tests.conftest import Topics

MAX_BYTES = 262_144


def decoded(record: Record) -> Message:
    return decode_message(record.value, (), "json", MAX_BYTES)


@pytest.fixture(scope="module")
def messages() -> list[Message]:
    return [decoded(record) for record in own_messages() if record.value not in BROKEN]


def test_there_are_enough_messages_and_no_two_say_the_same(messages: list[Message]) -> None:
    assert len(messages) >= 320
    assert len({message.text for message in messages}) == len(messages)
    assert len({message.id for message in messages}) == len(messages)


def test_every_message_says_where_it_was_written_and_by_whom(messages: list[Message]) -> None:
    assert all(message.author and message.channel for message in messages)
    channels = {"support", "billing", "community", "peer-support", "app-reviews"}
    assert {message.channel for message in messages} == channels


def test_lengths_range_from_one_word_to_beyond_what_the_model_reads_at_once(messages: list[Message]) -> None:
    words = sorted(len(message.text.split()) for message in messages)
    assert words[0] == 1
    assert words[-4] > 150
    assert words[-1] > 450  # at 1.25 tokens a word and more: over 512 tokens, so read in several windows


def test_some_authors_write_often_enough_to_have_a_baseline(messages: list[Message]) -> None:
    written = Counter((message.author, message.channel) for message in messages)
    assert written["quietharbour", "peer-support"] >= 10


def test_each_broken_input_is_broken_in_its_own_way() -> None:
    causes = set()
    for value in BROKEN:
        with pytest.raises(MessageError) as refused:
            decode_message(value, (), "json", MAX_BYTES)
        causes.add(refused.value.cause)
    assert len(causes) == len(BROKEN)


def test_broken_inputs_are_spread_among_the_messages() -> None:
    records = own_messages()
    places = [number for number, record in enumerate(records) if record.value in BROKEN]
    assert len(places) == len(BROKEN)
    gaps = {later - earlier for earlier, later in itertools.pairwise(places)}
    assert max(gaps) - min(gaps) <= 1
    assert places[0] > 0
    assert places[-1] < len(records) - 1


def test_an_authors_messages_share_their_key() -> None:
    for record in own_messages():
        if record.value not in BROKEN:
            assert record.key == (decoded(record).author or "").encode()


def test_a_count_beyond_the_last_message_begins_again() -> None:
    records = [Record(None, b"a"), Record(None, b"b")]
    assert [record.value for record in take(records, 5)] == [b"a", b"b", b"a", b"b", b"a"]
    assert take(records, None) == records
    assert take(records, 1) == records[:1]


def test_lines_of_a_file_are_sent_as_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_bytes(b'{"text": "hello", "author": "ann"}\n\nnot json\n[1]\n{"text": 1, "author": 2}\n')
    assert messages_of(file) == [
        Record(b"ann", b'{"text": "hello", "author": "ann"}'),
        Record(None, b"not json"),
        Record(None, b"[1]"),
        Record(None, b'{"text": 1, "author": 2}'),
    ]


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_a_file_without_lines_is_refused_with_the_flag_to_change(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "empty.jsonl"
    file.write_bytes(content)
    with pytest.raises(InputFileError, match="--input"):
        messages_of(file)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"none\.jsonl"):
        messages_of(tmp_path / "none.jsonl")


async def test_every_record_is_told_of_with_its_place(topics: Topics) -> None:
    settings = await topics()
    told: list[Sent] = []
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers) as producer:
        await send_all(
            producer,
            settings.input_topic,
            [Record(b"key", b"%d" % number) for number in range(50)],
            rate=0,
            stop=asyncio.Event(),
            on_sent=told.append,
        )
    assert sorted(sent.offset for sent in told) == list(range(50))
    assert len({sent.partition for sent in told}) == 1
    assert all(sent.sent_at <= time.monotonic() for sent in told)


async def test_stop_ends_the_feed_in_the_middle(topics: Topics) -> None:
    settings = await topics()
    stop, told = asyncio.Event(), list[Sent]()

    def on_sent(sent: Sent) -> None:
        told.append(sent)
        stop.set()

    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers) as producer:
        records = [Record(None, b"x")] * 1000
        await send_all(producer, settings.input_topic, records, rate=20, stop=stop, on_sent=on_sent)
    assert 1 <= len(told) < 100
