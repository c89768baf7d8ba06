"""Topics on the cluster: create those that are missing, refuse those that differ, check before a start.

``emotion-stream topics create`` and ``topics list`` are made of this; the annotator calls ``check_topics``.
"""

import asyncio
from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidReplicationFactorError,
    KafkaError,
    NotControllerError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)

from stream.adminclient import TIMEOUT_S, connected, conversation
from stream.errors import BrokerError, StreamError, TopicError
from stream.settings import KafkaSettings, Settings
from stream.topics import TopicSpec
from stream.topicstates import Mismatch, TopicState
from stream.visibility import until_visible

__all__ = [
    "TIMEOUT_S",
    "Mismatch",
    "TopicState",
    "add_partitions",
    "batch_limits",
    "check_topics",
    "configured",
    "connected",
    "create_topics",
    "describe",
    "partition_counts",
]

_LOOK_AGAIN_S: Final = 1.0
"""A broker that has just started may not know all topics yet."""


async def describe(settings: Settings) -> list[TopicState]:
    """The state of all our topics, in the order in which data flows.

    Raises:
        BrokerError: as in ``connected``.
    """
    async with conversation(settings) as client:
        return await _describe(client, settings.topic_specs())


async def create_topics(settings: Settings, specs: Sequence[TopicSpec] | None = None) -> list[TopicState]:
    """Create the topics that are missing and verify the others; doing it again changes nothing.

    ``specs`` are all our topics where not given. Once it returns, whichever broker a client asks tells of
    them.

    Raises:
        BrokerError: as in ``connected``, or too few brokers are there for the copies of a topic, or none that
            could create it now.
        TopicError: the cluster refuses a topic, or one differs from what is stated (a line for each
            difference, with the command that mends it). Missing topics are created all the same. Or a
            broker does not tell of a topic in time.
    """
    specs = settings.topic_specs() if specs is None else specs
    async with conversation(settings) as client:
        missing = [state.spec for state in await _describe(client, specs) if not state.exists]
        created = await _create(client, missing, settings.replication_factor) if missing else set()
        await until_visible(
            client, {spec.name: spec.partitions if spec.name in created else 0 for spec in specs}
        )
        states = await _describe(client, specs)
    servers = settings.bootstrap_servers or ""
    found = [mismatch for state in states for mismatch in state.mismatches(servers)]
    if found:
        raise TopicError("\n  ".join(["topics differ from what is stated:", *map(str, found)]))
    return [replace(state, created=state.spec.name in created) for state in states]


async def add_partitions(settings: KafkaSettings, topic: str, count: int) -> bool:
    """Give a topic ``count`` partitions; false where somebody else has just done so.

    Once it returns, whichever broker a client asks tells of them.

    Raises:
        BrokerError: as in ``connected``, or too few brokers are there for the copies of the topic.
        TopicError: the cluster refuses, or a broker does not tell of the partitions in time.
    """
    async with conversation(settings) as client:
        try:
            await _learn_controller(client)
            await client.create_partitions({topic: NewPartitions(count)})
            added = True
        except KafkaError as error:
            if len((await _existing(client)).get(topic, ())) < count:
                raise not_added(topic, count, error) from error
            added = False
        await until_visible(client, {topic: count})
    return added


def not_added(topic: str, count: int, error: KafkaError) -> StreamError:
    """What it means that a topic cannot get ``count`` partitions.

    One that exists has its copies, so brokers for them were there, and will be again.
    """
    if _passes(type(error)):
        return BrokerError(f"{topic}: {error}: it gets its {count} partitions when the brokers are back")
    return TopicError(
        f"{topic}: {error}: it needs {count} partitions; "
        "give this user the right to alter it, or have them added"
    )


def _passes(error: type[KafkaError]) -> bool:
    """Whether the cluster may do later what it has refused: its controller moves, or brokers are away."""
    if issubclass(error, UnknownTopicOrPartitionError):
        return False
    return bool(error.retriable) or issubclass(error, InvalidReplicationFactorError)


async def partition_counts(settings: KafkaSettings, names: Container[str]) -> dict[str, int]:
    """Number of partitions of each topic that is one of ``names`` and exists.

    Raises:
        BrokerError: as in ``connected``.
    """
    async with conversation(settings) as client:
        return {name: len(parts) for name, parts in (await _existing(client)).items() if name in names}


async def check_topics(settings: KafkaSettings, names: Collection[str]) -> dict[str, int]:
    """Number of partitions of each topic, where all exist.

    Raises:
        BrokerError: as in ``connected``.
        TopicError: a topic does not exist, or this user may not see it.
    """
    counts = await partition_counts(settings, names)
    if not counts.keys() >= set(names):
        await asyncio.sleep(_LOOK_AGAIN_S)
        counts = await partition_counts(settings, names)
    if missing := sorted(set(names) - counts.keys()):
        kind = "topic does" if len(missing) == 1 else "topics do"
        raise TopicError(
            f"{kind} not exist at {settings.bootstrap_servers}, or this user may not see them: "
            f"{', '.join(missing)}: "
            "create with: emotion-stream topics create"
        )
    return counts


