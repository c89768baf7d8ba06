"""A cluster to try things on: a broker of its own, or a named cluster in topics of its own.

On a cluster, the names are new for each run and are deleted at the end, so that what is tried never mixes
with real messages, and two runs never with each other.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Iterator

from aiokafka.errors import KafkaError
from pydantic import SecretStr

from stream.admin import connected
from stream.broker import EmbeddedBroker
from stream.errors import BrokerError
from stream.settings import Settings


@contextlib.contextmanager
def scratch_cluster(settings: Settings, purpose: str) -> Iterator[tuple[Settings, str]]:
    """Settings for one run, and the name by which people are told of the cluster.

    Raises:
        BrokerError: the embedded broker does not start; name a cluster instead.
    """
    key = settings.author_key or SecretStr(secrets.token_urlsafe(32))
    settings = settings.model_copy(update={"author_key": key})
    if not settings.bootstrap_servers:
        with EmbeddedBroker() as broker:
            address = broker.bootstrap_servers
            yield settings.model_copy(update={"bootstrap_servers": address}), f"embedded at {address}"
        return
    name = f"emotion-{purpose}-{secrets.token_hex(4)}"
    names = {"input_topic": f"{name}-messages", "topic_prefix": name, "group_id": name}
    settings = settings.model_copy(update=names)
    try:
        yield settings, str(settings.bootstrap_servers)
    finally:
        asyncio.run(_delete_topics(settings, name))


async def _delete_topics(settings: Settings, prefix: str) -> None:
    """Delete all topics that begin with ``prefix``: ours, and those that state stores added."""
    try:
        async with connected(settings) as client:
            ours = [topic for topic in await client.list_topics() if topic.startswith(prefix)]
            if ours:
                await client.delete_topics(ours)
    except KafkaError as error:
        raise BrokerError(
            f"the topics of this run could not be deleted ({error or type(error).__name__}): "
            f"delete those named {prefix}* by hand"
        ) from error
