"""Bytes to messages, outcomes to bytes. Pure: no client, no clock.

Input is JSON, bare text, or a CloudEvent in either mode (CloudEvents Kafka binding 1.0.2: binary mode
has ``ce_*`` headers and the value as is, structured mode has the content type
``application/cloudevents+json``). Outputs are written as plain dictionaries, since building a validated
model for each would take half of the time a message may cost; tests hold every output against its type.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

import orjson
from pydantic import ValidationError

from stream.errors import Cause, MessageError
from stream.events import DeadLetter, Message, Source

Headers = Sequence[tuple[str, bytes | None]]
InputFormat = Literal["json", "text"]

CE_TYPES: Final = {
    "EmotionEvent": "emotion-stream.emotion.v1",
    "CountDelta": "emotion-stream.count-delta.v1",
    "DistressSignal": "emotion-stream.distress-signal.v1",
    "DeadLetter": "emotion-stream.dead-letter.v1",
    "WindowCounter": "emotion-stream.window-counter.v1",
    "Alert": "emotion-stream.alert.v1",
    "Review": "emotion-stream.review.v1",
}

_STRUCTURED = b"application/cloudevents+json"
_CONTENT_TYPE = ("content-type", b"application/json")
_SPEC_VERSION = ("ce_specversion", b"1.0")
_ORIGINAL = "original_"
_OURS = ("ce_", "dlq_", _ORIGINAL)
_JSON_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC
_MAX_CLOCK_SKEW_MS = 5 * 60 * 1000


def decode_message(value: bytes, headers: Headers, input_format: InputFormat, max_bytes: int) -> Message:
    """The message in a record.

    Raises:
        MessageError: with the cause; the error text holds field names and positions, never content.
    """
    if len(value) > max_bytes:
        raise MessageError(Cause.TOO_LARGE, f"{len(value)} bytes, max_message_bytes is {max_bytes}")
    if headers:
        by_name = {name.lower(): content or b"" for name, content in headers}
        if by_name.get("content-type", b"").startswith(_STRUCTURED):
            return _checked(_from_structured(value))
        if "ce_specversion" in by_name:
            return _checked(_from_binary(value, by_name))
    if input_format == "text":
        return _checked(_from_text(value))
    return _checked(_from_json(value))


def _checked(message: Message) -> Message:
    if not message.text or message.text.isspace():
        raise MessageError(Cause.EMPTY_TEXT, "text is empty or only white space")
    return message


def _from_json(value: bytes) -> Message:
    try:
        return Message.model_validate_json(value)
    except ValidationError as error:
        raise _explained(error, value) from None


def _from_text(value: bytes) -> Message:
    try:
        return Message(text=value.decode())
    except UnicodeDecodeError as error:
        raise MessageError(Cause.NOT_UTF8, f"invalid byte at position {error.start}") from None


def _from_binary(value: bytes, headers: Mapping[str, bytes]) -> Message:
    """CloudEvents binary mode: attributes in headers, data in the value."""
    plain = headers.get("content-type", b"").startswith(b"text/plain")
    message = _from_text(value) if plain else _from_json(value)
    return _with_attributes(
        message,
        identity=headers.get("ce_id", b"").decode("utf-8", "replace") or None,
        time=headers.get("ce_time", b"").decode("utf-8", "replace") or None,
    )


def _from_structured(value: bytes) -> Message:
    """CloudEvents structured mode: attributes and data in one JSON object."""
    try:
        event = orjson.loads(value)
    except orjson.JSONDecodeError:
        raise _not_json(value) from None
    if not isinstance(event, dict) or "specversion" not in event:
        raise MessageError(Cause.BAD_CLOUDEVENT, "specversion is missing")
    message = _from_event_data(event)
    return _with_attributes(message, identity=event.get("id"), time=event.get("time"))


def _from_event_data(event: Mapping[str, Any]) -> Message:
    if "data_base64" in event:
        try:
            return _from_json(base64.b64decode(event["data_base64"], validate=True))
        except (binascii.Error, TypeError, ValueError):
            raise MessageError(Cause.BAD_CLOUDEVENT, "data_base64 is not base64") from None
    data = event.get("data")
    if isinstance(data, str):
        return Message(text=data)
    if not isinstance(data, dict):
        raise MessageError(Cause.BAD_CLOUDEVENT, "data is missing or neither an object nor a string")
    return _from_json(orjson.dumps(data))


def _with_attributes(message: Message, *, identity: object, time: object) -> Message:
    """The event's own id and time stand in where the message does not say."""
    try:
        attributes = Message.model_validate({"text": message.text, "id": identity, "ts": time})
    except ValidationError:
        raise MessageError(Cause.BAD_CLOUDEVENT, "id or time is malformed") from None
    return message.model_copy(update={"id": message.id or attributes.id, "ts": message.ts or attributes.ts})