async def batch_limits(settings: KafkaSettings, names: Collection[str]) -> dict[str, int]:
    """Most bytes that a batch may have (``max.message.bytes``), of those topics that the cluster tells it of.

    Raises:
        BrokerError: as in ``connected``.
    """
    told = await configured(settings, names, "max.message.bytes")
    return {name: int(limit) for name, limit in told.items()}


async def configured(settings: KafkaSettings, names: Collection[str], key: str) -> dict[str, str]:
    """The value of one key in the configuration of those topics that the cluster tells it of.

    Raises:
        BrokerError: as in ``connected``.
    """
    async with conversation(settings) as client:
        told = await _configs(client, dict.fromkeys(names, (key,)))
    values = {name: (config or {}).get(key) for name, (config, _) in told.items()}
    return {name: value for name, value in values.items() if value}


async def _existing(client: AIOKafkaAdminClient) -> dict[str, list[dict[str, Any]]]:
    """Partitions of every topic. All are asked for: asking by name makes some brokers create the topic."""
    topics = await client.describe_topics(None)
    return {topic["topic"]: topic["partitions"] for topic in topics if topic["partitions"]}


async def _describe(client: AIOKafkaAdminClient, specs: Sequence[TopicSpec]) -> list[TopicState]:
    existing = await _existing(client)
    present = [spec for spec in specs if spec.name in existing]
    configs = await _configs(client, {spec.name: tuple(spec.config) for spec in present}) if present else {}
    states = []
    for spec in specs:
        partitions = existing.get(spec.name)
        if partitions is None:
            states.append(TopicState(spec))
            continue
        config, config_error = configs[spec.name]
        replicas = min(len(partition["replicas"]) for partition in partitions)
        states.append(TopicState(spec, len(partitions), replicas, config, config_error))
    return states


async def _configs(
    client: AIOKafkaAdminClient, keys: Mapping[str, Collection[str]]
) -> dict[str, tuple[dict[str, str] | None, str | None]]:
    """For each topic the values of these keys, or why the cluster tells none (mostly a user's rights)."""
    kind = ConfigResourceType.TOPIC
    asked = [ConfigResource(kind, name, dict.fromkeys(wanted, "")) for name, wanted in keys.items()]
    try:
        responses = await client.describe_configs(asked)
    except KafkaError as error:
        return {name: (None, str(error)) for name in keys}
    told: dict[str, tuple[dict[str, str] | None, str | None]] = {}
    for response in responses:
        for code, message, _, name, entries in response.resources:
            if code:
                told[name] = (None, message or for_code(code).__name__)
            else:
                told[name] = ({entry[0]: entry[1] for entry in entries}, None)
    return told


async def _create(
    client: AIOKafkaAdminClient, specs: Sequence[TopicSpec], replication_factor: int
) -> set[str]:
    """Names of the topics created; a topic that somebody else has just created is not among them."""
    await _learn_controller(client)
    response = await client.create_topics([_new_topic(spec, replication_factor) for spec in specs])
    results = {name: (for_code(code), message) for name, code, message in response.topic_errors}
    refused = {
        name: (error, message)
        for name, (error, message) in results.items()
        if error.errno and error is not TopicAlreadyExistsError
    }
    if refused:
        raise not_created(refused)
    return {name for name, (error, _) in results.items() if not error.errno}


async def _learn_controller(client: AIOKafkaAdminClient) -> None:
    """Learn who is to be asked for changes; aiokafka takes for granted that there is somebody.

    Raises:
        NotControllerError: nobody, while a controller is elected.
    """
    if client._client.cluster.controller is None:
        await client._client.force_metadata_update()
    if client._client.cluster.controller is None:
        raise NotControllerError("the cluster has no controller now")


def not_created(refused: Mapping[str, tuple[type[KafkaError], str | None]]) -> StreamError:
    """What it means that topics, by their names, cannot be created for these errors."""
    lines = [_refusal(name, error, message) for name, (error, message) in refused.items()]
    kind = BrokerError if all(_passes(error) for error, _ in refused.values()) else TopicError
    return kind("\n  ".join(["the cluster refused to create topics:", *lines]))


def _new_topic(spec: TopicSpec, replication_factor: int) -> NewTopic:
    # aiokafka takes -1, the broker's default, only with replica assignments; none of them will do.
    assignments: dict[str, dict[int, list[int]]] = (
        {"replica_assignments": {}} if replication_factor == -1 else {}
    )
    return NewTopic(spec.name, spec.partitions, replication_factor, topic_configs=spec.config, **assignments)


def _refusal(name: str, error: type[KafkaError], message: str | None) -> str:
    reason = message or error.__name__
    if error is InvalidReplicationFactorError:
        return f"{name}: {reason} Start the brokers that are missing, or set replication_factor."
    if error in (TopicAuthorizationFailedError, ClusterAuthorizationFailedError):
        return f"{name}: {reason} Give this user the right to create topics, or have them created."
    return f"{name}: {reason}"
