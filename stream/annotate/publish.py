"""Publishing what is finished, together with the offsets that say so: exactly once, or at least once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from stream.annotate.notes import Note
from stream.coordinators import begin_transaction
from stream.deadline import Deadline
from stream.ids import member_transactional_id
from stream.kafka import connection
from stream.limits import OutputLimits
from stream.membership import Membership, send_offsets, settled_offsets
from stream.records import Output, Record
from stream.settings import Settings
from stream.transactions import (
    PublishError,
    answered_within,
    producer_arguments,
    send,
    start_producer,
    stop_producer,
)

Offsets = Mapping[TopicPartition, OffsetAndMetadata]


@dataclass(frozen=True, slots=True)
class Finished:
    """What a commit says of one input partition: the outcomes of its next messages, and where it goes on."""

    partition: TopicPartition
    output: Output
    next_offset: OffsetAndMetadata


class Publisher(Protocol):
    """Publishes for partitions that one generation of the group has given us.

    All methods raise ``FencedError`` where the partitions are somebody else's by now, and ``PublishError``
    where it could not be done: then this object is of no more use.
    """

    owner: str | None
    """What the note beside an offset names: who is to be fenced by whoever comes next."""

    async def take_over(
        self, partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata | None]:
        """Fence whoever had these partitions; then the committed offsets, None where nothing is committed.

        Left out are those that an open transaction of nobody we know may still change.
        """
        ...

    async def claim(self, offsets: Offsets) -> None:
        """Commit offsets without output: whoever comes next finds our note."""
        ...

    async def commit(self, finished: Sequence[Finished]) -> None:
        """Publish all of this, and the offsets to go on from.

        Raises:
            RefusedError: a broker refuses a record for what it is, and will again.
        """
        ...

    async def close(self, deadline: Deadline) -> None: ...


class ExactlyOnce:
    """Partitions in one transaction, under the membership that they were given to us with (KIP-447).

    Two things keep a zombie from publishing. The coordinator takes offsets of the current generation alone;
    and whoever takes a partition over fences the transactional id that the note beside its offset names. That
    aborts at once what the zombie has left open, where readers of committed data would wait for its timeout.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        membership: Membership,
        number: int,
        timeout_ms: int,
        arguments: dict[str, Any],
        limits: OutputLimits,
    ) -> None:
        self.owner: str | None = member_transactional_id(
            membership.group_id, membership.member_id, membership.generation, number
        )
        self._consumer = consumer
        self._membership = membership
        self._arguments = arguments | {"transaction_timeout_ms": timeout_ms}
        self._timeout_s = timeout_ms / 1000
        self._limits = limits
        self._producer = AIOKafkaProducer(**self._arguments, transactional_id=self.owner)
        self._may_be_open = False

    async def start(self) -> None:
        """Begin to use the transactional id.

        Raises:
            PublishError: no coordinator answered, or it refused.
        """
        await start_producer(self._producer, self._timeout_s)

    async def take_over(
        self, partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata | None]:
        async with answered_within(self._timeout_s):
            noted = await _noted_offsets(self._consumer, partitions)
            owners = {Note.parse(at.metadata).owner for at in noted.values()}
            await asyncio.gather(*(self._fence(owner) for owner in owners if owner and owner != self.owner))
            # Only now: read first, an old owner could still commit in between.
            return await settled_offsets(self._consumer, partitions)

    async def claim(self, offsets: Offsets) -> None:
        await _commit_alone(self._consumer, offsets, self._timeout_s)

    async def commit(self, finished: Sequence[Finished]) -> None:
        producer = self._producer
        async with answered_within(self._timeout_s):
            output = _together(finished)
            # 1. Begin: from here on, all or nothing.
            self._may_be_open = True
            await begin_transaction(producer, output)
            # 2. Hand over the records and 3. wait until the brokers have them. Offsets at the same time
            # would be no faster: the coordinator refuses one of the two for the moment (error 51).
            await send(producer, output, _sources(finished), self._limits)
            # 4. The offsets, in the same transaction, of this generation.
            await send_offsets(producer, self._membership, _offsets(finished))
            # 5. Commit: readers of committed data see it all from here on.
            await producer.commit_transaction()
            self._may_be_open = False

    async def close(self, deadline: Deadline) -> None:
        """Stop the producer, and abort what it may have left open.

        Where there is no time for that, whoever comes next does it, who finds our note. With a topic that is
        deleted its notes are gone, though, and readers of committed data would wait for the timeout.
        """
        await stop_producer(self._producer, deadline)
        if self._may_be_open and self.owner is not None and deadline.remaining_s:
            with suppress(TimeoutError, PublishError):
                async with asyncio.timeout(deadline.remaining_s):
                    await self._fence(self.owner)

    async def _fence(self, owner: str) -> None:
        """Take over the id of a generation that is over: what it has left open is aborted."""
        producer = AIOKafkaProducer(**self._arguments, transactional_id=owner)
        await start_producer(producer, self._timeout_s)
        await stop_producer(producer, Deadline(self._timeout_s))