def _explained(error: ValidationError, value: bytes) -> MessageError:
    """Pydantic's first complaint as a cause. Its ``input`` is never read, so no content gets out."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    kind, where = first["type"], ".".join(str(part) for part in first["loc"][:1])
    if kind == "json_invalid":
        return _not_json(value)
    if where == "text" and kind in {"missing", "string_type"}:
        if kind == "missing":
            return MessageError(Cause.NO_TEXT, "the field text is missing")
        return MessageError(Cause.WRONG_TYPE, "the field text is not a string")
    if not where:
        return MessageError(Cause.WRONG_TYPE, "the value is JSON, but not an object")
    return MessageError(Cause.WRONG_TYPE, f"the field {where} is not valid ({kind})")


def _not_json(value: bytes) -> MessageError:
    try:
        value.decode()
    except UnicodeDecodeError as error:
        return MessageError(Cause.NOT_UTF8, f"invalid byte at position {error.start}")
    return MessageError(Cause.NOT_JSON, "the value is not JSON; for bare text set input_format to text")


def event_time_ms(message: Message, record_ts_ms: int) -> int:
    """When the message was written, in Unix milliseconds.

    A time in the future would push every window's watermark past the messages that still come, so a
    message that claims to be from later than five minutes after Kafka took it counts as written then.
    """
    if message.ts is None:
        return record_ts_ms
    claimed = int(message.ts.timestamp() * 1000)
    return claimed if 0 <= claimed <= record_ts_ms + _MAX_CLOCK_SKEW_MS else record_ts_ms


def utc(ms: int) -> datetime:
    """Unix milliseconds as a time in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def to_json(value: Any) -> bytes:
    """JSON with times in UTC as ``…Z``."""
    return orjson.dumps(value, option=_JSON_OPTIONS)


class CloudEventHeaders:
    """Headers of one type of output, the constant part encoded once."""

    def __init__(self, type_name: str, source: str) -> None:
        self._constant: tuple[tuple[str, bytes], ...] = (
            _SPEC_VERSION,
            ("ce_type", CE_TYPES[type_name].encode()),
            ("ce_source", source.encode()),
            _CONTENT_TYPE,
        )

    def of(
        self, event_id: str, time: bytes, passed: Iterable[tuple[str, bytes]] = ()
    ) -> list[tuple[str, bytes]]:
        """Headers of one record. ``time`` is RFC 3339; ``passed`` are headers of the message to carry on."""
        return [*self._constant, ("ce_id", event_id.encode()), ("ce_time", time), *passed]


def encode_dead_letter(letter: DeadLetter, original: Headers, source: str) -> list[tuple[str, bytes]]:
    """Headers of a dead letter: ours, then the original ones, renamed where ours would hide them."""
    ours = [
        _SPEC_VERSION,
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
    return ours + [(_kept_name(name), value or b"") for name, value in original]


def _kept_name(name: str) -> str:
    return f"{_ORIGINAL}{name}" if name.lower().startswith(_OURS) else name


def decode_dead_letter(headers: Headers) -> tuple[DeadLetter, list[tuple[str, bytes]]]:
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
        )
    except KeyError as missing:
        raise ValueError(f"the header {missing.args[0]} is missing") from None
    kept = [
        (name.removeprefix(_ORIGINAL), value or b"")
        for name, value in headers
        if not name.startswith(("ce_", "dlq_"))
    ]
    return letter, kept
