"""Connections that aiokafka 0.14 forgets, and how they are closed all the same.

- A client that is cancelled while it asks the first broker about the cluster drops the connection it asks on.
- A connection that comes about while its client is being closed, or after it, is kept in a client that
  nobody closes again.

Nothing closes either before the garbage is collected: file descriptors here, and at the broker places among
``max.connections.per.ip``.
"""

import asyncio
from typing import Any, Final

from aiokafka import client as of_clients
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection

_opened: Final = dict["asyncio.Task[Any] | None", list[AIOKafkaConnection]]()
"""What each bootstrap that runs has opened, by its task."""

_connect: Final = of_clients.create_conn
_bootstrap: Final = AIOKafkaClient.bootstrap
_connection_of: Final = AIOKafkaClient._get_conn
_close: Final = AIOKafkaClient.close


def close_every_connection() -> None:
    """From now on, all clients of this process close what they have opened."""
    of_clients.create_conn = _connected
    AIOKafkaClient.bootstrap = _bootstrapped
    AIOKafkaClient._get_conn = _connection_while_open
    AIOKafkaClient.close = _closed


async def _connected(*place: Any, **arguments: Any) -> AIOKafkaConnection:
    connection = await _connect(*place, **arguments)
    if (opened := _opened.get(asyncio.current_task())) is not None:
        opened.append(connection)
    return connection


async def _bootstrapped(client: AIOKafkaClient) -> None:
    task = asyncio.current_task()
    opened = _opened[task] = []
    try:
        await _bootstrap(client)
    except BaseException:
        for connection in opened:
            connection.close()
        raise
    finally:
        del _opened[task]


async def _connection_while_open(client: AIOKafkaClient, *node: Any, **options: Any) -> Any:
    if _is_closed(client):
        return None
    connection = await _connection_of(client, *node, **options)
    if connection is not None and _is_closed(client):
        connection.close()
        return None
    return connection


def _is_closed(client: AIOKafkaClient) -> bool:
    return getattr(client, "_is_closed", False)


async def _closed(client: AIOKafkaClient) -> None:
    client._is_closed = True
    await _close(client)
