"""No client of Kafka leaves a connection open, whenever it is cancelled or closed."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import client as of_clients
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.metadata import MetadataRequest

from stream.deadline import Deadline
from stream.kafka import connection, stop_consumer
from stream.transactions import stop_producer
from tests.brokers import ApacheKafka, Broker, Embedded
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


async def test_a_client_that_has_learnt_of_the_cluster_forgets_the_connections_that_it_closes(
    topics: Topics,
) -> None:
    settings = await topics(partitions=1)
    client = AIOKafkaClient(**connection(settings))
    await client.bootstrap()
    closed = []
    for _ in range(3):
        await client.force_metadata_update()
        for one in client._conns.values():
            one.close()
            closed.append(weakref.ref(one))
    del one
    await client.force_metadata_update()  # in the place of the last one it opens another
    await eventually(lambda: (gc.collect(), not any(ref() for ref in closed))[1])
    await client.close()


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


async def test_a_consumer_that_cannot_leave_its_group_in_time_asks_no_broker_any_more(
    broker: Broker, topics: Topics, opened: list[AIOKafkaConnection]
) -> None:
    if not isinstance(broker, Embedded | ApacheKafka):
        pytest.skip("this broker's process is not ours to freeze: use --kafka=embedded or apache")
    settings = await topics(partitions=1)
    consumer = AIOKafkaConsumer(
        settings.input_topic, **connection(settings), group_id=settings.group_id, session_timeout_ms=6000
    )
    await consumer.start()
    await consumer.getmany(timeout_ms=1000)
    broker.pause()
    try:
        await stop_consumer(consumer, 0.2)
    finally:
        broker.resume()
        broker.member_died(settings.group_id, settings.client_id)
    opened.clear()
    await eventually(lambda: consumer._fetcher._fetch_task.done())
    assert not await consumer._client.ready(broker_of(consumer))
    assert not opened


async def test_a_producer_that_cannot_send_in_time_keeps_nothing(broker: Broker, topics: Topics) -> None:
    if not isinstance(broker, Embedded | ApacheKafka):
        pytest.skip("this broker's process is not ours to freeze: use --kafka=embedded or apache")
    settings = await topics(partitions=1)
    producer = AIOKafkaProducer(**connection(settings))
    await producer.start()
    await producer.send_and_wait(settings.input_topic, b"x")
    broker.pause()
    try:
        unsent = await producer.send(settings.input_topic, b"x")
        await stop_producer(producer, Deadline(0.2))
    finally:
        broker.resume()
    await eventually(lambda: producer._sender.sender_task.done())
    unsent.cancel()


def broker_of(consumer: AIOKafkaConsumer) -> int:
    return int(consumer._client.get_random_node())
