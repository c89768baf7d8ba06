"""A transaction's partitions, and what coordinators answer to its requests: done, not yet, or an error."""

from collections.abc import Iterable
from typing import Any, Final

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.client import CoordinationType
from aiokafka.errors import (
    ConcurrentTransactions,
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    NoError,
    NotCoordinatorError,
    OperationNotAttempted,
    ProducerFenced,
    RequestTimedOutError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.producer.sender import AddPartitionsToTxnHandler

_FENCED: Final = frozenset({47, 90})
"""INVALID_PRODUCER_EPOCH, PRODUCER_FENCED."""
_PASSING: Final = (
    ConcurrentTransactions,
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    NotCoordinatorError,
    RequestTimedOutError,
    UnknownTopicOrPartitionError,
)

_MARKERS_WRITTEN_S: Final = 0.02
"""Pause before a coordinator is asked again that still writes the markers of the last commit (KAFKA-5477)."""


async def begin_transaction(producer: AIOKafkaProducer, places: Iterable[tuple[str, int]]) -> None:
    """Begin a transaction that these partitions are a part of, before anything is sent to them.

    aiokafka would ask for them too, but where one is refused it sends what is for the others all the same: a
    broker that does not check (Kafka before 3.6) keeps that as a transaction that nobody ever ends.

    Raises:
        ProducerFenced: somebody has taken the producer's transactional id over.
        TopicAuthorizationFailedError: with the topics that this user may not write to.
        KafkaError: the coordinator refuses them.
    """
    await producer.begin_transaction()
    sender = producer._sender
    coordinator = CoordinationType.TRANSACTION, sender._txn_manager.transactional_id
    handler = _PartitionsHandler(sender, [TopicPartition(*place) for place in places])
    while not await handler.do(await sender._find_coordinator(*coordinator)):
        pass  # the handler has waited before it gave up


class _PartitionsHandler(AddPartitionsToTxnHandler):  # type: ignore[misc]  # aiokafka ships no types for it
    """aiokafka's handler, which raises what it is refused instead of leaving it to the sender."""

    def handle_response(self, answer: Any) -> float | None:
        """Seconds until it is to be tried again, None where it is done."""
        codes = {
            TopicPartition(topic, number): code
            for topic, partitions in answer.errors
            for number, code in partitions
            if code not in (NoError.errno, OperationNotAttempted.errno)
        }
        forbidden = {tp.topic for tp, code in codes.items() if code == TopicAuthorizationFailedError.errno}
        if forbidden:
            raise TopicAuthorizationFailedError(forbidden)
        raise_what_stays(codes.values(), self._sender._txn_manager.transactional_id)
        if ConcurrentTransactions.errno in codes.values():
            return _MARKERS_WRITTEN_S
        if codes:
            return float(self.handle_error())
        self._sender._txn_manager.txn_partitions.update(self._tps)
        return None


def raise_what_stays(codes: Iterable[int], name: str) -> None:
    """Return only where the same request can succeed later; ``name`` is what an error is told of.

    Raises:
        ProducerFenced: somebody has taken the producer's transactional id over.
        KafkaError: the coordinator refuses the request.
    """
    for code in codes:
        if code in _FENCED:
            raise ProducerFenced
        error = for_code(code)
        if not issubclass(error, _PASSING):
            raise error(name)
