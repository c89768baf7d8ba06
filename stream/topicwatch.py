"""How a topic stands now: whether a broker answers, whether the topic is there, and which one it is.

A topic's name does not say whether it is still the same topic: deleted and made anew, it begins again at
offset 0. Kafka gives each topic an id of its own (KIP-516), which Metadata carries from version 10 on;
aiokafka 0.14 asks with version 5 at most, so the request is our own. A broker without ids gives none.
"""

import base64
import contextlib
from collections.abc import Sequence
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
    """A topic as a broker tells of it. ``partitions`` is 0 where it does not exist."""

    partitions: int
    epoch: str | None = None
    """Kafka's id of the topic, as ``kafka-topics.sh --describe`` shows it; None where it has none."""


class BrokerSilentError(Exception):
    """No broker answered, or not with what was asked for."""


class TopicWatch:
    """Asks the cluster about one topic, with a connection of its own, which is opened when it is needed."""

    def __init__(self, connection: dict[str, Any], topic: str, timeout_s: float) -> None:
        self._arguments = connection | {"request_timeout_ms": int(timeout_s * 1000)}
        self._topic = topic
        self._client: AIOKafkaClient | None = None

    async def look(self) -> TopicView:
        """The topic now. Asking does not make the broker create it.

        Raises:
            BrokerSilentError: nobody answered within ``timeout_s``, or the answer was an error.
        """
        try:
            if self._client is None:
                client = AIOKafkaClient(**self._arguments)
                self._client = client
                await client.bootstrap()
            answer = await self._client.send(self._client.get_random_node(), _TopicRequest(self._topic))
            return _view(answer, self._topic)
        except (KafkaError, OSError, TimeoutError) as error:
            await self.close()  # the next look starts from the bootstrap servers
            raise BrokerSilentError(str(error) or type(error).__name__) from error

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(KafkaError, OSError, TimeoutError):
                await client.close()


def _view(answer: Any, name: str) -> TopicView:
    for topic in answer.topics:
        if answer.API_VERSION >= _MetadataRequest_v10.API_VERSION:
            code, found, topic_id, _, partitions, *_ = topic
        else:
            code, found, _, partitions = topic
            topic_id = _NO_ID
        if found == name:
            error = for_code(code)
            if error is UnknownTopicOrPartitionError:
                return TopicView(0)
            if error.errno:
                raise error(name)
            return TopicView(len(partitions), _shown(topic_id))
    return TopicView(0)


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
    """Metadata of one topic, in the newest version that the broker knows."""

    API_KEY = _METADATA

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def build(self, request_struct_class: type[RequestStruct]) -> RequestStruct:
        if request_struct_class is _MetadataRequest_v10:
            topics: Sequence[Any] = [(_NO_ID, self._topic, {})]
            return _MetadataRequest_v10(topics, False, False, False, {})
        return MetadataRequest_v4([self._topic], False)
