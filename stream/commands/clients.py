"""Kafka clients of commands that a person runs: started, stopped in bounded time, errors in our words."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from stream.errors import BrokerError
from stream.kafka import connection
from stream.settings import KafkaSettings

STOP_TIMEOUT_S: Final = 5.0
_POLL_MS: Final = 200


@contextmanager
def broker_errors(settings: KafkaSettings) -> Iterator[None]:
    """What a client raises, as a ``BrokerError`` that names the cluster."""
    try:
        yield
    except BrokenPipeError:  # whoever read our output has gone; it is not the cluster
        raise
    except (KafkaError, OSError, TimeoutError) as error:
        raise BrokerError(
            f"the Kafka cluster at {settings.bootstrap_servers} failed: {error or type(error).__name__}"
        ) from error


@asynccontextmanager
async def producing(settings: KafkaSettings, **arguments: Any) -> AsyncIterator[AIOKafkaProducer]:
    """An idempotent producer; ``arguments`` are aiokafka's."""
    producer = AIOKafkaProducer(**connection(settings), **{"enable_idempotence": True} | arguments)
    async with _running(producer):
        yield producer


@asynccontextmanager
async def consuming(
    settings: KafkaSettings, topic: str, partitions: int, *, group_id: str | None = None
) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of committed records, assigned to all partitions of a topic, that commits nothing itself."""
    consumer = AIOKafkaConsumer(
        **connection(settings),
        group_id=group_id,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    async with _running(consumer):
        consumer.assign([TopicPartition(topic, number) for number in range(partitions)])
        yield consumer


async def chunks_until(
    consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int], *, max_records: int = 500
) -> AsyncGenerator[list[Any], None]:
    """Records from the current positions up to the offsets ``ends``, in lists of at most ``max_records``."""
    unfinished = {partition for partition, end in ends.items() if await consumer.position(partition) < end}
    while unfinished:
        batches = await consumer.getmany(*unfinished, timeout_ms=_POLL_MS, max_records=max_records)
        chunk = [
            record
            for partition, batch in batches.items()
            for record in batch
            if record.offset < ends[partition]
        ]
        if chunk:
            yield chunk
        # The end of a topic with transactions is a marker, not a record: only the position reaches it.
        unfinished = {
            partition for partition in unfinished if await consumer.position(partition) < ends[partition]
        }


@asynccontextmanager
async def _running(client: AIOKafkaConsumer | AIOKafkaProducer) -> AsyncIterator[None]:
    try:
        await client.start()
        yield
    finally:
        # An idempotent producer would wait for its acknowledgements as long as the broker is away.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await client.stop()
