"""No client of Kafka leaves a connection open, whenever it is cancelled or closed."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiokafka import client as of_clients
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.metadata import MetadataRequest

from stream.kafka import connection
from tests.conftest import Topics
from tests.stream.monitor.test_delivery import eventually


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[AIOKafkaConnection]:
    """Every connection that is made."""
    made: list[AIOKafkaConnection] = []
    connect = AIOKafkaConnection.connect

    async def noted(this: AIOKafkaConnection) -> object:
        made.append(this)
        return await connect(this)

    monkeypatch.setattr(AIOKafkaConnection, "connect", noted)
    return made


async def test_a_client_that_is_cancelled_while_it_learns_of_the_cluster_closes_its_connection(
    topics: Topics, opened: list[AIOKafkaConnection], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = await topics(partitions=1)
    opened.clear()
    send = AIOKafkaConnection.send
    asked = asyncio.Event()

    def unanswered(this: AIOKafkaConnection, request: object, *args: object, **options: object) -> object:
        if not isinstance(request, MetadataRequest):
            return send(this, request, *args, **options)
        asked.set()
        return asyncio.get_running_loop().create_future()

    monkeypatch.setattr(AIOKafkaConnection, "send", unanswered)
    starting = asyncio.create_task(AIOKafkaClient(**connection(settings)).bootstrap())
    await asyncio.wait_for(asked.wait(), 10)
    starting.cancel()
    await asyncio.wait({starting})
    assert starting.cancelled()
    await eventually(lambda: not any(one.connected() for one in opened))
    assert opened


async def test_a_connection_that_comes_about_while_its_client_closes_is_closed(
    topics: Topics, opened: list[AIOKafkaConnection], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = await topics(partitions=1)
    client = AIOKafkaClient(**connection(settings))
    await client.bootstrap()
    opened.clear()
    connect: Callable[..., Awaitable[AIOKafkaConnection]] = of_clients.create_conn
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow(*place: object, **arguments: object) -> AIOKafkaConnection:
        made = await connect(*place, **arguments)
        begun.set()
        await may_end.wait()
        return made

    monkeypatch.setattr(of_clients, "create_conn", slow)
    asking = asyncio.create_task(client.ready(client.get_random_node()))
    await asyncio.wait_for(begun.wait(), 10)
    await client.close()
    may_end.set()
    assert not await asking
    await eventually(lambda: not any(one.connected() for one in opened))
    assert opened
