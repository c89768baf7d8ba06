"""Dead letters on the wire: why stands in the headers, what was received stands beside them. Pure.

A letter that does not fit its topic is cut: it keeps the beginning of the value, and says how long the whole
was, its hash and where it lies, so that it can be fetched again while the input topic still has it.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from stream.cloudevents import CE_TYPES, SPEC_VERSION
from stream.events import DeadLetter, Source
from stream.records import Headers, Record, size_bytes

TIMESTAMP_HEADER: Final = "dlq_timestamp"
"""Kafka's time stamp of the message: in a dead letter, and in the message that ``replay`` sends back."""

CUT_HEADER: Final = "dlq_cut"
"""What of a dead letter was cut."""

CUT_BYTES: Final = 4096
"""Where a letter does not fit, this much is left of its value; longer headers and keys are left out."""

_ORIGINAL: Final = "original_"
_OURS: Final = ("ce_", "dlq_", _ORIGINAL)


def dead_letter_record(
    letter: DeadLetter,
    key: bytes | None,
    value: bytes | None,
    headers: Headers,
    *,
    source: str,
    max_bytes: int,
    at_ms: int,
) -> Record:
    """The record of a dead letter, cut where the whole would take more than ``max_bytes``."""
    whole = Record(key, value, encode_dead_letter(letter, headers, source), at_ms)
    if size_bytes(whole) <= max_bytes:
        return whole
    content = value or b""
    cut = []
    if len(content) > CUT_BYTES:
        cut.append("value")
        value = content[:CUT_BYTES]
    if size_bytes(Record(None, None, list(headers), 0)) > CUT_BYTES:
        cut.append("headers")
        headers = ()
    if key is not None and len(key) > CUT_BYTES:
        cut.append("key")
        key = None
    letter = letter.model_copy(
        update={"cut": tuple(cut), "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    )
    return Record(key, value, encode_dead_letter(letter, headers, source), at_ms)


def encode_dead_letter(letter: DeadLetter, original: Headers, source: str) -> list[tuple[str, bytes | None]]:
    """Headers of a dead letter: ours, then the original ones, renamed where ours would hide them."""
    ours: list[tuple[str, bytes | None]] = [
        SPEC_VERSION,
        ("ce_type", CE_TYPES["DeadLetter"].encode()),
        ("ce_source", source.encode()),
        ("ce_id", letter.id.encode()),
        ("ce_time", letter.failed_at.isoformat().encode()),
        ("dlq_cause", letter.cause.encode()),
        ("dlq_error", letter.error.encode()),
        ("dlq_topic", letter.source.topic.encode()),
        ("dlq_partition", str(letter.source.partition).encode()),
        ("dlq_offset", str(letter.source.offset).encode()),
    ]
    if letter.source.epoch:
        ours.append(("dlq_epoch", letter.source.epoch.encode()))
    if letter.timestamp_ms is not None:
        ours.append((TIMESTAMP_HEADER, str(letter.timestamp_ms).encode()))
    if letter.cut:
        ours.append((CUT_HEADER, ",".join(letter.cut).encode()))
        ours.append(("dlq_size", str(letter.size).encode()))
        ours.append(("dlq_sha256", (letter.sha256 or "").encode()))
    if letter.first_offset is not None:
        ours.append(("dlq_first_offset", str(letter.first_offset).encode()))
    return ours + [(_kept_name(name), value) for name, value in original]


def _kept_name(name: str) -> str:
    return f"{_ORIGINAL}{name}" if name.lower().startswith(_OURS) else name


def decode_dead_letter(headers: Headers) -> tuple[DeadLetter, list[tuple[str, bytes | None]]]:
    """What ``encode_dead_letter`` wrote: the letter, and the original headers.

    Raises:
        ValueError: the record is not a dead letter of ours.
    """
    ours = {name: (value or b"").decode() for name, value in headers if name.startswith(("ce_", "dlq_"))}
    try:
        letter = DeadLetter(
            id=ours["ce_id"],
            cause=ours["dlq_cause"],
            error=ours["dlq_error"],
            source=Source(
                topic=ours["dlq_topic"],
                partition=int(ours["dlq_partition"]),
                offset=int(ours["dlq_offset"]),
                epoch=ours.get("dlq_epoch"),
            ),
            failed_at=datetime.fromisoformat(ours["ce_time"]),
            timestamp_ms=int(ours[TIMESTAMP_HEADER]) if TIMESTAMP_HEADER in ours else None,
            cut=tuple(ours[CUT_HEADER].split(",")) if CUT_HEADER in ours else (),
            size=int(ours["dlq_size"]) if "dlq_size" in ours else None,
            sha256=ours.get("dlq_sha256"),
            first_offset=int(ours["dlq_first_offset"]) if "dlq_first_offset" in ours else None,
        )
    except KeyError as missing:
        raise ValueError(f"the header {missing.args[0]} is missing") from None
    return letter, _original_headers(headers)


def _original_headers(headers: Headers) -> list[tuple[str, bytes | None]]:
    return [
        (name.removeprefix(_ORIGINAL), value)
        for name, value in headers
        if not name.startswith(("ce_", "dlq_"))
    ]


def is_original(letter: DeadLetter, value: bytes | None) -> bool:
    """Whether this is the value that a cut letter stands for."""
    content = value or b""
    return len(content) == letter.size and hashlib.sha256(content).hexdigest() == letter.sha256


def written_at_ms(headers: Sequence[tuple[str, bytes | None]]) -> int | None:
    """Kafka's time stamp of a message before it was sent back from the dead letters, if it was."""
    for name, value in headers:
        if name == TIMESTAMP_HEADER and value and len(value) < 20 and value.removeprefix(b"-").isdigit():
            return int(value)
    return None
