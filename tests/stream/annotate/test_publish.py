"""Partitions that change hands: what the owner before left open is aborted, and it commits nothing more."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import ProducerFenced
from aiokafka.structs import OffsetAndMetadata

from stream.annotate.notes import Note
from stream.annotate.publish import ExactlyOnce, Finished
from stream.deadline import Deadline
from stream.kafka import connection
from stream.limits import OutputLimits
from stream.membership import Membership, send_offsets
from stream.records import Record
from stream.settings import Settings
from stream.transactions import FencedError, producer_arguments, send
from tests.brokers import Broker
from tests.conftest import Topics
from tests.records import produce, read_committed_until
from tests.stream.annotate.test_standstill import needs_kafka

TIMEOUT_S: Final = 60.0
"""Of transactions: a test that needs less time than this has not waited for it."""


@asynccontextmanager
async def member(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of the group, which has given it all partitions of the input."""
    consumer = AIOKafkaConsumer(
        settings.input_topic, **connection(settings), group_id=settings.group_id, enable_auto_commit=False
    )
    async with consumer:
        while len(consumer.assignment()) < settings.partitions:
            await consumer.getmany(timeout_ms=100)
        yield consumer


@asynccontextmanager
async def publisher(settings: Settings, consumer: AIOKafkaConsumer) -> AsyncIterator[ExactlyOnce]:
    arguments = producer_arguments(connection(settings), settings.largest_record_bytes)
    membership = Membership.of(consumer)
    made = ExactlyOnce(consumer, membership, 0, int(TIMEOUT_S * 1000), arguments, OutputLimits())
    await made.start()
    try:
        yield made
    finally:
        await made.close(Deadline(1.0))


def places(settings: Settings) -> list[TopicPartition]:
    return [TopicPartition(settings.input_topic, number) for number in range(settings.partitions)]


def record(value: bytes) -> Record:
    return Record(key=None, value=value, headers=[], timestamp_ms=int(time.time() * 1000))


def finished(settings: Settings, offset: int, values: Sequence[bytes], owner: str | None) -> list[Finished]:
    """The same of every partition: these outcomes, and the offset to go on from."""
    note = str(Note(None, owner))
    return [
        Finished(
            place,
            {(settings.topics.emotions, place.partition): [record(value) for value in values]},
            OffsetAndMetadata(offset, note),
        )
        for place in places(settings)
    ]


async def claim(settings: Settings, owned: ExactlyOnce, offset: int) -> None:
    note = str(Note(None, owned.owner))
    await owned.claim({place: OffsetAndMetadata(offset, note) for place in places(settings)})


@pytest.mark.every_broker
async def test_partitions_share_a_transaction(topics: Topics) -> None:
    settings = await topics(partitions=3)
    async with member(settings) as consumer, publisher(settings, consumer) as owned:
        assert set((await owned.take_over(places(settings))).values()) == {None}
        await claim(settings, owned, 0)
        await owned.commit(finished(settings, 5, [b"a", b"b"], owned.owner))
        records = await read_committed_until(str(settings.bootstrap_servers), settings.topics.emotions, 6)
        assert sorted(str(found.value) for found in records) == [str(b"a")] * 3 + [str(b"b")] * 3
        offsets = await until_settled(settings, owned)
    assert {at.offset for at in offsets.values() if at} == {5}


async def until_settled(
    settings: Settings, owned: ExactlyOnce
) -> dict[TopicPartition, OffsetAndMetadata | None]:
    """The offsets, once the markers of the last transaction have reached them."""
    offsets: dict[TopicPartition, OffsetAndMetadata | None] = {}
    while len(offsets) < settings.partitions:
        offsets = await owned.take_over(places(settings))
    return offsets


