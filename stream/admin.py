"""Topics on the cluster: create those that are missing, refuse those that differ, check before a start.

``emotion-stream topics create`` and ``topics list`` are made of this; the annotator calls ``check_topics``.
"""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Collection, Container, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidReplicationFactorError,
    KafkaError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.protocol.metadata import MetadataRequest

from stream.errors import BrokerError, TopicError
from stream.kafka import connection
from stream.settings import KafkaSettings, Settings
from stream.topics import TopicSpec

TIMEOUT_S: Final = 10.0
"""Longest that one exchange with the cluster may take."""

ONE_BROKER_S: Final = 3.0
"""How long one broker of several is waited for, where the others can do without it."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One property of a topic that is not as stated. ``remedy`` is what a person can do."""

    topic: str
    property: str
    actual: str
    wanted: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.property} is {self.actual}, should be {self.wanted}: {self.remedy}"


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as stated and as the cluster has it.

    ``partitions`` is None where the topic does not exist; ``config`` is None where the cluster does not
    tell it, and ``config_error`` then says why.
    """

    spec: TopicSpec
    partitions: int | None = None
    replicas: int | None = None
    config: Mapping[str, str] | None = None
    config_error: str | None = None
    created: bool = False

    @property
    def exists(self) -> bool:
        return self.partitions is not None

    def mismatches(self, bootstrap_servers: str) -> list[Mismatch]:
        """Where the existing topic differs; what the cluster does not tell is not held against it."""
        if self.partitions is None:
            return []
        found = (
            [self._partitions_differ(bootstrap_servers)] if self.partitions != self.spec.partitions else []
        )
        for key, wanted in self.spec.config.items():
            actual = (self.config or {}).get(key)
            if actual is not None and not _same(key, actual, wanted):
                found.append(self._config_differs(bootstrap_servers, key, actual, wanted))
        return found

    def _partitions_differ(self, bootstrap_servers: str) -> Mismatch:
        name, wanted = self.spec.name, self.spec.partitions
        if self.partitions is not None and self.partitions < wanted:
            remedy = (
                f"kafka-topics.sh --bootstrap-server {bootstrap_servers} --alter --topic {name} "
                f"--partitions {wanted}, or set partitions to {self.partitions}"
            )
        else:
            remedy = f"Kafka cannot take partitions away, so set partitions to {self.partitions}"
        return Mismatch(name, "partitions", str(self.partitions), str(wanted), remedy)

    def _config_differs(self, bootstrap_servers: str, key: str, actual: str, wanted: str) -> Mismatch:
        value = f"[{wanted}]" if "," in wanted else wanted
        remedy = (
            f"kafka-configs.sh --bootstrap-server {bootstrap_servers} --alter --entity-type topics "
            f"--entity-name {self.spec.name} --add-config {key}={value}"
        )
        setting = _SETTING_OF.get(key)
        return Mismatch(
            self.spec.name, key, actual, wanted, f"{remedy}, or set {setting}" if setting else remedy
        )


_SETTING_OF: Final = {"retention.ms": "retention_days", "max.message.bytes": "max_message_bytes"}


def _same(key: str, actual: str, wanted: str) -> bool:
    if key == "cleanup.policy":
        return set(actual.replace(" ", "").split(",")) == set(wanted.split(","))
    return actual == wanted


@asynccontextmanager
async def connected(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client of the cluster, closed at the end.

    Raises:
        BrokerError: no broker answers within ``TIMEOUT_S``, or it refuses the credentials.
    """
    client = AIOKafkaAdminClient(**connection(settings), request_timeout_ms=int(TIMEOUT_S * 1000))
    try:
        with _reasons_instead_of_logs() as reasons:
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    await client.start()
            except (KafkaError, OSError, TimeoutError) as error:
                why = f" ({reasons[-1].getMessage()})" if reasons else ""
                raise BrokerError(
                    f"no Kafka broker answers at {settings.bootstrap_servers}{why}: "
                    "check bootstrap_servers, security_protocol and the sasl settings"
                ) from _cause(reasons, error)
        yield client
    finally:
        await client.close()


async def describe(settings: Settings) -> list[TopicState]:
    """The state of all our topics, in the order in which data flows.

    Raises:
        BrokerError: as in ``connected``.
    """
    async with _conversation(settings) as client:
        return await _describe(client, settings.topic_specs())


