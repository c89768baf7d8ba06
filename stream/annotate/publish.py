"""Publishing what is finished, together with the offsets that say so: exactly once, or at least once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from stream.deadline import Deadline
from stream.kafka import connection
from stream.limits import OutputLimits
from stream.records import LastOffsets, Output
from stream.settings import Settings
from stream.transactions import (
    Transactions,
    kafka_errors_translated,
    producer_arguments,
    send,
    start_producer,
    stop_producer,
)


class Publisher(Protocol):
    """Publishes the outcomes of one input partition. ``stream.transactions.Transactions`` is one."""

    async def commit(self, output: Output, next_offset: int, note: str = "") -> LastOffsets:
        """Publish ``output`` and the offset to go on from, with a note kept beside the offset.

        Raises:
            FencedError: the partition belongs to somebody else.
            PublishError: it could not be done.
            RefusedError: nor will it ever be.
        """
        ...

    async def close(self, deadline: Deadline) -> None: ...


class AtLeastOnce:
    """Output first, offset after it; a crash in between repeats messages. Partitions share a producer."""

    def __init__(
        self,
        partition: TopicPartition,
        consumer: AIOKafkaConsumer,
        producer: AIOKafkaProducer,
        timeout_s: float,
        limits: OutputLimits,
    ) -> None:
        self._limits = limits
        self._partition = partition
        self._consumer = consumer
        self._producer = producer
        self._timeout_s = timeout_s

    async def commit(self, output: Output, next_offset: int, note: str = "") -> LastOffsets:
        with kafka_errors_translated():
            async with asyncio.timeout(self._timeout_s):
                last_offsets = await send(self._producer, output, self._partition, self._limits)
                await self._consumer.commit({self._partition: OffsetAndMetadata(next_offset, note)})
        return last_offsets

    async def close(self, deadline: Deadline) -> None:
        """The producer is shared: whoever started it stops it."""


OpenPublisher = Callable[[TopicPartition], Awaitable[Publisher]]
"""Takes a partition over, and gives its publisher."""


@asynccontextmanager
async def publishers(
    settings: Settings, consumer: AIOKafkaConsumer, limits: OutputLimits
) -> AsyncIterator[OpenPublisher]:
    """How a partition gets its publisher, for the guarantee that was asked for."""
    arguments = producer_arguments(connection(settings), settings.largest_record_bytes)
    timeout_ms = settings.transaction_timeout_ms

    if settings.guarantee == "exactly_once":

        async def transactional(tp: TopicPartition) -> Publisher:
            return await Transactions.start(tp, settings.group_id, timeout_ms, arguments, limits)

        yield transactional
        return

    # Idempotent, so that a retry of the client does not double what it sends.
    producer = AIOKafkaProducer(**arguments, enable_idempotence=True)
    await start_producer(producer, timeout_ms / 1000)

    async def plain(tp: TopicPartition) -> Publisher:
        return AtLeastOnce(tp, consumer, producer, timeout_ms / 1000, limits)

    try:
        yield plain
    finally:
        await stop_producer(producer, Deadline(settings.revoke_timeout_s))
