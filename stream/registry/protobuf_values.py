"""Protobuf's values to JSON, by the type in their schema's file to which their indexes lead. Pure.

Protobuf's own JSON mapping with three differences: fields keep the names of the file, bytes are text where
they can be, and a text, a truth value or a name of an enumeration is there also where it is the zero of its
type. A number that is zero is left out, since it may as well not have been set: as an id it would be that of
everybody who has none, and as a time the year 1970.
"""

import base64
from collections.abc import MutableMapping, MutableSequence, Sequence
from math import isfinite
from typing import Any, Final

from google.protobuf import descriptor_pb2, wrappers_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pool import Default, DescriptorPool
from google.protobuf.json_format import MessageToDict, SerializeToJsonError
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from stream.registry.protobuf_imports import KNOWN, add_known
from stream.registry.schemas import (
    Read,
    Schema,
    UnusableSchemaError,
    as_json,
    as_text,
    mismatch,
    zigzag,
)

_JSON_OF_THEIR_OWN: Final = frozenset(
    f"google.protobuf.{name}"
    for name in ("Any", "Duration", "FieldMask", "ListValue", "Struct", "Timestamp", "Value")
)
_INTEGERS_AS_TEXT: Final = frozenset({FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64})
_ANY: Final = "google.protobuf.Any"
_NULL: Final = "google.protobuf.NullValue"


def reader_of(schema: Schema) -> Read:
    """How values of a Protobuf schema are read.

    Raises:
        UnusableSchemaError: it imports what is not given.
    """
    own = _file(schema.text)
    files = [_file(text, name) for name, text in schema.references.items() if name not in KNOWN]
    imported = {name for file in (*files, own) for name in file.dependency}
    if absent := imported - {file.name for file in files} - KNOWN.keys():
        raise UnusableSchemaError(f"it imports {', '.join(sorted(absent))}, which the registry does not give")
    own.name = max((*imported, *schema.references), key=len, default="") + "'"  # longer, so none of them
    pool, added = DescriptorPool(), set[str]()
    for name in sorted(imported & KNOWN.keys()):
        add_known(pool, name, added)
    for file in (*files, own):
        pool.Add(file)
    documents = _Documents(pool)
    types = list(pool.FindFileByName(own.name).message_types_by_name.values())

    def read(payload: bytes) -> bytes:
        try:
            described, start = _type_of(payload, types)
            message = GetMessageClass(described)()
            message.ParseFromString(payload[start:])
            found = documents.of(message, frozenset())
        except Exception as error:
            raise mismatch(f"Protobuf: {type(error).__name__}") from None
        return as_json(found)

    return read


def _file(text: str, name: str = "") -> descriptor_pb2.FileDescriptorProto:
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


class _Documents:
    """Messages of one file as JSON documents."""

    def __init__(self, pool: DescriptorPool) -> None:
        self._pool = pool
        self._zeros: dict[str, dict[str, Any]] = {}

    def of(self, message: Message, within: frozenset[str] | None) -> Any:
        """One message as JSON has it.

        ``within``: the types around it. None in a list, a map, or a type within itself: zeros are left out
        there, since two bytes bring a message, and with them all of its fields.
        """
        described = message.DESCRIPTOR
        if described.file.name == wrappers_pb2.DESCRIPTOR.name:
            field = described.fields_by_name["value"]
            return self._one(field, getattr(message, field.name), None)
        if described.full_name == _ANY:
            return self._any(message)
        if described.full_name in _JSON_OF_THEIR_OWN:
            return _own_json(message)
        found: dict[str, Any] = {}
        if within is None or described.full_name in within:
            within = None
        else:
            within |= {described.full_name}
            found.update(self._zeros_of(described))
        for field, content in message.ListFields():
            name = f"[{field.full_name}]" if field.is_extension else field.name
            found[name] = self._all(field, content, within)
        return found

    def _any(self, message: Any) -> dict[str, Any]:
        """A message of the type that it names; the name alone where nobody knows it."""
        found: dict[str, Any] = {"@type": message.type_url}
        described = self._type_named(message.type_url.rpartition("/")[2])
        if described is None:
            return found
        try:
            inner = GetMessageClass(described).FromString(message.value)
        except DecodeError:
            return found
        content = self.of(inner, None)
        is_plain = isinstance(content, dict) and described.full_name not in _JSON_OF_THEIR_OWN
        return found | (content if is_plain else {"value": content})

    def _type_named(self, name: str) -> Descriptor | None:
        for pool in (self._pool, Default()):  # the second for Google's types, which nobody imports for this
            try:
                return pool.FindMessageTypeByName(name)
            except KeyError:
                continue
        return None

    def _all(self, field: FieldDescriptor, content: Any, within: frozenset[str] | None) -> Any:
        """What a field holds, once or several times."""
        if isinstance(content, MutableMapping):
            of_values = field.message_type.fields_by_name["value"]
            return {_map_key(key): self._one(of_values, content[key], None) for key in content}
        if isinstance(content, MutableSequence):
            return [self._one(field, item, None) for item in content]
        return self._one(field, content, within)

    def _one(self, field: FieldDescriptor, content: Any, within: frozenset[str] | None) -> Any:
        kind = field.cpp_type
        if kind == FieldDescriptor.CPPTYPE_MESSAGE:
            return self.of(content, within)
        if kind == FieldDescriptor.CPPTYPE_ENUM:
            return _enumerated(field, content)
        if isinstance(content, bytes):
            return as_text(content)
        if kind in _INTEGERS_AS_TEXT:
            return str(content)
        if kind == FieldDescriptor.CPPTYPE_FLOAT:
            return MessageToDict(wrappers_pb2.FloatValue(value=content))
        if kind == FieldDescriptor.CPPTYPE_DOUBLE and not isfinite(content):
            return MessageToDict(wrappers_pb2.DoubleValue(value=content))
        return content

    def _zeros_of(self, described: Descriptor) -> dict[str, Any]:
        """What the fields of a type hold that are not written where they are zero, numbers left out."""
        if described.full_name not in self._zeros:
            self._zeros[described.full_name] = {
                field.name: self._one(field, field.default_value, None)
                for field in described.fields
                if not field.has_presence and _has_a_zero_that_says_something(field)
            }
        return self._zeros[described.full_name]


def _own_json(message: Message) -> Any:
    """A type that has a form of its own in JSON; None where JSON has none for what it holds: a year 10000."""
    try:
        return MessageToDict(message)
    except (ValueError, SerializeToJsonError):
        return None


def _has_a_zero_that_says_something(field: FieldDescriptor) -> bool:
    zero = field.default_value  # a list for what is repeated
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        return isinstance(zero, int)
    return isinstance(zero, str | bytes | bool)


def _enumerated(field: FieldDescriptor, number: int) -> str | int | None:
    """The name of an enumeration's value; a later version's, which the schema does not know, as a number."""
    if field.enum_type.full_name == _NULL:
        return None
    value = field.enum_type.values_by_number.get(number)
    return number if value is None else str(value.name)


def _map_key(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)
