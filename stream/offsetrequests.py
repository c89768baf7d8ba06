"""Requests about offsets in versions that aiokafka 0.14 does not have: with membership, and stable (KIP-447).

Fields and their order are those of ``TxnOffsetCommitRequest.json`` and ``OffsetFetchRequest.json`` in Kafka's
protocol definitions.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)
from aiokafka.structs import OffsetAndMetadata

_TXN_OFFSET_COMMIT: Final = 28
_OFFSET_FETCH: Final = 9
_UNKNOWN_LEADER_EPOCH: Final = -1


def _topics(*partition: Any) -> tuple[str, Any]:
    """The field that all of these have: by topic, what there is of each partition."""
    return (
        "topics",
        CompactArray(
            ("name", CompactString("utf-8")),
            ("partitions", CompactArray(*partition)),
            ("tags", TaggedFields),
        ),
    )


class _TxnOffsetCommitResponse(Response):  # type: ignore[misc]
    API_KEY = _TXN_OFFSET_COMMIT
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        _topics(
            ("partition", Int32),
            ("error_code", Int16),
            ("tags", TaggedFields),
        ),
        ("tags", TaggedFields),
    )


class _TxnOffsetCommitRequest(RequestStruct):  # type: ignore[misc]
    API_KEY = _TXN_OFFSET_COMMIT
    API_VERSION = 3
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _TxnOffsetCommitResponse
    SCHEMA = Schema(
        ("transactional_id", CompactString("utf-8")),
        ("group_id", CompactString("utf-8")),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("generation_id", Int32),
        ("member_id", CompactString("utf-8")),
        ("group_instance_id", CompactString("utf-8")),
        _topics(
            ("partition", Int32),
            ("committed_offset", Int64),
            ("committed_leader_epoch", Int32),
            ("committed_metadata", CompactString("utf-8")),
            ("tags", TaggedFields),
        ),
        ("tags", TaggedFields),
    )


class TxnOffsetCommit(Request[_TxnOffsetCommitRequest]):  # type: ignore[misc]
    """Offsets of a group, as a part of a producer's transaction; of a member alone that the group knows."""

    API_KEY = _TXN_OFFSET_COMMIT

    def __init__(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        group_id: str,
        member_id: str,
        generation: int,
        offsets: Mapping[TopicPartition, OffsetAndMetadata],
    ) -> None:
        self._producer = (producer_id, producer_epoch)
        self._transactional_id = transactional_id
        self._group = (group_id, generation, member_id)
        self._offsets = offsets

    def build(self, request_struct_class: type[RequestStruct]) -> RequestStruct:
        group_id, generation, member_id = self._group
        topics = _by_topic(
            (place, (place.partition, at.offset, _UNKNOWN_LEADER_EPOCH, at.metadata, {}))
            for place, at in self._offsets.items()
        )
        return request_struct_class(
            self._transactional_id,
            group_id,
            *self._producer,
            generation,
            member_id,
            None,
            topics,
            {},
        )


class _OffsetFetchResponse(Response):  # type: ignore[misc]
    API_KEY = _OFFSET_FETCH
    API_VERSION = 7
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        _topics(
            ("partition", Int32),
            ("committed_offset", Int64),
            ("committed_leader_epoch", Int32),
            ("metadata", CompactString("utf-8")),
            ("error_code", Int16),
            ("tags", TaggedFields),
        ),
        ("error_code", Int16),
        ("tags", TaggedFields),
    )


class _OffsetFetchRequest(RequestStruct):  # type: ignore[misc]
    API_KEY = _OFFSET_FETCH
    API_VERSION = 7
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _OffsetFetchResponse
    SCHEMA = Schema(
        ("group_id", CompactString("utf-8")),
        _topics(Int32),
        ("require_stable", Boolean),
        ("tags", TaggedFields),
    )


class OffsetFetch(Request[_OffsetFetchRequest]):  # type: ignore[misc]
    """Committed offsets of a group, with an error in place of each that an open transaction may change."""

    API_KEY = _OFFSET_FETCH

    def __init__(self, group_id: str, partitions: Collection[TopicPartition]) -> None:
        self._group_id = group_id
        self._partitions = partitions

    def build(self, request_struct_class: type[RequestStruct]) -> RequestStruct:
        topics = _by_topic((place, place.partition) for place in self._partitions)
        require_stable = True
        return request_struct_class(self._group_id, topics, require_stable, {})


def _by_topic(places: Iterable[tuple[TopicPartition, Any]]) -> list[tuple[str, list[Any], dict[int, bytes]]]:
    grouped = defaultdict(list)
    for place, entry in places:
        grouped[place.topic].append(entry)
    return [(topic, entries, {}) for topic, entries in grouped.items()]
