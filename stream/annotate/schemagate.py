"""Holds the records of a partition back while the registry does not tell their schema.

Only that partition waits: what came before goes on, and so do the others.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from stream.annotate.assigned import AssignedPartition

if TYPE_CHECKING:
    from stream.registry.client import SchemaRegistry


class SchemaGate:
    """Says which polled records can be read, where a registry is used."""

    def __init__(self, registry: "SchemaRegistry") -> None:
        self._registry = registry
        self._waiting: set[asyncio.Task[None]] = set()

    def lets_in(self, record: Any) -> bool:
        """Whether the record can be read now."""
        return self._registry.missing(record.value) is None

    async def told(self, partition: AssignedPartition, records: Sequence[Any]) -> bool:
        """Wait until the first of the records can be read; False where that was given up.

        The schemas of all of them are asked for.
        """
        number = self._registry.missing(records[0].value)
        if number is None:
            return True
        for record in records:
            if (other := self._registry.missing(record.value)) is not None:
                self._registry.ask(other)
        waiting = asyncio.create_task(self._registry.fetch(number))
        self._waiting.add(waiting)
        partition.waits_for_schema = True
        try:
            await asyncio.wait((waiting,))
            if not waiting.cancelled():
                waiting.result()
            return not waiting.cancelled()
        finally:
            waiting.cancel()
            self._waiting.discard(waiting)
            partition.waits_for_schema = False

    def give_up(self) -> None:
        """Wait for no schema any more: the partitions are given away."""
        for waiting in self._waiting:
            waiting.cancel()
