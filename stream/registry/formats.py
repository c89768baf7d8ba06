"""Values in Confluent's wire format to JSON, by the schema that they name. Pure.

Wire format: the byte 0, the schema's id in four bytes, then Avro's binary encoding, or JSON, or for Protobuf
the path to the message type inside its file and the message.
"""

import base64
from collections.abc import Callable, Sequence
from typing import Final

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

from stream.registry import avro_values
from stream.registry.schemas import Read, Schema, UnusableSchemaError, as_json, mismatch, zigzag

PREFIX_BYTES: Final = 5
_WELL_KNOWN: Final[dict[str, bytes]] = {
    module.DESCRIPTOR.name: module.DESCRIPTOR.serialized_pb
    for module in (any_pb2, duration_pb2, empty_pb2, struct_pb2, timestamp_pb2, wrappers_pb2)
}


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
    makers: dict[str, Callable[[Schema], Read]] = {
        "AVRO": avro_values.reader_of,
        "PROTOBUF": _protobuf,
        "JSON": _json,
    }
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
            described, start = _type_of(payload, messages)
            message = GetMessageClass(described)()
            message.ParseFromString(payload[start:])
            found = MessageToDict(message, preserving_proto_field_name=True)
        except Exception as error:
            raise mismatch(f"Protobuf: {type(error).__name__}") from None
        return as_json(found)

    return read


def _file(text: str, name: str) -> descriptor_pb2.FileDescriptorProto:
    described = descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(text, validate=True))
    described.name = name
    return described


def _type_of(payload: bytes, types: Sequence[Descriptor]) -> tuple[Descriptor, int]:
    """The message type to which the indexes lead, and where the message begins; none mean the first type.

    Raises:
        IndexError: they lead nowhere.
        ValueError: an index has more than 64 bits.
    """
    found, (count, position) = types[0], zigzag(payload, 0)
    if count < 0:
        raise IndexError
    for _ in range(count):
        index, position = zigzag(payload, position)
        if index < 0:
            raise IndexError
        found = types[index]
        types = found.nested_types
    return found, position
