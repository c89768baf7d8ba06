"""How labelled events are written with a schema: its text, from the wire type, and its encoding. Pure."""

import io
from collections.abc import Mapping
from datetime import datetime
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import fastavro
import orjson
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from stream.cloudevents import ValueFormat, to_json
from stream.registry import protobuf

Kind = Literal["avro", "json", "protobuf"]

_NAMESPACE: Final = "emotionstream"
_PLAIN: Final[dict[Any, Any]] = {
    str: "string",
    int: "long",
    float: "double",
    bool: "boolean",
    datetime: {"type": "long", "logicalType": "timestamp-micros"},
}


def schema_of(wire_type: type[BaseModel], kind: Kind) -> tuple[str, str]:
    """The registry's name of the kind, and the text of the schema."""
    if kind == "protobuf":
        return "PROTOBUF", protobuf.schema_of(wire_type)
    if kind == "json":
        return "JSON", orjson.dumps(wire_type.model_json_schema(mode="serialization")).decode()
    return "AVRO", orjson.dumps(_avro(wire_type, set())).decode()


def format_of(kind: Kind, schema: str, number: int) -> ValueFormat:
    """Values in Confluent's wire format, under the schema's id."""
    prefix = b"\0" + number.to_bytes(4, "big")
    if kind == "json":
        return ValueFormat(b"application/json", lambda event: prefix + to_json(event))
    if kind == "protobuf":
        encode = protobuf.writer_of(schema)
        return ValueFormat(b"application/protobuf", lambda event: prefix + encode(event))
    parsed = fastavro.parse_schema(orjson.loads(schema))

    def write(event: Mapping[str, Any]) -> bytes:
        stream = io.BytesIO()
        stream.write(prefix)
        fastavro.schemaless_writer(stream, parsed, event)
        return stream.getvalue()

    return ValueFormat(b"application/avro", write)


def _avro(annotation: Any, named: set[str]) -> Any:
    """A type as Avro has it. A record is written out once, and named after that."""
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _avro(inner[0], named)
    if origin is Literal:
        return "string"
    if origin in (Union, UnionType):
        (present,) = (arm for arm in inner if arm is not NoneType)
        return ["null", _avro(present, named)]
    if origin in (list, tuple):
        return {"type": "array", "items": _avro(inner[0], named)}
    if origin is dict:
        return {"type": "map", "values": _avro(inner[1], named)}
    return _record(annotation, named)


def _record(wire_type: type[BaseModel], named: set[str]) -> Any:
    name = wire_type.__name__
    if name in named:
        return f"{_NAMESPACE}.{name}"
    named.add(name)
    fields = []
    for field_name, field in wire_type.model_fields.items():
        written = {"name": field_name, "type": _avro(field.annotation, named)}
        if field.description:
            written["doc"] = field.description
        if field.default is not PydanticUndefined:
            written["default"] = list(field.default) if isinstance(field.default, tuple) else field.default
        fields.append(written)
    return {
        "type": "record",
        "name": name,
        "namespace": _NAMESPACE,
        "doc": wire_type.__doc__,
        "fields": fields,
    }
