"""The partitions that the group gave us, each proven ours by a transactional id, each with its state.

    assigned ─► fence the owner before ─► read the changelog to its end ─► seek ─► commit … ─► released

Whoever held a partition before and does not know that it has lost it (a frozen process, a paused virtual
machine) is fenced before we read where it left off: nothing that it still writes becomes visible. All of
this happens outside of the rebalance: the group does not wait for it, however long it takes.
"""

import asyncio
import shutil
from collections.abc import Iterable
from typing import Any

import structlog
from aiokafka import TopicPartition
from faust.types import TP

from stream.deadline import Deadline
from stream.kafka import connection
from stream.limits import OutputLimits
from stream.monitor.changelogs import changelog_of, prepare_changelogs, recover
from stream.monitor.state import DiskState, MemoryState, PartitionState, Proof
from stream.records import Record
from stream.settings import Settings
from stream.transactions import Transactions, producer_arguments

_log = structlog.get_logger(__name__)


class OwnedPartitions:
    """Takes partitions of the counts and signals over, and releases them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._limits = OutputLimits()
        self._transactions: dict[TP, Transactions] = {}
        self._states: dict[TP, PartitionState] = {}
        self._in_memory: dict[TP, PartitionState] = {}

    async def take_over(self, assigned: Iterable[TP]) -> None:
        """Fence whoever held these partitions, and bring their state up to date. All of them, or none.

        Raises:
            PublishError: the brokers did not answer, or refused.
            BrokerError, TopicError: a changelog cannot be read, or cannot be given a partition.
        """
        assigned = sorted(assigned)
        try:
            await asyncio.gather(*(self._fence(tp) for tp in assigned))
            await self._prepare(assigned)
            states = {
                TopicPartition(changelog_of(self._settings, tp.topic), tp.partition): tp for tp in assigned
            }
            for tp in assigned:
                self._states[tp] = self._open(tp)
            recovering = {changelog: self._states[tp] for changelog, tp in states.items()}
            await recover(self._settings, recovering, self._settings.stall_timeout_s)
        except BaseException:
            await self.release(Deadline(self._settings.revoke_timeout_s), assigned)
            raise

    @property
    def held(self) -> tuple[TP, ...]:
        """All partitions that are ours."""
        return tuple(self._transactions)

    def transactions(self, tp: TP) -> Transactions | None:
        """What commits for a partition; None where it is not ours."""
        return self._transactions.get(tp)

    def state(self, tp: TP) -> PartitionState:
        """The state of a partition that is ours."""
        return self._states[tp]

    def apply(self, tp: TP, records: Iterable[Record], last_offset: int, now: float) -> None:
        """Take over what a checkpoint has written to the changelog."""
        state = self._states.get(tp)
        if state is not None and state.proof is not None:
            changes = [(record.key or b"", record.value) for record in records]
            state.apply(changes, Proof(state.proof.changelog, last_offset + 1, now))

    async def release(self, deadline: Deadline, tps: Iterable[TP] | None = None) -> None:
        """Let partitions go: all of them, if none are named."""
        released = tuple(self._transactions.keys() | self._states.keys()) if tps is None else tuple(tps)
        producers = [one for tp in released if (one := self._transactions.pop(tp, None))]
        for tp in released:
            if state := self._states.pop(tp, None):
                state.close()
        await asyncio.gather(*(one.close(deadline) for one in producers))

    async def _fence(self, tp: TP) -> None:
        settings = self._settings
        arguments: dict[str, Any] = producer_arguments(connection(settings), settings.largest_record_bytes)
        self._transactions[tp] = await Transactions.start(
            TopicPartition(*tp),
            settings.monitor_group_id,
            settings.transaction_timeout_ms,
            arguments,
            self._limits,
        )

    async def _prepare(self, assigned: Iterable[TP]) -> None:
        """A source may have grown since the monitor was started."""
        needed: dict[str, int] = {}
        for tp in assigned:
            needed[tp.topic] = max(needed.get(tp.topic, 0), tp.partition + 1)
        await prepare_changelogs(self._settings, needed)

    def _open(self, tp: TP) -> PartitionState:
        if self._settings.state_store == "memory":
            return self._in_memory.setdefault(tp, MemoryState())
        name = changelog_of(self._settings, tp.topic)
        return DiskState(self._settings.state_dir / name / str(tp.partition))


def discard_old_files(settings: Settings) -> None:
    """Delete the tables of version 0.1, which had dropped values: the changelogs hold all that they held."""
    for tables in settings.state_dir.glob("v[0-9]*/tables"):
        if any(tables.glob("*.db")):
            _log.warning("local state of an older version is deleted, and read anew", folder=str(tables))
            shutil.rmtree(tables.parent, ignore_errors=True)
