"""Records on their way to Kafka. Pure."""

from collections.abc import Sequence
from typing import NamedTuple


class Record(NamedTuple):
    """One record to produce."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    timestamp_ms: int
    offset: int = -1
    """Of the message whose outcome it is, or of the last one; -1 where it is nobody's."""


_FRAME_BYTES = 100
_HEADER_FRAME_BYTES = 10


def size_bytes(record: Record) -> int:
    """Most bytes that a record takes in a batch of its own, not compressed."""
    size = _FRAME_BYTES + len(record.key or b"") + len(record.value or b"")
    size += _HEADER_FRAME_BYTES * len(record.headers)
    for name, value in record.headers:
        size += len(name) if name.isascii() else len(name.encode())
        if value:
            size += len(value)
    return size


Output = dict[tuple[str, int], list[Record]]
"""Records by topic and partition."""

LastOffsets = dict[tuple[str, int], int]
"""Where the last record of each topic and partition of an output has come to lie."""
