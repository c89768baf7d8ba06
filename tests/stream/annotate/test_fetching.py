"""Fetches: at once for a message that comes alone, gathering at the broker while messages keep coming."""

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.structs import TopicPartition

from stream.annotate.fetching import Gathering
from tests.conftest import Topics


class Fetches:
    """The fetches that a consumer sends."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._sent: asyncio.Queue[tuple[int, int]] = asyncio.Queue()
        self._send = consumer._client.send
        consumer._client.send = self._noted

    async def _noted(self, node: int, request: Any, **others: Any) -> Any:
        if isinstance(request, FetchRequest):
            self._sent.put_nowait((request._max_wait_ms, request._min_bytes))
        return await self._send(node, request, **others)

    async def next(self) -> tuple[int, int]:
        """Longest wait in milliseconds and least bytes of the fetch that is sent next."""
        while not self._sent.empty():
            self._sent.get_nowait()
        return await asyncio.wait_for(self._sent.get(), 30)


ALONE = (500, 1)


@pytest.mark.parametrize(("gather_s", "gathers"), [(0.0, ALONE), (0.01, (10, 65_536)), (60.0, (500, 65_536))])
async def test_a_fetch_gathers_once_messages_come_and_until_they_cease(
    topics: Topics, gather_s: float, gathers: tuple[int, int]
) -> None:
    settings = await topics(partitions=1)
    place = TopicPartition(settings.input_topic, 0)
    async with AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers) as consumer:
        consumer.assign([place])
        consumer.seek(place, 0)
        gathering, fetches = Gathering(consumer, gather_s), Fetches(consumer)
        gathering.polled(anything=False)
        assert await fetches.next() == ALONE
        gathering.polled(anything=True)
        assert await fetches.next() == gathers
        gathering.polled(anything=False)
        assert await fetches.next() == ALONE
