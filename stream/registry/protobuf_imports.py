"""Files that Protobuf schemas import without their registry keeping them: Google's and Confluent's. Pure.

Confluent's serializers bring these along and register none of them.
"""

from typing import Any, Final

from google.protobuf import (
    any_pb2,
    api_pb2,
    descriptor_pb2,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    source_context_pb2,
    struct_pb2,
    timestamp_pb2,
    type_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.type import (
    calendar_period_pb2,
    color_pb2,
    date_pb2,
    datetime_pb2,
    dayofweek_pb2,
    decimal_pb2,
    expr_pb2,
    fraction_pb2,
    interval_pb2,
    latlng_pb2,
    money_pb2,
    month_pb2,
    phone_number_pb2,
    postal_address_pb2,
    quaternion_pb2,
    timeofday_pb2,
)

_GOOGLES: Final = (
    any_pb2,
    api_pb2,
    descriptor_pb2,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    source_context_pb2,
    struct_pb2,
    timestamp_pb2,
    type_pb2,
    wrappers_pb2,
    calendar_period_pb2,
    color_pb2,
    date_pb2,
    datetime_pb2,
    dayofweek_pb2,
    decimal_pb2,
    expr_pb2,
    fraction_pb2,
    interval_pb2,
    latlng_pb2,
    money_pb2,
    month_pb2,
    phone_number_pb2,
    postal_address_pb2,
    quaternion_pb2,
    timeofday_pb2,
)
_META_NUMBER: Final = 1088
_META_OF: Final = {
    "file_meta": "FileOptions",
    "message_meta": "MessageOptions",
    "field_meta": "FieldOptions",
    "enum_meta": "EnumOptions",
    "enum_value_meta": "EnumValueOptions",
}


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
        *(FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb) for module in _GOOGLES),
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
