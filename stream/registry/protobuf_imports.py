"""Files that Protobuf schemas import without their registry keeping them: Google's and Confluent's. Pure.

Confluent's serializers bring these along and register none of them.
"""

from importlib import import_module
from typing import Any, Final

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

_GOOGLES: Final = (
    "protobuf.any",
    "protobuf.api",
    "protobuf.descriptor",
    "protobuf.duration",
    "protobuf.empty",
    "protobuf.field_mask",
    "protobuf.source_context",
    "protobuf.struct",
    "protobuf.timestamp",
    "protobuf.type",
    "protobuf.wrappers",
    "type.calendar_period",
    "type.color",
    "type.date",
    "type.datetime",
    "type.dayofweek",
    "type.decimal",
    "type.expr",
    "type.fraction",
    "type.interval",
    "type.latlng",
    "type.money",
    "type.month",
    "type.phone_number",
    "type.postal_address",
    "type.quaternion",
    "type.timeofday",
)
_META_NUMBER: Final = 1088
_META_OF: Final = {
    "file_meta": "FileOptions",
    "message_meta": "MessageOptions",
    "field_meta": "FieldOptions",
    "enum_meta": "EnumOptions",
    "enum_value_meta": "EnumValueOptions",
}


def _google(name: str) -> FileDescriptorProto:
    module = import_module(f"google.{name}_pb2")
    return FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)


def _field(name: str, number: int, kind: Any, *, many: bool = False, **more: Any) -> FieldDescriptorProto:
    label = FieldDescriptorProto.LABEL_REPEATED if many else FieldDescriptorProto.LABEL_OPTIONAL
    return FieldDescriptorProto(name=name, number=number, type=kind, label=label, **more)


def _meta() -> FileDescriptorProto:
    """``confluent/meta.proto``: options by which schemas say what a field is."""
    text, message = FieldDescriptorProto.TYPE_STRING, FieldDescriptorProto.TYPE_MESSAGE
    entry = DescriptorProto(name="ParamsEntry", field=[_field("key", 1, text), _field("value", 2, text)])
    entry.options.map_entry = True
    meta = DescriptorProto(
        name="Meta",
        field=[
            _field("doc", 1, text),
            _field("params", 2, message, many=True, type_name=".confluent.Meta.ParamsEntry"),
            _field("tags", 3, text, many=True),
        ],
        nested_type=[entry],
    )
    return FileDescriptorProto(
        name="confluent/meta.proto",
        package="confluent",
        syntax="proto3",
        dependency=[descriptor_pb2.DESCRIPTOR.name],
        message_type=[meta],
        extension=[
            _field(
                name, _META_NUMBER, message, type_name=".confluent.Meta", extendee=f".google.protobuf.{of}"
            )
            for name, of in _META_OF.items()
        ],
    )


def _decimal() -> FileDescriptorProto:
    """``confluent/type/decimal.proto``."""
    value = _field("value", 1, FieldDescriptorProto.TYPE_BYTES)
    precision = _field("precision", 2, FieldDescriptorProto.TYPE_UINT32)
    scale = _field("scale", 3, FieldDescriptorProto.TYPE_INT32)
    return FileDescriptorProto(
        name="confluent/type/decimal.proto",
        package="confluent.type",
        syntax="proto3",
        message_type=[DescriptorProto(name="Decimal", field=[value, precision, scale])],
    )


KNOWN: Final[dict[str, FileDescriptorProto]] = {
    file.name: file
    for file in (
        *map(_google, _GOOGLES),
        _meta(),
        _decimal(),
    )
}
"""By the name of their import."""


def add_known(pool: DescriptorPool, name: str, added: set[str]) -> None:
    """Give a pool one of these files, those that it imports first."""
    if name in added:
        return
    added.add(name)
    for imported in KNOWN[name].dependency:
        add_known(pool, imported, added)
    pool.Add(KNOWN[name])
