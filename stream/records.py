"""Records on their way to Kafka. Pure."""

from typing import NamedTuple


class Record(NamedTuple):
    """One record to produce."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
    timestamp_ms: int


Output = dict[tuple[str, int], list[Record]]
"""Records by topic and partition."""

LastOffsets = dict[tuple[str, int], int]
"""Where the last record of each topic and partition of an output has come to lie."""
