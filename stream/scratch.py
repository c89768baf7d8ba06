"""A cluster to try things on: a broker of its own, or a named cluster in topics of its own.

On a cluster, the names are new for each run and are deleted at the end, so that what is tried never mixes
with real messages, and two runs never with each other. Of the settings only those are taken that are named
here or by who tries: what is tried must reach no receiver and no registry, and no list of people or rules,
that were meant for real messages.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from aiokafka.errors import KafkaError
from pydantic import SecretStr

from stream.admin import connected
from stream.broker import EmbeddedBroker
from stream.classifier import model_folder
from stream.errors import BrokerError
from stream.settings import KafkaSettings, Settings

OF_THE_CLUSTER: Final = (
    *KafkaSettings.model_fields,
    "partitions",
    "replication_factor",
    "max_message_bytes",
    "session_timeout_ms",
    "transaction_timeout_ms",
    "start_timeout_s",
)
"""How to reach the cluster, and what it may have limits for."""

OF_THE_MODEL: Final = (
    "model",
    "device",
    "precision",
    "threads",
    "remember_texts",
    "max_batch_tokens",
    "text_parts",
    "label_unmeasured_languages",
)
"""Which model reads, how, and with what of the machine."""


@contextlib.contextmanager
def scratch_cluster(
    settings: Settings, purpose: str, keep: Iterable[str] = ()
) -> Iterator[tuple[Settings, str]]:
    """Settings for one run, and the name by which people are told of the cluster.

    ``keep`` names what is taken of ``settings`` beside the cluster, the model and the author key.

    Raises:
        BrokerError: the embedded broker does not start; name a cluster instead.
    """
    settings = settings_to_try(settings, keep)
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


def settings_to_try(settings: Settings, keep: Iterable[str]) -> Settings:
    """The settings of the cluster, of the model and those of ``keep``; all others are at their defaults.

    Without an author key it has a new one, and the folder of a model is named from the root.
    """
    kept = {name: getattr(settings, name) for name in (*OF_THE_CLUSTER, *OF_THE_MODEL, *keep)}
    kept["author_key"] = settings.author_key or SecretStr(secrets.token_urlsafe(32))
    for name in ("model", "shadow"):  # programs beside us have another working directory
        if name in kept and model_folder(kept[name]) is not None:
            kept[name] = str(Path(kept[name]).absolute())
    return Settings().model_copy(update=kept)


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
