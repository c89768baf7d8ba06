"""From polled records to entries in the ledger of their partition, in the order of offsets.

    poll ─► a slice of each partition at once ─► ledger and tokenizer
                    └─► the rest, slice after slice, in a task of its own

How long a record takes to read depends on what somebody wrote: a mail of 70 kB takes 12 ms, and a poll
brings up to a thousand records. Between two slices heartbeats are sent, and the other partitions go on. A
partition of which records are left is fetched no further until they are in its ledger. Records whose schema
the registry does not tell are left, too. What is left is in no ledger, so a partition that is given away
leaves it to its next owner.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer

from stream.annotate.admission import Admission
from stream.annotate.assigned import AssignedPartition
from stream.annotate.ledger import Entry
from stream.annotate.partition import PartitionState
from stream.annotate.schemagate import SchemaGate
from stream.annotate.tracing import Tracing

SLICE_S: Final = 0.05
"""Longest that reading records keeps the event loop, but for the one that is being read then."""
_FULL_S: Final = 0.05
"""How often a partition with more in flight than its share is looked at."""


class Intake:
    """Reads what one consumer has polled. ``hand_over`` takes entries that wait for their outcome;
    ``is_full`` says whether a partition has its share in flight.
    """

    def __init__(
        self,
        admission: Admission,
        consumer: AIOKafkaConsumer,
        tracing: Tracing,
        gate: SchemaGate | None,
        hand_over: Callable[[list[Entry]], Awaitable[None]],
        is_full: Callable[[AssignedPartition], bool],
    ) -> None:
        self._admission = admission
        self._consumer = consumer
        self._tracing = tracing
        self._gate = gate
        self._hand_over = hand_over
        self._is_full = is_full
        self._rests: dict[AssignedPartition, asyncio.Task[None]] = {}
        self._turn = asyncio.Lock()
        """Rests take turns: one slice of each would keep the event loop as long as there are partitions."""

    async def take(
        self, polled: Sequence[tuple[AssignedPartition, Sequence[Any]]], tasks: asyncio.TaskGroup
    ) -> None:
        """Read what each partition was polled of: a slice now, what is left in ``tasks``."""
        for partition, records in polled:
            partition.held = len(records)
        until = time.monotonic() + SLICE_S
        for partition, records in polled:
            rest = await self._slice(partition, records)
            if rest and partition.state.admits:
                self._consumer.pause(partition.tp)
                name = f"rest-{partition.tp.topic}-{partition.tp.partition}"
                task = tasks.create_task(self._take_rest(partition, rest), name=name)
                self._rests[partition] = task
            if time.monotonic() > until:
                await asyncio.sleep(0)
                until = time.monotonic() + SLICE_S

    def holds(self, partition: AssignedPartition) -> bool:
        """Whether what is left of a partition is being read or handed over: then it is not to be fetched."""
        return partition in self._rests

    def give_up(self) -> None:
        """Wait for no schema any more: the partitions are given away."""
        if self._gate is not None:
            self._gate.give_up()

    def close(self) -> None:
        """Read no more: nobody takes over what is read."""
        for task in self._rests.values():
            task.cancel()

    async def _slice(self, partition: AssignedPartition, records: Sequence[Any]) -> Sequence[Any]:
        """Read records for as long as a slice is, or up to one whose schema is missing; the others."""
        admitted: list[Entry] = []
        place, since_ns, until = 0, time.time_ns(), time.monotonic() + SLICE_S
        if not partition.state.admits:
            records = ()
        while place < len(records) and (self._gate is None or self._gate.lets_in(records[place])):
            entry = self._admission.admit(records[place])
            place += 1
            if partition.ledger.enter(entry):
                admitted.append(entry)
            if time.monotonic() > until:
                break
        partition.held = len(records) - place
        self._tracing.received(partition.tp.topic, partition.tp.partition, admitted, since_ns)
        partition.notify()
        readable = [entry for entry in admitted if entry.outcome is None]
        if readable:  # all at once: each time that the thread takes over costs as much as a dozen messages
            await self._hand_over(readable)
        return records[place:]

    async def _take_rest(self, partition: AssignedPartition, rest: Sequence[Any]) -> None:
        try:
            while rest and partition.state.admits:
                if self._is_full(partition):
                    await asyncio.sleep(_FULL_S)
                    continue
                if self._gate is not None and not await self._gate.told(partition, rest):
                    return
                async with self._turn:
                    rest = await self._slice(partition, rest)
                    await asyncio.sleep(0)
        finally:  # what is left is still held, so that nobody takes it for read
            self._rests.pop(partition, None)
        if partition.state is PartitionState.RUNNING:
            self._consumer.resume(partition.tp)
