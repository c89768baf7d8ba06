"""CloudEvents as they are written: JSON values, and the headers that tell of them. Pure.

Kafka's binary mode (CloudEvents Kafka binding 1.0.2): attributes in ``ce_*`` headers, data in the value.
Values are written from plain dictionaries, since building a validated model for each would take half of the
time a message may cost; tests hold every output against its type.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from stream.records import Record, content_bytes, header_bytes

CE_TYPES: Final = {
    "EmotionEvent": "emotion-stream.emotion.v1",
    "CountDelta": "emotion-stream.count-delta.v1",
    "DistressSignal": "emotion-stream.distress-signal.v1",
    "DeadLetter": "emotion-stream.dead-letter.v1",
    "WindowCounter": "emotion-stream.window-counter.v1",
    "Alert": "emotion-stream.alert.v1",
    "Review": "emotion-stream.review.v1",
}

SPEC_VERSION: Final = ("ce_specversion", b"1.0")
_JSON_OPTIONS: Final = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC


def utc(ms: int) -> datetime:
    """Unix milliseconds as a time in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def to_json(value: Any) -> bytes:
    """JSON with times in UTC as ``…Z``."""
    return orjson.dumps(value, option=_JSON_OPTIONS)


@dataclass(frozen=True, slots=True)
class ValueFormat:
    """How the values of an output are written, and what their header ``content-type`` calls it."""

    content_type: bytes
    write: Callable[[Mapping[str, Any]], bytes]


JSON_VALUES: Final = ValueFormat(b"application/json", to_json)


def rfc3339(moment: datetime) -> bytes:
    """A time in UTC for a header: what ``isoformat`` gives, in a tenth of the time."""
    return orjson.dumps(moment)[1:-1]


@lru_cache(maxsize=4096)
def written_at(ms: int) -> tuple[datetime, bytes]:
    """Unix milliseconds as a time in UTC, and for a header: of many messages a second, many share one."""
    moment = utc(ms)
    return moment, rfc3339(moment)


class Envelope(NamedTuple):
    """What a record says of its value: id and time (RFC 3339) of the event, Kafka's time stamp, whose it is.

    ``passed`` are headers of the message to carry on.
    """

    event_id: str
    time: bytes
    timestamp_ms: int
    offset: int
    passed: Sequence[tuple[str, bytes]] = ()


class CloudEventHeaders:
    """Headers of one type of output, the constant part encoded and counted once."""

    def __init__(self, type_name: str, source: str, values: ValueFormat = JSON_VALUES) -> None:
        self._constant: tuple[tuple[str, bytes], ...] = (
            SPEC_VERSION,
            ("ce_type", CE_TYPES[type_name].encode()),
            ("ce_source", source.encode()),
            ("content-type", values.content_type),
        )
        self._least_bytes = header_bytes((*self._constant, ("ce_id", b""), ("ce_time", b"")))

    def of(
        self, event_id: str, time: bytes, passed: Iterable[tuple[str, bytes]] = ()
    ) -> list[tuple[str, bytes]]:
        """Headers of one record. ``time`` is RFC 3339; ``passed`` are headers of the message to carry on."""
        return self._with_id(event_id.encode(), time, passed)

    def record(self, key: bytes | None, value: bytes, envelope: Envelope) -> Record:
        """A record with these headers, which knows its size."""
        identity, time, timestamp_ms, offset, passed = envelope
        written = identity.encode()
        size = self._least_bytes + content_bytes(key, value) + len(written) + len(time)
        if passed:
            size += header_bytes(passed)
        return Record(key, value, self._with_id(written, time, passed), timestamp_ms, offset, size)

    def _with_id(
        self, event_id: bytes, time: bytes, passed: Iterable[tuple[str, bytes]]
    ) -> list[tuple[str, bytes]]:
        return [*self._constant, ("ce_id", event_id), ("ce_time", time), *passed]
