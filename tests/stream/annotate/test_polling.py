"""A poll tells what keeps records away: a task that fetches no more, a batch that cannot be read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from stream.annotate.polling import poll
from stream.kafka import connection, stop_consumer
from stream.settings import Settings
from tests.conftest import Topics
from tests.records import produce


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
