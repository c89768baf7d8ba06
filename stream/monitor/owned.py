"""The partitions that the group gave us, each proven ours by a transactional id.

    assigned ─► fence the owner before ─► mark the changelog's end ─► (Faust recovers) ─► commit … ─► released

Whoever held a partition before and does not know that it has lost it (a frozen process, a paused virtual
machine) is fenced before we read where it left off: nothing that it still writes becomes visible.
"""

import asyncio
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

from aiokafka import TopicPartition
from faust.types import TP

from stream.deadline import Deadline
from stream.kafka import connection
from stream.monitor.driver import StateTable
from stream.settings import Settings
from stream.transactions import Transactions, producer_arguments


class OwnedPartitions:
    """Takes partitions of the counts and signals over, and releases them.

    ``tables`` holds, by topic, the table with the state of its partitions.
    """

    def __init__(self, settings: Settings, tables: dict[str, StateTable]) -> None:
        self._settings = settings
        self._tables = tables
        self._transactions: dict[TP, Transactions] = {}
        self._marks: dict[TP, bytes] = {}

    async def take_over(self, assigned: Iterable[TP]) -> None:
        """Fence whoever held these partitions, and mark where their state ends.

        Raises:
            PublishError: the brokers did not answer, or refused.
            faust.exceptions.ProducerSendError, aiokafka.errors.KafkaError: a mark could not be written.
        """
        await self.release(Deadline(self._settings.revoke_timeout_s))
        arguments = producer_arguments(connection(self._settings), self._settings.largest_record_bytes)
        sources = [tp for tp in assigned if tp.topic in self._tables]
        results = await asyncio.gather(*(self._take(tp, arguments) for tp in sources), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                await self.release(Deadline(self._settings.revoke_timeout_s))
                raise result

    @property
    def held(self) -> tuple[TP, ...]:
        """All partitions that are ours."""
        return tuple(self._transactions)

    def is_recovered(self, tp: TP) -> bool:
        """Whether the table holds the partition's state up to our mark."""
        return self._tables[tp.topic].mark_of(tp.partition) == self._marks[tp]

    def transactions(self, tp: TP) -> Transactions | None:
        """What commits for a partition; None where it is not ours."""
        return self._transactions.get(tp)

    async def release(self, deadline: Deadline) -> None:
        """Let all partitions go."""
        released, self._transactions, self._marks = self._transactions, {}, {}
        await asyncio.gather(*(one.close(deadline) for one in released.values()))

    async def _take(self, tp: TP, arguments: dict[str, Any]) -> None:
        settings = self._settings
        self._transactions[tp] = await Transactions.start(
            TopicPartition(*tp), settings.monitor_group_id, settings.transaction_timeout_ms, arguments
        )
        self._marks[tp] = uuid4().hex.encode()
        await self._tables[tp.topic].mark(tp.partition, self._marks[tp])
