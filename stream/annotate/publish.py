"""Publishing what is finished, together with the offsets that say so: exactly once, or at least once."""

import asyncio
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from stream.deadline import Deadline
from stream.limits import OutputLimits
from stream.records import LastOffsets, Output
from stream.transactions import kafka_errors_translated, send, start_producer


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


async def start_shared_producer(timeout_s: float, arguments: dict[str, Any]) -> AIOKafkaProducer:
    """The producer that ``AtLeastOnce`` publishers share; idempotent, so that a retry does not double."""
    producer = AIOKafkaProducer(**arguments, enable_idempotence=True)
    await start_producer(producer, timeout_s)
    return producer