class AtLeastOnce:
    """Output first, offsets after it; a crash in between repeats messages."""

    owner: str | None = None

    def __init__(
        self, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, timeout_s: float, limits: OutputLimits
    ) -> None:
        self._consumer = consumer
        self._producer = producer
        self._timeout_s = timeout_s
        self._limits = limits

    async def take_over(
        self, partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata | None]:
        async with answered_within(self._timeout_s):
            found = await _noted_offsets(self._consumer, partitions)
        return {partition: found.get(partition) for partition in partitions}

    async def claim(self, offsets: Offsets) -> None:
        await _commit_alone(self._consumer, offsets, self._timeout_s)

    async def commit(self, finished: Sequence[Finished]) -> None:
        async with answered_within(self._timeout_s):
            await send(self._producer, _together(finished), _sources(finished), self._limits)
            await self._consumer.commit(_offsets(finished))

    async def close(self, deadline: Deadline) -> None:
        """The producer is shared: whoever started it stops it."""


OpenPublisher = Callable[[Membership, int], Awaitable[Publisher]]
"""A publisher for partitions of a membership, which may have several: each by its number."""


@asynccontextmanager
async def publishers(
    settings: Settings, consumer: AIOKafkaConsumer, limits: OutputLimits
) -> AsyncIterator[OpenPublisher]:
    """How the partitions get their publisher, for the guarantee that was asked for."""
    arguments = producer_arguments(connection(settings), settings.largest_record_bytes)
    timeout_ms = settings.transaction_timeout_ms

    if settings.guarantee == "exactly_once":

        async def transactional(membership: Membership, number: int) -> Publisher:
            publisher = ExactlyOnce(consumer, membership, number, timeout_ms, arguments, limits)
            await publisher.start()
            return publisher

        yield transactional
        return

    # Idempotent, so that a retry of the client does not double what it sends.
    producer = AIOKafkaProducer(**arguments, enable_idempotence=True)
    await start_producer(producer, timeout_ms / 1000)

    async def plain(membership: Membership, number: int) -> Publisher:  # noqa: ARG001
        return AtLeastOnce(consumer, producer, timeout_ms / 1000, limits)

    try:
        yield plain
    finally:
        await stop_producer(producer, Deadline(settings.revoke_timeout_s))


async def _noted_offsets(
    consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, OffsetAndMetadata]:
    """What is committed, with its note, which ``consumer.committed`` leaves out."""
    found: dict[TopicPartition, OffsetAndMetadata] = await consumer._coordinator.fetch_committed_offsets(
        list(partitions)
    )
    return found


async def _commit_alone(consumer: AIOKafkaConsumer, offsets: Offsets, timeout_s: float) -> None:
    if offsets:
        async with answered_within(timeout_s):
            await consumer.commit(dict(offsets))


def _offsets(finished: Sequence[Finished]) -> dict[TopicPartition, OffsetAndMetadata]:
    return {part.partition: part.next_offset for part in finished}


def _together(finished: Sequence[Finished]) -> Output:
    """The records of all partitions, by where they go."""
    output: Output = {}
    for part in finished:
        for place, records in part.output.items():
            output.setdefault(place, []).extend(records)
    return output


def _sources(finished: Sequence[Finished]) -> Callable[[Record], TopicPartition]:
    """Whose outcome a record is; asked when a broker has refused it, and not before."""

    def source_of(record: Record) -> TopicPartition:
        return next(
            part.partition
            for part in finished
            if any(record is one for records in part.output.values() for one in records)
        )

    return source_of
