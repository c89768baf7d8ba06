"""Records and the offset that stands for them, in one Kafka transaction.

``Transactions`` keeps one transactional producer for one input partition. The monitor's consumer is Faust's,
whose offsets bear no generation of the group; a zombie is fenced by its transactional id alone. That is why
the id belongs to the input partition, and why the committed offset is read only after the id was taken over.
The annotator has one transaction for all its partitions: ``stream.annotate.publish``.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    BrokerResponseError,
    CommitFailedError,
    IllegalOperation,
    InvalidProducerEpoch,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    ProducerFenced,
    RecordListTooLargeError,
    UnsupportedForMessageFormatError,
    kafka_errors,
)

from stream.coordinators import begin_transaction
from stream.deadline import Deadline
from stream.ids import transactional_id
from stream.kafka import stop_or_close
from stream.limits import OutputLimits
from stream.records import LastOffsets, Output, Record, size_bytes

_log = structlog.get_logger(__name__)

_BATCH_BYTES = 512 * 1024


class FencedError(Exception):
    """Another process has taken over this partition; nothing of the transaction became visible."""


class PublishError(Exception):
    """The commit failed. Joining the group again starts over from the offsets that Kafka has."""


class RefusedError(PublishError):
    """A broker refuses a record for what it is, and will refuse it again."""


SourceOf = Callable[[Record], TopicPartition]
"""The input partition that a record is an outcome of."""


class InvalidRecordError(BrokerResponseError):  # type: ignore[misc]  # aiokafka ships no types for it
    """The topic takes no such record: one without a key, say, where it is compacted (KIP-467)."""

    errno = 87
    message = "INVALID_RECORD"


kafka_errors[InvalidRecordError.errno] = InvalidRecordError  # aiokafka does not know it

_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
_REFUSED = (
    *_TOO_LARGE,
    InvalidRecordError,
    InvalidTimestampError,
    PolicyViolationError,
    UnsupportedForMessageFormatError,
)


class Transactions:
    """Commits the output of one input partition together with its offset."""

    def __init__(
        self,
        partition: TopicPartition,
        group_id: str,
        timeout_s: float,
        producer: AIOKafkaProducer,
        limits: OutputLimits,
    ) -> None:
        self._limits = limits
        self._partition = partition
        self._group_id = group_id
        self._timeout_s = timeout_s
        self._producer = producer

    @classmethod
    async def start(
        cls,
        partition: TopicPartition,
        group_id: str,
        transaction_timeout_ms: int,
        arguments: dict[str, Any],
        limits: OutputLimits,
    ) -> "Transactions":
        """Take over the transactional id: its old owner is fenced, its open transaction aborted.

        ``limits`` outlive it: what a topic has refused must be known to the next one, too.

        Raises:
            PublishError: no coordinator answered, or it refused.
        """
        producer = AIOKafkaProducer(
            **arguments,
            transactional_id=transactional_id(group_id, partition.topic, partition.partition),
            transaction_timeout_ms=transaction_timeout_ms,
        )
        timeout_s = transaction_timeout_ms / 1000
        await start_producer(producer, timeout_s)
        return cls(partition, group_id, timeout_s, producer, limits)

    async def commit(self, output: Output, next_offset: int) -> LastOffsets:
        """Publish ``output`` and the offset to go on from, all or nothing.

        Raises:
            FencedError: the partition belongs to somebody else.
            PublishError: it could not be done, and this object is of no more use.
            RefusedError: nor will it ever be.
        """
        producer = self._producer
        async with answered_within(self._timeout_s):
            # 1. Begin: from here on, all or nothing.
            await begin_transaction(producer, output)
            # 2. Hand over the records and 3. wait until the brokers have them.
            last_offsets = await send(producer, output, lambda _: self._partition, self._limits)
            # 4. The offset, in the same transaction.
            await producer.send_offsets_to_transaction({self._partition: next_offset}, self._group_id)
            # 5. Commit: readers of committed data see it all from here on.
            await producer.commit_transaction()
        return last_offsets

    async def close(self, deadline: Deadline) -> None:
        """Stop the producer. A transaction that is open is aborted by the next owner of its id."""
        await stop_producer(self._producer, deadline)


def producer_arguments(connection: dict[str, Any], largest_record_bytes: int) -> dict[str, Any]:
    """Arguments of every producer here. Batches are built by us, so nothing lingers.

    A batch has at most half a megabyte, and what its topic takes, or holds one larger record.
    """
    return {
        **connection,
        "acks": "all",
        "linger_ms": 0,
        "max_batch_size": largest_record_bytes,
        "max_request_size": 2 * largest_record_bytes,
    }


async def send(
    producer: AIOKafkaProducer, output: Output, source_of: SourceOf, limits: OutputLimits
) -> LastOffsets:
    """Send everything and wait for the acknowledgements; on an error all of them are looked at.

    Raises:
        RefusedError: a broker does not take a record, for what it is; names the message whose outcome
            that is.
        PublishError: a topic takes less than was known: ``limits`` are lowered, and the next try may succeed.
    """
    pending = [
        asyncio.ensure_future(_send_records(producer, place, records, source_of, limits))
        for place, records in output.items()
    ]
    results = await asyncio.gather(*pending, return_exceptions=True)
    last_offsets: LastOffsets = {}
    for place, result in zip(output, results, strict=True):
        if isinstance(result, BaseException):
            raise result
        last_offsets[place] = result
    return last_offsets


async def start_producer(producer: AIOKafkaProducer, timeout_s: float) -> None:
    """Start a producer; one that does not get there is stopped again.

    Raises:
        PublishError: the brokers did not answer in time, or refused.
    """
    try:
        async with asyncio.timeout(timeout_s):
            await producer.start()
    except TimeoutError as error:
        await stop_producer(producer, Deadline(1.0))
        raise PublishError("no transaction coordinator answered (transaction_timeout_ms)") from error
    except KafkaError as error:
        await stop_producer(producer, Deadline(1.0))
        raise PublishError(f"{type(error).__name__}: {error}") from error
    except asyncio.CancelledError:
        await asyncio.shield(stop_producer(producer, Deadline(1.0)))
        raise


async def stop_producer(producer: AIOKafkaProducer, deadline: Deadline) -> None:
    """Stop a producer; one that is broken neither holds us up nor ends us."""
    await stop_or_close(producer, producer.client, max(0.1, deadline.remaining_s))


@contextlib.asynccontextmanager
async def answered_within(timeout_s: float) -> AsyncIterator[None]:
    """A conversation with brokers, with aiokafka's errors as the two that matter here: fenced, or failed."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except (ProducerFenced, InvalidProducerEpoch) as error:
        raise FencedError(str(error)) from error
    except CommitFailedError as error:
        raise FencedError("the group has rebalanced") from error
    except TimeoutError as error:
        raise PublishError("the brokers did not answer in time (transaction_timeout_ms)") from error
    # aiokafka asserts its own states after a failure, or calls what comes after it illegal.
    except (KafkaError, AssertionError, IllegalOperation) as error:
        if isinstance(error.__cause__, ProducerFenced | InvalidProducerEpoch):
            raise FencedError(str(error)) from error
        raise PublishError(f"{type(error).__name__}: {error}") from error


