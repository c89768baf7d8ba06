"""Clients of aiokafka: their connection arguments, from the settings, and how they are stopped."""

import asyncio
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.abc import AbstractTokenProvider
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.helpers import create_ssl_context

from stream.batches import read_every_batch
from stream.connections import close_every_connection
from stream.errors import SettingsError
from stream.settings import KafkaSettings
from stream.unpacking import bound_unpacking

METADATA_MAX_AGE_MS: Final = 5_000
"""How soon a consumer hears of partitions that a topic has got."""

_log = structlog.get_logger(__name__)

read_every_batch()
bound_unpacking()
close_every_connection()


class TokenFile(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka ships no types for it
    """An OAUTHBEARER token kept current in a file by somebody else (a sidecar, a mounted secret)."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self) -> str:
        return (await asyncio.to_thread(self._path.read_text)).strip()


def connection(settings: KafkaSettings) -> dict[str, Any]:
    """Arguments that every aiokafka client takes.

    Raises:
        SettingsError: ``bootstrap_servers`` is missing, or SASL or TLS settings do not fit together.
    """
    if not settings.bootstrap_servers:
        raise SettingsError("no Kafka cluster is named: set --bootstrap-servers or EMOTION_BOOTSTRAP_SERVERS")
    arguments: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers,
        "client_id": settings.client_id,
        "security_protocol": settings.security_protocol,
    }
    if settings.security_protocol.endswith("SSL"):
        arguments["ssl_context"] = _ssl_context(settings)
    if settings.security_protocol.startswith("SASL"):
        arguments |= _sasl(settings)
    return arguments


def check_fetching(consumer: AIOKafkaConsumer) -> None:
    """Look whether the task is alive in which aiokafka fetches: it tells nobody of its end.

    Raises:
        KafkaError: nothing will be fetched any more, and polls would go on to find nothing.
    """
    if consumer._fetcher._fetch_task.done():
        raise KafkaError("fetching has ended")


def added_partitions(consumer: AIOKafkaConsumer, known: Collection[TopicPartition]) -> set[TopicPartition]:
    """Partitions that the topics of those known have got since.

    A consumer that is assigned its partitions is not told. It hears of new ones within the
    ``metadata_max_age_ms`` that it was made with.
    """
    topics = {tp.topic for tp in known}
    numbers = {topic: consumer.partitions_for_topic(topic) or () for topic in topics}
    return {TopicPartition(topic, number) for topic in topics for number in numbers[topic]}.difference(known)


async def stop_consumer(consumer: AIOKafkaConsumer, timeout_s: float) -> None:
    """Leave the group and close; a consumer that is broken neither holds us up nor ends us.

    aiokafka awaits fetches that it has cancelled, so its ``stop`` can end as cancelled though nobody
    cancelled us.
    """
    await stop_or_close(consumer, consumer._client, timeout_s)


async def stop_or_close(
    user: AIOKafkaConsumer | AIOKafkaProducer, client: AIOKafkaClient, timeout_s: float
) -> None:
    """Stop a consumer or producer; where that fails or takes longer, close its client within a second.

    Both run as tasks of their own and are left where they do not end: aiokafka's can swallow a cancellation,
    and ``asyncio.wait_for`` would then wait for them for ever. Its ``stop`` ends its own tasks one after the
    other; those that it has not come to would go on asking a client that is closed. They are cancelled twice:
    at the first time, one that sends waits for what it has begun, which may wait for the client.
    """
    stopping = asyncio.ensure_future(user.stop())
    try:
        await asyncio.wait({stopping}, timeout=timeout_s)
    finally:  # also where we are cancelled meanwhile
        if not _ended_well(stopping):
            _log.debug("a client of Kafka did not stop cleanly")
            for task in (stopping, *_tasks(user)):
                task.cancel()
            closing = asyncio.ensure_future(client.close())
            await asyncio.wait({closing}, timeout=1.0)
            if not _ended_well(closing):
                closing.cancel()
            for task in _tasks(user):
                task.cancel()


def _tasks(user: AIOKafkaConsumer | AIOKafkaProducer) -> "Iterator[asyncio.Task[None]]":
    """In which it fetches, sends, and is a member of its group."""
    for part in ("_fetcher", "_coordinator", "_sender"):
        if (owner := getattr(user, part, None)) is not None:
            yield from (value for value in vars(owner).values() if isinstance(value, asyncio.Task))


def _ended_well(task: "asyncio.Future[None]") -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _ssl_context(settings: KafkaSettings) -> Any:
    password = settings.ssl_password.get_secret_value() if settings.ssl_password else None
    try:
        return create_ssl_context(
            cafile=_as_text(settings.ssl_cafile),
            certfile=_as_text(settings.ssl_certfile),
            keyfile=_as_text(settings.ssl_keyfile),
            password=password,
        )
    except OSError as error:
        raise SettingsError(
            f"TLS files cannot be read ({error}): see ssl_cafile, ssl_certfile, ssl_keyfile"
        ) from error


def _sasl(settings: KafkaSettings) -> dict[str, Any]:
    if settings.sasl_mechanism == "OAUTHBEARER":
        if settings.sasl_token_file is None:
            raise SettingsError("OAUTHBEARER needs a token: set sasl_token_file")
        return {
            "sasl_mechanism": "OAUTHBEARER",
            "sasl_oauth_token_provider": TokenFile(settings.sasl_token_file),
        }
    if settings.sasl_username is None or settings.sasl_password is None:
        raise SettingsError(f"{settings.sasl_mechanism} needs sasl_username and sasl_password")
    return {
        "sasl_mechanism": settings.sasl_mechanism,
        "sasl_plain_username": settings.sasl_username,
        "sasl_plain_password": settings.sasl_password.get_secret_value(),
    }


def _as_text(path: Path | None) -> str | None:
    return None if path is None else str(path)
