"""Bytes to messages. Pure: no client, no clock.

Input is JSON, bare text, or a CloudEvent in either mode (CloudEvents Kafka binding 1.0.2: binary mode
has ``ce_*`` headers and the value as is, structured mode has the content type
``application/cloudevents+json``).
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import ValidationError
from pydantic_core import from_json

from stream.authors import canonical_author
from stream.errors import Cause, MessageError
from stream.events import Message
from stream.records import Headers

InputFormat = Literal["json", "text"]

STRUCTURED: Final = b"application/cloudevents+json"

BOM: Final = b"\xef\xbb\xbf"
_REGISTRY_PREFIX_BYTES: Final = 5
"""Confluent's wire format: the magic byte 0 and four bytes of schema id before the value."""
_NO_JSON_BEHIND_PREFIX: Final = (
    "the value begins with a zero byte, as with a schema registry, but no JSON follows its prefix"
)

_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}(\\u[dD][c-fC-F][0-9a-fA-F]{2})?|u[dD][c-fC-F][0-9a-fA-F]{2}|.)",
    re.DOTALL,
)
"""An escape in JSON; a surrogate that has no other half is an escape of its own."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What a record holds: ``text`` where it is bare, else a JSON ``document``.

    ``headers`` are by name in lower case, with the attributes of a structured CloudEvent as ``ce_…`` among
    them. ``identity`` and ``time`` are a CloudEvent's own.
    """

    headers: Mapping[str, bytes | None]
    document: Any = None
    text: str | None = None
    identity: object = None
    time: object = None


def decode_message(value: bytes, headers: Headers, input_format: InputFormat, max_bytes: int) -> Message:
    """The message in a record.

    Raises:
        MessageError: with the cause; the error text holds field names and positions, never content.
    """
    check_size(value, max_bytes)
    return read_message(value, headers, input_format)


def check_size(value: bytes, max_bytes: int) -> None:
    """Refuse a value that is longer than messages may be.

    Raises:
        MessageError: it is.
    """
    if len(value) > max_bytes:
        raise MessageError(Cause.TOO_LARGE, f"{len(value)} bytes, max_message_bytes is {max_bytes}")


def read_message(value: bytes, headers: Headers, input_format: InputFormat) -> Message:
    """The message in a value of any length; raises as ``decode_message``."""
    if headers:
        by_name = headers_by_name(headers)
        if _is_structured(by_name):
            return _from_structured(_opened_event(value, by_name))
        if "ce_specversion" in by_name:
            return _checked(_from_binary(value, by_name))
    if input_format == "text":
        return _checked(_from_text(value))
    return _checked(_from_json(value))


def opened(value: bytes, headers: Headers, input_format: InputFormat) -> Opened:
    """What a record holds, whatever the shape of the message in it.

    Raises:
        MessageError: nothing that can be read; as ``decode_message``.
    """
    by_name = headers_by_name(headers)
    if _is_structured(by_name):
        return _opened_event(value, by_name)
    is_event = "ce_specversion" in by_name
    is_text = _is_plain(by_name) if is_event else input_format == "text"
    return Opened(
        by_name,
        document=None if is_text else _json_of(value),
        text=_text_of(value) if is_text else None,
        identity=_attribute(by_name, "ce_id") if is_event else None,
        time=_attribute(by_name, "ce_time") if is_event else None,
    )


def message_of(fields: Any, record: Opened) -> Message:
    """The message that these fields of a record make.

    Raises:
        MessageError: a field is missing or of another type; as ``decode_message``.
    """
    try:
        message = Message.model_validate(fields)
    except ValidationError as error:
        raise _explained(error, b"") from None
    return _checked(_with_attributes(message, identity=record.identity, time=record.time))


def headers_by_name(headers: Headers) -> dict[str, bytes | None]:
    """The headers by their names in lower case; of several of one name, the last."""
    return {name.lower(): content for name, content in headers}


