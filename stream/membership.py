"""Offsets of a consumer group, guarded by the membership that they belong to (KIP-447).

A group has a generation, which grows whenever partitions are shared out. The coordinator refuses an offset
that comes under another one: so a member that has lost its partitions, and does not know it, commits nothing.

aiokafka 0.14 sends offsets into a transaction without member and generation (TxnOffsetCommit v0), and reads
committed offsets that an open transaction may still change (OffsetFetch v3). The requests here are our own.
Brokers know them since Kafka 2.5.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.client import CoordinationType
from aiokafka.errors import CommitFailedError, KafkaError, NotCoordinatorError, for_code
from aiokafka.producer.sender import AddOffsetsToTxnHandler, BaseHandler
from aiokafka.structs import OffsetAndMetadata

from stream.coordinators import raise_what_stays
from stream.errors import SettingsError
from stream.offsetrequests import OffsetFetch, TxnOffsetCommit

_NO_OFFSET: Final = -1

_UNSTABLE_OFFSET_COMMIT: Final = 88
_NOT_A_MEMBER: Final = frozenset({22, 25, 27, 82})
"""ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, REBALANCE_IN_PROGRESS, FENCED_INSTANCE_ID."""


@dataclass(frozen=True, slots=True)
class Membership:
    """A member of a group in one generation: in no other has it these partitions.

    ``generation`` is -1 where it is a member no longer.
    """

    group_id: str
    member_id: str
    generation: int

    @classmethod
    def of(cls, consumer: AIOKafkaConsumer) -> "Membership":
        """That of a consumer to which the group has just given its partitions."""
        coordinator = consumer._coordinator
        return cls(coordinator.group_id, coordinator.member_id, coordinator.generation)


async def settled_offsets(
    consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, OffsetAndMetadata | None]:
    """What the group has committed, None where nothing is.

    Partitions whose offset an open transaction may still change are left out.

    Raises:
        KafkaError: the coordinator refuses to tell.
        SettingsError: the brokers do not know the request.
    """
    coordinator = consumer._coordinator
    request = OffsetFetch(coordinator.group_id, partitions)
    while True:
        await coordinator.ensure_coordinator_known()
        try:
            return _offsets(await _asked(coordinator._send_req(request)))
        except KafkaError as error:
            if isinstance(error, NotCoordinatorError):
                coordinator.coordinator_dead()
            elif not error.retriable:
                raise
            await asyncio.sleep(coordinator._retry_backoff_ms / 1000)


async def send_offsets(
    producer: AIOKafkaProducer, membership: Membership, offsets: Mapping[TopicPartition, OffsetAndMetadata]
) -> None:
    """Offsets to go on from, as a part of the producer's open transaction, under ``membership``.

    Its records are to be with the brokers already: nothing else may happen in the transaction meanwhile.

    Raises:
        CommitFailedError: it is not the membership that the group knows.
        ProducerFenced: somebody has taken the producer's transactional id over.
        KafkaError: the coordinator refuses them.
        SettingsError: the brokers do not know the request.
    """
    if membership.generation < 0:  # the coordinator would take it for somebody who needs no group
        raise CommitFailedError
    sender, group_id = producer._sender, membership.group_id
    transactional_id = sender._txn_manager.transactional_id
    adding = AddOffsetsToTxnHandler(sender, group_id)
    while not await adding.do(await sender._find_coordinator(CoordinationType.TRANSACTION, transactional_id)):
        pass  # the handler has waited before it gave up
    sending = _OffsetsHandler(sender, membership, offsets)
    while not await _asked(sending.do(await sender._find_coordinator(CoordinationType.GROUP, group_id))):
        pass


async def _asked(answer: Any) -> Any:
    try:
        return await answer
    except NotImplementedError as error:  # aiokafka: no version that both sides know
        raise SettingsError(
            "exactly once needs Kafka 2.5 or later (KIP-447): use --guarantee at_least_once"
        ) from error


def _offsets(answer: Any) -> dict[TopicPartition, OffsetAndMetadata | None]:
    if answer.error_code:
        raise for_code(answer.error_code)()
    found: dict[TopicPartition, OffsetAndMetadata | None] = {}
    for topic, partitions, _ in answer.topics:
        for number, offset, _, metadata, code, _ in partitions:
            if code == _UNSTABLE_OFFSET_COMMIT:
                continue
            if code:
                raise for_code(code)()
            known = offset != _NO_OFFSET
            found[TopicPartition(topic, number)] = (
                OffsetAndMetadata(offset, metadata or "") if known else None
            )
    return found


class _OffsetsHandler(BaseHandler):  # type: ignore[misc]  # aiokafka ships no types for it
    """aiokafka's handler of TxnOffsetCommit, with the membership."""

    group = AddOffsetsToTxnHandler.group

    def __init__(
        self, sender: Any, membership: Membership, offsets: Mapping[TopicPartition, OffsetAndMetadata]
    ) -> None:
        super().__init__(sender)
        self._membership = membership
        self._offsets = offsets

    def create_request(self) -> TxnOffsetCommit:
        producer, member = self._sender._txn_manager, self._membership
        return TxnOffsetCommit(
            producer.transactional_id,
            producer.producer_id,
            producer.producer_epoch,
            member.group_id,
            member.member_id,
            member.generation,
            self._offsets,
        )

    def handle_response(self, answer: Any) -> float | None:
        """Seconds until it is to be tried again, None where it is done."""
        codes = {code for _, partitions, _ in answer.topics for _, code, _ in partitions} - {0}
        if codes & _NOT_A_MEMBER:
            raise CommitFailedError
        raise_what_stays(codes, self._membership.group_id)
        return self.handle_error() if codes else None

    def handle_error(self) -> float:
        self._sender._coordinator_dead(CoordinationType.GROUP)
        return float(self._default_backoff)
