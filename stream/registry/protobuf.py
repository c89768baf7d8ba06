"""A wire type as a Protobuf message: its file descriptor, and how its values are written. Pure.

Fields are proto3 ``optional``, so that a zero is told apart from what is not there. Readers know fields by
their numbers, so those are written down here and never follow from the order of a type's fields.
"""

import base64
from collections.abc import Callable, Mapping
from datetime import datetime
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from google.protobuf import timestamp_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    OneofDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from pydantic import BaseModel

_PACKAGE: Final = "emotionstream"
_FILE: Final = "emotion_event.proto"
_FIRST_TYPE: Final = b"\0"
"""The message's place in its file, as Confluent's wire format writes the first one."""

NUMBERS: Final[dict[str, tuple[str, ...]]] = {
    "EmotionEvent": (
        "id", "label", "labels", "confidence", "scores", "neutral", "distress", "language",
        "language_confidence", "message_id", "author", "channel", "conversation", "ts", "ts_replaced",
        "labelled_at", "model", "source", "windows", "text",
    ),
    "Scores": ("sadness", "joy", "love", "anger", "fear", "surprise"),
    "DistressReading": ("score", "level"),
    "ModelRef": ("name", "revision"),
    "Source": ("topic", "partition", "offset", "epoch"),
}  # fmt: skip
"""Fields by message, from number 1 on. New ones go to the end, and one that is dropped keeps its place."""

_PLAIN: Final = {
    str: FieldDescriptorProto.TYPE_STRING,
    int: FieldDescriptorProto.TYPE_INT64,
    float: FieldDescriptorProto.TYPE_DOUBLE,
    bool: FieldDescriptorProto.TYPE_BOOL,
}


def schema_of(wire_type: type[BaseModel]) -> str:
    """The file as the registry takes it: serialized, in base64. The type is the first one in it."""
    messages: dict[str, DescriptorProto] = {}
    _add_message(wire_type, messages)
    described = FileDescriptorProto(
        name=_FILE,
        package=_PACKAGE,
        syntax="proto3",
        dependency=[timestamp_pb2.DESCRIPTOR.name],
        message_type=messages.values(),
    )
    return base64.b64encode(described.SerializeToString(deterministic=True)).decode()


def writer_of(schema: str) -> Callable[[Mapping[str, Any]], bytes]:
    """How values of the first type of a file are written, from the type's place on."""
    described = FileDescriptorProto.FromString(base64.b64decode(schema))
    pool = DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(described)
    name = f"{described.package}.{described.message_type[0].name}"
    message = GetMessageClass(pool.FindMessageTypeByName(name))
    return lambda value: _FIRST_TYPE + bytes(message(**value).SerializeToString())


def _add_message(wire_type: type[BaseModel], messages: dict[str, DescriptorProto]) -> None:
    name = wire_type.__name__
    if name in messages:
        return
    message = messages[name] = DescriptorProto(name=name)
    for field_name, field in wire_type.model_fields.items():
        described = _field(field.annotation, messages)
        described.name = field_name
        described.number = NUMBERS[name].index(field_name) + 1
        if described.label != FieldDescriptorProto.LABEL_REPEATED:
            described.proto3_optional = True
            described.oneof_index = len(message.oneof_decl)
            message.oneof_decl.append(OneofDescriptorProto(name=f"_{field_name}"))
        message.field.append(described)


def _field(annotation: Any, messages: dict[str, DescriptorProto]) -> FieldDescriptorProto:
    """A field of a type, without name and number; a message in it is added to ``messages``."""
    once = FieldDescriptorProto.LABEL_OPTIONAL
    if annotation in _PLAIN:
        return FieldDescriptorProto(type=_PLAIN[annotation], label=once)
    if annotation is datetime:
        return _of_message(f".{timestamp_pb2.Timestamp.DESCRIPTOR.full_name}")
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _field(inner[0], messages)
    if origin is Literal:
        return FieldDescriptorProto(type=FieldDescriptorProto.TYPE_STRING, label=once)
    if origin in (Union, UnionType):
        (present,) = (arm for arm in inner if arm is not NoneType)
        return _field(present, messages)
    if origin in (list, tuple):
        repeated = _field(inner[0], messages)
        repeated.label = FieldDescriptorProto.LABEL_REPEATED
        return repeated
    _add_message(annotation, messages)
    return _of_message(f".{_PACKAGE}.{annotation.__name__}")


def _of_message(name: str) -> FieldDescriptorProto:
    return FieldDescriptorProto(
        type=FieldDescriptorProto.TYPE_MESSAGE, type_name=name, label=FieldDescriptorProto.LABEL_OPTIONAL
    )
