"""What readers of the registry's formats share: schemas, their errors, and JSON of what was read. Pure."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import orjson

from stream.errors import Cause, MessageError

DEEPEST: Final = 254
"""Objects and lists within each other that orjson writes."""
_LONGEST_VARINT: Final = 10
"""Bytes that 64 bits take in sevens."""

Read = Callable[[bytes], bytes]
"""What follows the prefix, as JSON."""


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema as a registry keeps it. ``text`` of Protobuf is the serialized file descriptor in base64.

    ``references`` are the schemas that it names, by the name that it uses, each before those that need it.
    """

    kind: str
    text: str
    references: Mapping[str, str] = field(default_factory=dict)


class UnusableSchemaError(ValueError):
    """Nothing can be read by this schema."""


def zigzag(payload: bytes, position: int) -> tuple[int, int]:
    """A variable-length integer with its sign in the last bit, and where the next one begins.

    Raises:
        IndexError: the payload ends within it.
        ValueError: it has more than 64 bits.
    """
    number = 0
    for place in range(_LONGEST_VARINT):
        byte = payload[position + place]
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80 and number < 2**64:
            return (number >> 1) ^ -(number & 1), position + place + 1
    raise ValueError("an integer of more than 64 bits")


def as_json(found: Any) -> bytes:
    """What was read, as JSON.

    Raises:
        MessageError: a field holds what JSON cannot.
    """
    try:
        return orjson.dumps(found, default=_plain)
    except (TypeError, ValueError):
        raise mismatch("a field holds what JSON cannot") from None


def as_text(content: bytes) -> str:
    """Bytes as text where they are UTF-8, and else in base64."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return base64.b64encode(content).decode()


def mismatch(detail: str) -> MessageError:
    """The error of a value that its schema does not describe; ``detail`` never quotes the value."""
    return MessageError(Cause.SCHEMA_MISMATCH, f"the value does not fit its schema ({detail})")


def _plain(found: Any) -> Any:
    """What JSON has no type for: decimals as text, bytes as ``as_text``."""
    if isinstance(found, Decimal):
        return str(found)
    if isinstance(found, bytes):
        return as_text(found)
    raise TypeError
