"""Holds the records of a partition back while the registry does not tell their schema.

Only that partition waits: it is fetched no further, what came before goes on, and so do the others. Records
that wait are in no ledger, so a partition that is given away leaves them to its next owner.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer

from stream.annotate.assigned import AssignedPartition
from stream.annotate.partition import PartitionState

if TYPE_CHECKING:
    from stream.registry.client import SchemaRegistry

Admit = Callable[[AssignedPartition, Sequence[Any]], Awaitable[None]]


class SchemaGate:
    """Stands between the poll of one pipeline and its admission, where a registry is used."""

    def __init__(self, registry: "SchemaRegistry", consumer: AIOKafkaConsumer, admit: Admit) -> None:
        self._registry = registry
        self._consumer = consumer
        self._admit = admit
        self._waiting: set[asyncio.Task[None]] = set()

    def readable(
        self, partition: AssignedPartition, records: Sequence[Any], tasks: asyncio.TaskGroup
    ) -> Sequence[Any]:
        """The records that can be read now; from the first that cannot on, they come when they can."""
        for place, record in enumerate(records):
            if self._registry.missing(record.value) is not None:
                held = records[place:]
                partition.held = len(held)
                self._consumer.pause(partition.tp)
                task = tasks.create_task(
                    self._release(partition, held),
                    name=f"schemas-{partition.tp.topic}-{partition.tp.partition}",
                )
                self._waiting.add(task)
                task.add_done_callback(self._waiting.discard)
                return records[:place]
        return records

    def give_up(self) -> None:
        """Wait for no schema any more: the partitions are given away."""
        for task in self._waiting:
            task.cancel()

    async def _release(self, partition: AssignedPartition, held: Sequence[Any]) -> None:
        try:
            missing = {self._registry.missing(record.value) for record in held}
            await asyncio.gather(*(self._registry.fetch(number) for number in missing if number is not None))
        finally:
            partition.held = 0
        if not partition.state.admits:
            return
        await self._admit(partition, held)
        if partition.held == 0 and partition.state is PartitionState.RUNNING:
            self._consumer.resume(partition.tp)
