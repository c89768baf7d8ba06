"""Records on their way to Kafka. Pure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

Headers = Sequence[tuple[str, bytes | None]]


class Record(NamedTuple):
    """One record to produce."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int
    offset: int = -1
    """Of the message whose outcome it is, or of the last one; -1 where it is nobody's."""
    known_bytes: int | None = None
    """What ``size_bytes`` is, where whoever made the record knows it: those of messages are asked twice."""


class UnreadBatch(bytes):
    """The value of the one record that stands for a batch of which nothing is read.

    It is empty, so whoever looks for a message or an event in it refuses it, as any value that is none.
    """

    first_offset: int
    told: str
    """Which records are not read, and why."""

    def __new__(cls, first_offset: int, last_offset: int, size_bytes: int, why: str) -> Self:
        unread = super().__new__(cls)
        unread.first_offset = first_offset
        unread.told = (
            f"the batch of offsets {first_offset} to {last_offset} ({size_bytes} bytes) is not read: {why}"
        )
        return unread


_FRAME_BYTES = 100
_HEADER_FRAME_BYTES = 10


def size_bytes(record: Record) -> int:
    """Most bytes that a record takes in a batch of its own, not compressed."""
    if record.known_bytes is not None:
        return record.known_bytes
    return content_bytes(record.key, record.value) + header_bytes(record.headers)


def content_bytes(key: bytes | None, value: bytes | None) -> int:
    """Most bytes that a record without headers takes in a batch of its own."""
    return _FRAME_BYTES + len(key or b"") + len(value or b"")


def header_bytes(headers: Iterable[tuple[str, bytes | None]]) -> int:
    """Most bytes that headers take in a record."""
    return sum(_HEADER_FRAME_BYTES + len(name.encode()) + len(value or b"") for name, value in headers)


def held_bytes(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """Bytes of a record's key, value and headers, without what frames them: what it takes in memory."""
    size = len(key or b"") + len(value or b"")
    for name, content in headers:
        size += len(name) + len(content or b"")
    return size


Output = dict[tuple[str, int], list[Record]]
"""Records by topic and partition."""

LastOffsets = dict[tuple[str, int], int]
"""Where the last record of each topic and partition of an output has come to lie."""
