"""A producer that is broken does not hold up whoever stops it."""

import asyncio
import contextlib
from typing import Any, cast

from aiokafka import AIOKafkaProducer

from stream.deadline import Deadline
from stream.transactions import stop_producer


class Deaf:
    """Ends at no cancellation, as aiokafka's sender did while its coordinator was away."""

    def __init__(self) -> None:
        self.client = self
        self.calls: list[str] = []

    async def stop(self) -> None:
        await self._for_ever("stop")

    async def close(self) -> None:
        await self._for_ever("close")

    async def _for_ever(self, call: str) -> None:
        self.calls.append(call)
        for _ in range(6):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(1.0)


async def test_a_producer_that_ignores_cancellation_is_left() -> None:
    deaf = Deaf()
    async with asyncio.timeout(10):
        await stop_producer(cast(Any, deaf), Deadline(0.2))
    assert deaf.calls == ["stop", "close"]


async def test_a_producer_that_was_never_started_stops_at_once() -> None:
    producer = AIOKafkaProducer(bootstrap_servers="localhost:1")
    async with asyncio.timeout(10):
        await stop_producer(producer, Deadline(5.0))