def attributes_of(event: Mapping[str, Any]) -> dict[str, bytes | None]:
    """The attributes of a structured CloudEvent that are text, as headers of one in binary mode."""
    return {
        f"ce_{name.lower()}": content.encode() for name, content in event.items() if isinstance(content, str)
    }


def _is_structured(headers: Mapping[str, bytes | None]) -> bool:
    return (headers.get("content-type") or b"").lower().startswith(STRUCTURED)


def _is_plain(headers: Mapping[str, bytes | None], name: str = "content-type") -> bool:
    return (headers.get(name) or b"").lower().startswith(b"text/plain")


def _attribute(headers: Mapping[str, bytes | None], name: str) -> str | None:
    return (headers.get(name) or b"").decode("utf-8", "replace") or None


def _checked(message: Message) -> Message:
    """The message, if it has a text. A name that is blank is none: it would unite all who have none."""
    if not message.text or message.text.isspace():
        raise MessageError(Cause.EMPTY_TEXT, "text is empty or only white space")
    for name in (message.id, message.author, message.channel, message.conversation):
        if name is not None and _is_blank(name):
            return message.model_copy(update=_blank_names(message))
    return message


def _is_blank(name: str) -> bool:
    """Whether nothing is left of a name in its canonical form."""
    return not name[:1].isalnum() and not canonical_author(name)  # most names are told by their first letter


def _blank_names(message: Message) -> dict[str, None]:
    names = ("id", "author", "channel", "conversation")
    return {field: None for field in names if _is_blank(getattr(message, field) or "")}


def _from_json(value: bytes) -> Message:
    document = without_prefix(value)
    try:
        return Message.model_validate_json(document)
    except ValidationError as error:
        if _is_syntax(error) and (mended := _with_whole_characters(document)) != document:
            return _from_json(mended)
        raise _explained(error, value) from None


def parsed_json(value: bytes) -> Any:
    """The JSON in a value, read as leniently as a message.

    Raises:
        ValueError: there is none.
    """
    document = without_prefix(value)
    try:
        return from_json(document)
    except ValueError:
        return from_json(_with_whole_characters(document))


def without_prefix(value: bytes) -> bytes:
    """The JSON in a value: without a byte order mark, and without a schema registry's prefix."""
    if value.startswith(b"\x00") and value[_REGISTRY_PREFIX_BYTES:].lstrip()[:1] in (b"{", b"["):
        return value[_REGISTRY_PREFIX_BYTES:]
    return value.removeprefix(BOM)


def _with_whole_characters(document: bytes) -> bytes:
    """JSON in which each escaped half of a surrogate pair is U+FFFD, as in text cut in the middle of one."""

    def mend(escape: re.Match[bytes]) -> bytes:
        written = escape[0]
        is_half = len(written) == len(rb"\ud83d") and escape[1] is None
        return rb"\ufffd" if is_half else written

    return _ESCAPE.sub(mend, document)


def _json_of(value: bytes) -> Any:
    try:
        return parsed_json(value)
    except ValueError as error:
        raise _no_json(value, str(error)) from None


def _text_of(value: bytes) -> str:
    try:
        return value.removeprefix(BOM).decode()
    except UnicodeDecodeError as error:
        raise _not_utf8(value, error) from None


def _from_text(value: bytes) -> Message:
    return Message(text=_text_of(value))


def _from_binary(value: bytes, headers: Mapping[str, bytes | None]) -> Message:
    """CloudEvents binary mode: attributes in headers, data in the value."""
    message = _from_text(value) if _is_plain(headers) else _from_json(value)
    return _with_attributes(
        message, identity=_attribute(headers, "ce_id"), time=_attribute(headers, "ce_time")
    )


def _from_structured(event: Opened) -> Message:
    """CloudEvents structured mode: attributes and data in one JSON object."""
    if event.text is not None:
        return message_of({"text": event.text}, event)
    if not isinstance(event.document, dict):
        raise MessageError(Cause.BAD_CLOUDEVENT, "data is missing or neither an object nor a string")
    return message_of(event.document, event)


