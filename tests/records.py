"""Producing to and reading from topics, as tests do it."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import ConsumerRecord, RecordMetadata, TopicPartition

from stream.admin import check_topics, connected, partition_counts
from stream.settings import KafkaSettings

MARKERS_S: Final = 0.4
"""How long the markers of a transaction that is said to be committed may take to reach its partitions."""

Headers: TypeAlias = Sequence[tuple[str, bytes | None]]
Records: TypeAlias = "list[ConsumerRecord[bytes | None, bytes | None]]"


@dataclass(frozen=True, slots=True)
class Record:
    """What a test produces; a ``value`` of None is a tombstone, which aiokafka sends only with a key."""

    value: bytes | None
    key: bytes | None = None
    headers: Headers = ()
    partition: int | None = None
    timestamp_ms: int | None = None


CODECS: Final = (None, "gzip", "snappy", "lz4", "zstd")


async def produce(
    bootstrap_servers: str,
    topic: str,
    records: Iterable[Record | bytes | None],
    *,
    codec: str | None = None,
) -> list[RecordMetadata]:
    """Produce in order; returns where each record lies, in the same order."""
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers,
        enable_idempotence=True,
        max_request_size=16_000_000,
        compression_type=codec,
    ) as producer:
        sent = []
        for item in records:
            record = item if isinstance(item, Record) else Record(item)
            sent.append(
                await producer.send(
                    topic,
                    value=record.value,
                    key=record.key,
                    headers=list(record.headers),
                    partition=record.partition,
                    timestamp_ms=record.timestamp_ms,
                )
            )
        return list(await asyncio.gather(*sent))


async def produce_batch(
    bootstrap_servers: str, topic: str, values: Iterable[bytes], *, codec: str, key: bytes | None = None
) -> None:
    """Produce all values in one batch, to the first partition."""
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers, compression_type=codec, max_batch_size=16_000_000
    ) as producer:
        batch = producer.create_batch()
        for value in values:
            assert batch.append(timestamp=None, key=key, value=value) is not None
        await (await producer.send_batch(batch, topic, partition=0))


async def read_committed_all(bootstrap_servers: str, topic: str, *, timeout_s: float = 30.0) -> Records:
    """Every committed record that the topic holds now, by partition and offset.

    A broker says that a transaction is committed before its partitions know it, so the end of what they call
    committed is looked for anew for a moment.

    Raises:
        TimeoutError: the end was not reached.
    """
    found: Records = []
    async with asyncio.timeout(timeout_s), _reader(bootstrap_servers, topic) as consumer:
        known_at = time.monotonic() + MARKERS_S
        while True:
            ends = await consumer.end_offsets(list(consumer.assignment()))
            while any([await consumer.position(partition) < end for partition, end in ends.items()]):
                for batch in (await consumer.getmany(timeout_ms=100)).values():
                    found += batch
            if time.monotonic() >= known_at:
                break
            await asyncio.sleep(MARKERS_S / 5)
    return sorted(found, key=lambda record: (record.partition, record.offset))


async def read_committed_until(
    bootstrap_servers: str, topic: str, count: int, *, timeout_s: float = 30.0
) -> Records:
    """The first ``count`` committed records or some more, waiting until that many are there.

    Raises:
        TimeoutError: fewer came; the message says how many.
    """
    found: Records = []
    try:
        async with asyncio.timeout(timeout_s), _reader(bootstrap_servers, topic) as consumer:
            while len(found) < count:
                for batch in (await consumer.getmany(timeout_ms=100)).values():
                    found += batch
    except TimeoutError as error:
        raise TimeoutError(f"{len(found)} of {count} records in {topic} after {timeout_s} s") from error
    return sorted(found, key=lambda record: (record.partition, record.offset))


async def delete_topic(settings: KafkaSettings, topic: str) -> None:
    """Delete a topic; returns when the broker tells of it no more: it says that it is done before that."""
    async with connected(settings) as admin:
        await admin.delete_topics([topic])
    async with asyncio.timeout(20):
        while await partition_counts(settings, [topic]):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def header(record: "ConsumerRecord[bytes | None, bytes | None]", name: str) -> str | None:
    """The last header of this name, as text."""
    values = [value for key, value in record.headers if key == name]
    return values[-1].decode() if values else None


@asynccontextmanager
async def _reader(bootstrap_servers: str, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A read_committed consumer, at the start of every partition of the topic."""
    counts = await check_topics(KafkaSettings(bootstrap_servers=bootstrap_servers), [topic])
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, number) for number in range(counts[topic])])
        yield consumer
    finally:
        await consumer.stop()