@pytest.mark.every_broker
async def test_what_the_owner_before_has_left_open_is_aborted_at_once(topics: Topics) -> None:
    settings = await topics(partitions=2)
    async with member(settings) as first, publisher(settings, first) as dead:
        await claim(settings, dead, 0)
        await dead._producer.begin_transaction()  # it dies before it commits
        for part in finished(settings, 1, [b"never seen"], dead.owner):
            await send(dead._producer, part.output, lambda _: places(settings)[0], OutputLimits())
        started = time.monotonic()
        await first.stop()
        async with member(settings) as second, publisher(settings, second) as heir:
            offsets = await until_settled(settings, heir)
            assert {at.offset for at in offsets.values() if at} == {0}
            await claim(settings, heir, 0)
            await heir.commit(finished(settings, 1, [b"seen"], heir.owner))
            records = await read_committed_until(str(settings.bootstrap_servers), settings.topics.emotions, 2)
            assert [found.value for found in records] == [b"seen"] * 2
            assert time.monotonic() - started < TIMEOUT_S / 2, "readers waited for the timeout"
            with pytest.raises(ProducerFenced):
                await dead._producer.commit_transaction()


async def test_what_a_commit_that_is_cut_short_has_left_open_is_aborted_as_it_closes(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes next may find no note of it: offsets of a topic that is deleted are deleted with it."""
    settings = await topics(partitions=1)
    sent = asyncio.Event()

    async def stand_still(*_: object) -> None:
        sent.set()
        await asyncio.sleep(TIMEOUT_S)

    monkeypatch.setattr("stream.annotate.publish.send_offsets", stand_still)
    async with member(settings) as consumer, publisher(settings, consumer) as owned:
        cut_short = asyncio.create_task(owned.commit(finished(settings, 1, [b"never seen"], owned.owner)))
        await sent.wait()
        cut_short.cancel()
        await asyncio.wait({cut_short})
    servers, topic = str(settings.bootstrap_servers), settings.topics.emotions
    await produce(servers, topic, [b"seen"])
    [record] = await read_committed_until(servers, topic, 1, timeout_s=TIMEOUT_S / 2)
    assert record.value == b"seen"


async def test_a_generation_that_is_over_commits_nothing_though_nobody_fenced_it(
    topics: Topics, broker: Broker
) -> None:
    needs_kafka(broker, "takes offsets of any generation")
    settings = await topics(partitions=2)
    async with member(settings) as first, publisher(settings, first) as stale:
        await claim(settings, stale, 0)
        await first.stop()
        async with member(settings) as second:
            with pytest.raises(FencedError, match="rebalanced"):
                await stale.commit(finished(settings, 1, [b"never seen"], stale.owner))
            async with publisher(settings, second) as heir:
                offsets = await until_settled(settings, heir)
                assert {at.offset for at in offsets.values() if at} == {0}
                await heir.commit(finished(settings, 1, [b"seen"], heir.owner))
    records = await read_committed_until(str(settings.bootstrap_servers), settings.topics.emotions, 2)
    assert [found.value for found in records] == [b"seen"] * 2


async def test_an_offset_that_an_open_transaction_may_change_is_not_read(
    topics: Topics, broker: Broker
) -> None:
    needs_kafka(broker, "tells the offset that was committed before")
    settings = await topics(partitions=1)
    await produce(str(settings.bootstrap_servers), settings.input_topic, [b"x"])
    async with member(settings) as consumer, publisher(settings, consumer) as owned:
        await claim(settings, owned, 0)
        stuck = asyncio.create_task(stand_still_before_the_end(settings, owned))
        await asyncio.sleep(0)
        async with asyncio.timeout(TIMEOUT_S / 2):
            while await owned.take_over(places(settings)):
                pass
        stuck.cancel()


async def stand_still_before_the_end(settings: Settings, owned: ExactlyOnce) -> None:
    """All of a commit but its last step."""
    await owned._producer.begin_transaction()
    offsets = {place: OffsetAndMetadata(1, "") for place in places(settings)}
    await send_offsets(owned._producer, owned._membership, offsets)
    await asyncio.sleep(TIMEOUT_S)