def _opened_event(value: bytes, headers: Mapping[str, bytes | None]) -> Opened:
    """A structured CloudEvent: data that is a string is bare text, as in binary mode."""
    event = _json_of(value)
    if not isinstance(event, dict) or "specversion" not in event:
        raise MessageError(Cause.BAD_CLOUDEVENT, "specversion is missing")
    attributes = attributes_of(event)
    data = _event_data(event, is_plain=_is_plain(attributes, "ce_datacontenttype"))
    is_text = isinstance(data, str)
    return Opened(
        {**headers, **attributes},
        document=None if is_text else data,
        text=data if is_text else None,
        identity=event.get("id"),
        time=event.get("time"),
    )


def _event_data(event: Mapping[str, Any], *, is_plain: bool) -> Any:
    if "data_base64" not in event:
        return event.get("data")
    try:
        content = base64.b64decode(event["data_base64"], validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise MessageError(Cause.BAD_CLOUDEVENT, "data_base64 is not base64") from None
    return _text_of(content) if is_plain else _json_of(content)


def _with_attributes(message: Message, *, identity: object, time: object) -> Message:
    """The event's own id and time stand in where the message does not say."""
    if identity is None and time is None:
        return message
    try:
        attributes = Message.model_validate({"text": message.text, "id": identity, "ts": time})
    except ValidationError:
        raise MessageError(Cause.BAD_CLOUDEVENT, "id or time is malformed") from None
    return message.model_copy(update={"id": message.id or attributes.id, "ts": message.ts or attributes.ts})


def _is_syntax(error: ValidationError) -> bool:
    return (
        error.errors(include_url=False, include_context=False, include_input=False)[0]["type"]
        == "json_invalid"
    )


def _explained(error: ValidationError, value: bytes) -> MessageError:
    """Pydantic's first complaint as a cause. Its ``input`` is never read, so no content gets out."""
    first = error.errors(include_url=False, include_input=False)[0]
    kind, where = first["type"], ".".join(str(part) for part in first["loc"][:1])
    if kind == "json_invalid":
        return _no_json(value, str(first.get("ctx", {}).get("error", "")))
    if where == "text" and kind in {"missing", "string_type"}:
        if kind == "missing":
            return MessageError(Cause.NO_TEXT, "the field text is missing")
        return MessageError(Cause.WRONG_TYPE, "the field text is not a string")
    if not where:
        return MessageError(Cause.WRONG_TYPE, "the value is JSON, but not an object")
    return MessageError(Cause.WRONG_TYPE, f"the field {where} is not valid ({kind})")


def _no_json(value: bytes, complaint: str) -> MessageError:
    """Why a value is no JSON that can be read. ``complaint`` is the parser's: fixed words and a position."""
    try:
        value.decode()
    except UnicodeDecodeError as error:
        return _not_utf8(value, error)
    if not value.strip():
        return MessageError(Cause.EMPTY_TEXT, "the value is empty")
    if "recursion limit" in complaint:
        return MessageError(Cause.TOO_DEEP, f"the JSON nests too deeply ({complaint})")
    if "out of range" in complaint:
        return MessageError(Cause.WRONG_TYPE, f"a number is out of range ({complaint})")
    if value.startswith(b"\x00"):
        return MessageError(Cause.NOT_JSON, _NO_JSON_BEHIND_PREFIX)
    if value.removeprefix(BOM).lstrip()[:1] in (b"{", b"["):
        return MessageError(Cause.NOT_JSON, f"the value is not valid JSON: {complaint}")
    return MessageError(Cause.NOT_JSON, "the value is not JSON; for bare text set input_format to text")


def _not_utf8(value: bytes, error: UnicodeDecodeError) -> MessageError:
    if value.startswith(b"\x00"):
        return MessageError(Cause.NOT_UTF8, _NO_JSON_BEHIND_PREFIX)
    return MessageError(Cause.NOT_UTF8, f"invalid byte at position {error.start}")