async def create_topics(settings: Settings, specs: Sequence[TopicSpec] | None = None) -> list[TopicState]:
    """Create the topics that are missing and verify the others; doing it again changes nothing.

    ``specs`` are all our topics where not given. Once it returns, whichever broker a client asks tells of
    them.

    Raises:
        BrokerError: as in ``connected``.
        TopicError: the cluster refuses a topic, or one differs from what is stated (a line for each
            difference, with the command that mends it). Missing topics are created all the same. Or a
            broker does not tell of a topic in time.
    """
    specs = settings.topic_specs() if specs is None else specs
    async with _conversation(settings) as client:
        missing = [state.spec for state in await _describe(client, specs) if not state.exists]
        created = await _create(client, missing, settings.replication_factor) if missing else set()
        await _until_visible(
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
        BrokerError: as in ``connected``.
        TopicError: the cluster refuses, or a broker does not tell of the partitions in time.
    """
    async with _conversation(settings) as client:
        try:
            await client.create_partitions({topic: NewPartitions(count)})
            added = True
        except KafkaError as error:
            if len((await _existing(client)).get(topic, ())) < count:
                raise TopicError(
                    f"{topic}: {error}: it needs {count} partitions; "
                    "give this user the right to alter it, or have them added"
                ) from error
            added = False
        await _until_visible(client, {topic: count})
    return added


async def partition_counts(settings: KafkaSettings, names: Container[str]) -> dict[str, int]:
    """Number of partitions of each topic that is one of ``names`` and exists.

    Raises:
        BrokerError: as in ``connected``.
    """
    async with _conversation(settings) as client:
        return {name: len(parts) for name, parts in (await _existing(client)).items() if name in names}


async def check_topics(settings: KafkaSettings, names: Collection[str]) -> dict[str, int]:
    """Number of partitions of each topic, where all exist.

    Raises:
        BrokerError: as in ``connected``.
        TopicError: a topic does not exist, or this user may not see it.
    """
    counts = await partition_counts(settings, names)
    missing = sorted(set(names) - set(counts))
    if missing:
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
    async with _conversation(settings) as client:
        told = await _configs(client, dict.fromkeys(names, (key,)))
    values = {name: (config or {}).get(key) for name, (config, _) in told.items()}
    return {name: value for name, value in values.items() if value}


@asynccontextmanager
async def _conversation(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """``connected``, with what goes wrong later in the same words."""
    async with connected(settings) as client:
        try:
            yield client
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerError(
                f"the Kafka cluster at {settings.bootstrap_servers} failed: {error or type(error).__name__}"
            ) from error


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
    response = await client.create_topics([_new_topic(spec, replication_factor) for spec in specs])
    results = {name: (for_code(code), message) for name, code, message in response.topic_errors}
    refused = [
        _refusal(name, error, message)
        for name, (error, message) in results.items()
        if error.errno and error is not TopicAlreadyExistsError
    ]
    if refused:
        raise TopicError("\n  ".join(["the cluster refused to create topics:", *refused]))
    return {name for name, (error, _) in results.items() if not error.errno}


def _new_topic(spec: TopicSpec, replication_factor: int) -> NewTopic:
    # aiokafka takes -1, the broker's default, only with replica assignments; none of them will do.
    assignments: dict[str, dict[int, list[int]]] = (
        {"replica_assignments": {}} if replication_factor == -1 else {}
    )
    return NewTopic(spec.name, spec.partitions, replication_factor, topic_configs=spec.config, **assignments)


def _refusal(name: str, error: type[KafkaError], message: str | None) -> str:
    reason = message or error.__name__
    if error is InvalidReplicationFactorError:
        return f"{name}: {reason} Set replication_factor."
    if error in (TopicAuthorizationFailedError, ClusterAuthorizationFailedError):
        return f"{name}: {reason} Give this user the right to create topics, or have them created."
    return f"{name}: {reason}"


async def _until_visible(client: AIOKafkaAdminClient, wanted: Mapping[str, int]) -> None:
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


class _Silence:
    """aiokafka's log, withheld while anybody here listens to it for reasons.

    Looks at the cluster overlap, and each ends when it likes: only the last one to end gives the log back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners = 0
        self._before = (True, logging.NOTSET)

    @contextmanager
    def heard_by(self, listener: logging.Handler) -> Iterator[None]:
        logger = logging.getLogger("aiokafka")
        with self._lock:
            if not self._listeners:
                self._before = (logger.propagate, logger.level)
                logger.propagate = False
                logger.setLevel(
                    logging.WARNING
                )  # a program that silences its libraries still wants the reason
            self._listeners += 1
            logger.addHandler(listener)
        try:
            yield
        finally:
            with self._lock:
                logger.removeHandler(listener)
                self._listeners -= 1
                if not self._listeners:
                    logger.propagate = self._before[0]
                    logger.setLevel(self._before[1])


_silence = _Silence()


@contextmanager
def _reasons_instead_of_logs() -> Iterator[list[logging.LogRecord]]:
    """What aiokafka would log, as a list: its errors say why, and our one line is all that a person needs."""
    reasons = list[logging.LogRecord]()

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            reasons.append(record)

    with _silence.heard_by(Keep(logging.WARNING)):
        yield reasons


def _cause(reasons: Sequence[logging.LogRecord], error: BaseException) -> BaseException:
    """What stood against a connection: aiokafka itself only says that there is none, and logs the rest."""
    found = [part for reason in reasons for part in reason.args or () if isinstance(part, BaseException)]
    return found[-1] if found else error
