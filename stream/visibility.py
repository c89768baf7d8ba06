"""When a topic that was created is there for everybody: every broker tells of it."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from stream.adminclient import TIMEOUT_S
from stream.errors import TopicError

ONE_BROKER_S: Final = 3.0
"""How long one broker of several is waited for, where the others can do without it."""


async def until_visible(client: AIOKafkaAdminClient, wanted: Mapping[str, int]) -> None:
    """Wait until every broker tells of these topics, with so many partitions that have a leader.

    A cluster says that a topic is created before its brokers know it: under KRaft each reads the metadata
    log at its own pace (KIP-500), and a client asks any of them.

    Raises:
        TopicError: a broker does not tell of a topic within ``TIMEOUT_S``.
    """
    deadline = time.monotonic() + TIMEOUT_S
    while unseen := await _unseen(client, wanted):
        if time.monotonic() > deadline:
            raise TopicError(
                f"created, but not yet known to every broker after {TIMEOUT_S:g} s: {', '.join(unseen)}: "
                "wait for: emotion-stream topics check"
            )
        await asyncio.sleep(0.05)


async def _unseen(client: AIOKafkaAdminClient, wanted: Mapping[str, int]) -> list[str]:
    """Topics that some broker does not tell of as wanted."""
    nodes = [broker.nodeId for broker in client._client.cluster.brokers()]
    told = await asyncio.gather(*(_told_by(client, node) for node in nodes))
    answers = [partitions for partitions in told if partitions is not None]
    if not answers:
        await client._client.force_metadata_update()
        return list(wanted)
    return [
        topic
        for topic, count in wanted.items()
        if any(partitions.get(topic, -1) < count for partitions in answers)
    ]


async def _told_by(client: AIOKafkaAdminClient, node: int) -> dict[str, int] | None:
    """Each topic's number of partitions that have a leader, as one broker tells it.

    None where it does not answer: then it misleads nobody, and it knows all when it is back.
    """
    try:
        async with asyncio.timeout(ONE_BROKER_S):
            answer = await client._send_request(MetadataRequest(), node)
    except (KafkaError, OSError, TimeoutError):
        return None
    return {
        topic["topic"]: sum(partition["leader"] >= 0 for partition in topic["partitions"])
        for topic in answer.to_object()["topics"]
        if topic["partitions"]
    }
