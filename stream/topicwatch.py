"""How topics stand now: whether a broker answers, which topics are there, and which ones they are.

A topic's name does not say whether it is still the same topic: deleted and made anew, it begins again at
offset 0. Kafka gives each topic an id of its own (KIP-516), which Metadata carries from version 10 on;
aiokafka 0.14 asks with version 5 at most, so the request is our own. A broker without ids gives none.
"""

import asyncio
import base64
import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.metadata import MetadataRequest_v4
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

_METADATA: Final = 3
_NO_ID: Final = bytes(16)


@dataclass(frozen=True, slots=True)
class TopicView:
    """A topic as a broker tells of it."""

    partitions: int
    epoch: str | None = None
    """Kafka's id of the topic, as ``kafka-topics.sh --describe`` shows it; None where it has none."""


class BrokerSilentError(Exception):
    """No broker answered, or not with what was asked for."""


class TopicWatch:
    """Asks the cluster about topics, with a connection of its own, which is opened when it is needed.

    ``topics`` None: all of which this user may know.
    """

    def __init__(self, connection: dict[str, Any], topics: Collection[str] | None, timeout_s: float) -> None:
        self._arguments = connection | {"request_timeout_ms": int(timeout_s * 1000)}
        self._topics = topics
        self._client: AIOKafkaClient | None = None
        self._looking = asyncio.Lock()

    async def look(self) -> dict[str, TopicView]:
        """Those of the topics that exist, now. Asking does not make the broker create one.

        Raises:
            BrokerSilentError: nobody answered within ``timeout_s``, or the answer was an error.
        """
        async with self._looking:  # a look that fails closes the client, which another would be using
            try:
                client = self._client
                if client is None:
                    client = self._client = AIOKafkaClient(**self._arguments)
                    await client.bootstrap()
                answer = await client.send(client.get_random_node(), _TopicRequest(self._topics))
                return dict(_views(answer))
            except (KafkaError, OSError, TimeoutError) as error:
                await self.close()  # the next look starts from the bootstrap servers
                raise BrokerSilentError(str(error) or type(error).__name__) from error

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(KafkaError, OSError, TimeoutError):
                await client.close()


def _views(answer: Any) -> Iterator[tuple[str, TopicView]]:
    for topic in answer.topics:
        if answer.API_VERSION >= _MetadataRequest_v10.API_VERSION:
            code, name, topic_id, _, partitions, *_ = topic
        else:
            code, name, _, partitions = topic
            topic_id = _NO_ID
        error = for_code(code)
        if error is UnknownTopicOrPartitionError:
            continue
        if error.errno:
            raise error(name)
        if partitions:
            yield name, TopicView(len(partitions), _shown(topic_id))


def _shown(topic_id: bytes) -> str | None:
    """A topic's id as Kafka writes it: URL-safe base64 without padding."""
    return None if topic_id == _NO_ID else base64.urlsafe_b64encode(topic_id).decode().rstrip("=")


class _Uuid(AbstractType[bytes]):  # type: ignore[misc]  # aiokafka ships no types for it
    """Sixteen bytes, as they are."""

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(16)


class _MetadataResponse_v10(Response):  # type: ignore[misc]  # noqa: N801 - named as aiokafka does
    """https://kafka.apache.org/protocol.html#The_Messages_Metadata"""

    API_KEY = _METADATA
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class _MetadataRequest_v10(RequestStruct):  # type: ignore[misc]  # noqa: N801
    """Version 9 brought the compact types, version 10 the ids of topics."""

    API_KEY = _METADATA
    API_VERSION = 10
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _MetadataResponse_v10
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("topic_id", _Uuid), ("topic", CompactString("utf-8")), ("tags", TaggedFields)),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


_Versions = MetadataRequest_v4 | _MetadataRequest_v10


class _TopicRequest(Request[_Versions]):  # type: ignore[misc]
    """Metadata of topics, or of all, in the newest version that the broker knows."""

    API_KEY = _METADATA

    def __init__(self, topics: Collection[str] | None) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[RequestStruct]) -> RequestStruct:
        names = None if self._topics is None else list(self._topics)
        if request_struct_class is _MetadataRequest_v10:
            topics: Any = None if names is None else [(_NO_ID, name, {}) for name in names]
            return _MetadataRequest_v10(topics, False, False, False, {})
        return MetadataRequest_v4(names, False)
