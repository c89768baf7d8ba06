"""A poll tells what keeps records away: a task that fetches no more, a batch that cannot be read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from stream.annotate.polling import poll
from stream.errors import RecordError
from stream.kafka import connection, stop_consumer
from stream.settings import Settings
from tests.conftest import Topics
from tests.records import Record, produce
from tests.stream.annotate.test_annotator import until


@asynccontextmanager
async def consuming(settings: Settings, **arguments: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of all partitions of the input, at their beginning."""
    consumer = AIOKafkaConsumer(
        **connection(settings), auto_offset_reset="earliest", enable_auto_commit=False, **arguments
    )
    await consumer.start()
    try:
        consumer.assign(
            [TopicPartition(settings.input_topic, number) for number in range(settings.partitions)]
        )
        yield consumer
    finally:
        await stop_consumer(consumer, 5)


async def poll_until_it_fails(consumer: AIOKafkaConsumer, max_records: int) -> None:
    async with asyncio.timeout(20):
        while True:
            await poll(consumer, timeout_ms=50, max_records=max_records)


async def test_a_consumer_that_fetches_no_more_is_an_error_and_not_an_empty_topic(topics: Topics) -> None:
    settings = await topics(partitions=1)
    await produce(str(settings.bootstrap_servers), settings.input_topic, [b"x"])
    # A size that the protocol has no room for ends the task in which aiokafka fetches.
    async with consuming(settings, max_partition_fetch_bytes=2**31) as consumer:
        with pytest.raises(KafkaError, match="fetching has ended"):
            await poll_until_it_fails(consumer, 10)


async def test_a_batch_that_cannot_be_read_is_named_without_reading_what_others_have_in_store(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = await topics(partitions=2)
    servers, topic = str(settings.bootstrap_servers), settings.input_topic
    backlog = [Record(bytes(10_000), partition=0) for _ in range(200)]
    await produce(servers, topic, backlog)
    await produce(servers, topic, [Record(b"x", partition=1) for _ in range(3)])
    await produce(servers, topic, [Record(b"x", partition=1)], codec="zstd")
    monkeypatch.setattr("aiokafka.codec.has_zstd", lambda: False)
    async with consuming(settings, max_partition_fetch_bytes=100_000) as consumer:
        with pytest.raises(RecordError, match=r"partition 1: what lies at offset 3 cannot be read.*zstd"):
            await poll_until_it_fails(consumer, 1)
        assert await consumer.position(TopicPartition(topic, 0)) < len(backlog)


async def test_who_has_not_polled_for_too_long_leaves_the_group_though_a_poll_before_had_failed(
    topics: Topics,
) -> None:
    settings = await topics(partitions=1)
    consumer = AIOKafkaConsumer(
        settings.input_topic,
        **connection(settings),
        group_id=settings.group_id,
        session_timeout_ms=6000,
        heartbeat_interval_ms=200,
        max_poll_interval_ms=500,
    )
    await consumer.start()
    try:
        await until(lambda: bool(consumer.assignment()))
        assert await poll(consumer, timeout_ms=5000) == {}, "longer than a poll may last"
        assert consumer._coordinator.member_id
        await until(lambda: not consumer._coordinator.member_id)
    finally:
        await stop_consumer(consumer, 5)