async def _send_records(
    producer: AIOKafkaProducer,
    place: tuple[str, int],
    records: list[Record],
    source_of: SourceOf,
    limits: OutputLimits,
) -> int:
    """The offset of the last record; -1 where there is none."""
    topic, number = place
    last_offset = -1
    for together in _batches(records, min(_BATCH_BYTES, limits.of(topic))):
        batch = producer.create_batch()
        for record in together:
            added = batch.append(
                timestamp=record.timestamp_ms, key=record.key, value=record.value, headers=record.headers
            )
            assert added is not None, "the producer's batches are smaller than ours"
        acknowledged = await producer.send_batch(batch, topic, partition=number)
        try:
            last_offset = (await acknowledged).offset + len(together) - 1
        except _REFUSED as error:
            size = sum(map(size_bytes, together))
            if isinstance(error, _TOO_LARGE) and limits.lower(topic, size):
                raise PublishError(
                    f"topic {topic} refused {size} bytes: from now on it gets {limits.of(topic)} at most"
                ) from None
            raise RefusedError(_refused(error, topic, number, together, source_of)) from error
    return last_offset


def _refused(error: KafkaError, topic: str, number: int, together: list[Record], source_of: SourceOf) -> str:
    largest = max(together, key=size_bytes)
    source = source_of(largest)
    if largest.offset < 0:  # the monitor's are of no one record
        offsets = ""
    elif isinstance(error, _TOO_LARGE):
        offsets = f", offset {largest.offset}"
    else:
        own = [record.offset for record in together if source_of(record) == source]
        offsets = f", offsets {own[0]} to {own[-1]}"
    return (
        f"topic {topic}, partition {number}, refused {size_bytes(largest)} bytes ({type(error).__name__}), "
        f"the outcome of topic {source.topic}, partition {source.partition}{offsets}"
    )


def _batches(records: list[Record], most_bytes: int) -> Iterator[list[Record]]:
    """Records in lists of at most so many bytes; one that is larger goes alone."""
    together: list[Record] = []
    filled = 0
    for record in records:
        size = size_bytes(record)
        if together and filled + size > most_bytes:
            yield together
            together, filled = [], 0
        together.append(record)
        filled += size
    if together:
        yield together
