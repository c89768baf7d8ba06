"""Values in Confluent's wire format to JSON, by the schema that they name. Pure.

Wire format: the byte 0, the schema's id in four bytes, then Avro's binary encoding, or JSON, or for Protobuf
the path to the message type inside its file and the message.
"""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import fastavro
import orjson
from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    duration_pb2,
    empty_pb2,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict
from google.protobuf.message_factory import GetMessageClass

from stream.errors import Cause, MessageError

PREFIX_BYTES: Final = 5
_WELL_KNOWN: Final[dict[str, bytes]] = {
    module.DESCRIPTOR.name: module.DESCRIPTOR.serialized_pb
    for module in (any_pb2, duration_pb2, empty_pb2, struct_pb2, timestamp_pb2, wrappers_pb2)
}

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


def schema_id(value: bytes) -> int | None:
    """The id of the schema that a value was written with; None where it does not say."""
    if len(value) < PREFIX_BYTES or value[0] != 0:
        return None
    return int.from_bytes(value[1:PREFIX_BYTES], "big")


def reader_of(schema: Schema) -> Read:
    """How values of a schema are read.

    Raises:
        UnusableSchemaError: the schema is of another kind, or is none.
    """
    makers: dict[str, Callable[[Schema], Read]] = {"AVRO": _avro, "PROTOBUF": _protobuf, "JSON": _json}
    if schema.kind not in makers:
        raise UnusableSchemaError(f"a schema of the type {schema.kind} cannot be read")
    try:
        return makers[schema.kind](schema)
    except UnusableSchemaError:
        raise
    except Exception as error:
        raise UnusableSchemaError(
            f"not a schema of the type {schema.kind} ({type(error).__name__})"
        ) from error


def _json(_: Schema) -> Read:
    return bytes  # as it stands: whoever wrote it was held to its schema


def _avro(schema: Schema) -> Read:
    named: dict[str, Any] = {}
    for text in schema.references.values():
        fastavro.parse_schema(orjson.loads(text), named_schemas=named)
    parsed = fastavro.parse_schema(orjson.loads(schema.text), named_schemas=named)

    def read(payload: bytes) -> bytes:
        stream = io.BytesIO(payload)
        try:
            found = fastavro.schemaless_reader(stream, parsed, None)
        except Exception as error:  # its words may quote the message
            raise _mismatch(f"Avro: {type(error).__name__}") from None
        if left := len(payload) - stream.tell():
            raise _mismatch(f"Avro: {left} bytes are left")
        return _dumped(found)

    return read


def _protobuf(schema: Schema) -> Read:
    own = _file(schema.text, "schema.proto")
    files = [_file(text, name) for name, text in schema.references.items() if name not in _WELL_KNOWN]
    files.append(own)
    given = {file.name for file in files} | _WELL_KNOWN.keys()
    if absent := {name for file in files for name in file.dependency} - given:
        raise UnusableSchemaError(f"it imports {', '.join(sorted(absent))}, which the registry does not give")
    pool = DescriptorPool()
    for name in sorted({name for file in files for name in file.dependency} & _WELL_KNOWN.keys()):
        pool.AddSerializedFile(_WELL_KNOWN[name])
    for file in files:
        pool.Add(file)
    messages = list(pool.FindFileByName(own.name).message_types_by_name.values())

    def read(payload: bytes) -> bytes:
        try:
            path, start = _message_path(payload)
            message = GetMessageClass(_at(messages, path))()
            message.ParseFromString(payload[start:])
            found = MessageToDict(message, preserving_proto_field_name=True)
        except Exception as error:
            raise _mismatch(f"Protobuf: {type(error).__name__}") from None
        return _dumped(found)

    return read


def _file(text: str, name: str) -> descriptor_pb2.FileDescriptorProto:
    described = descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(text, validate=True))
    described.name = name
    return described


def _message_path(payload: bytes) -> tuple[list[int], int]:
    """The indexes that lead to the message type, and where the message begins; none mean the first type."""
    count, position = _zigzag(payload, 0)
    path = []
    for _ in range(count):
        index, position = _zigzag(payload, position)
        path.append(index)
    return path or [0], position


def _zigzag(payload: bytes, position: int) -> tuple[int, int]:
    """A variable-length integer with its sign in the last bit, and where the next one begins."""
    number = shift = 0
    while True:
        byte = payload[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), position
        shift += 7


def _at(messages: Sequence[Descriptor], path: Sequence[int]) -> Descriptor:
    if min(path) < 0:
        raise IndexError
    found = messages[path[0]]
    for index in path[1:]:
        found = found.nested_types[index]
    return found


def _dumped(found: Any) -> bytes:
    try:
        return orjson.dumps(found, default=_plain)
    except (TypeError, ValueError):
        raise _mismatch("a field holds what JSON cannot") from None


def _plain(found: Any) -> Any:
    """What JSON has no type for: decimals as text, bytes as text where they are UTF-8 and else in base64."""
    if isinstance(found, Decimal):
        return str(found)
    if isinstance(found, bytes):
        try:
            return found.decode()
        except UnicodeDecodeError:
            return base64.b64encode(found).decode()
    raise TypeError


def _mismatch(detail: str) -> MessageError:
    return MessageError(Cause.SCHEMA_MISMATCH, f"the value does not fit its schema ({detail})")
