"""Values in Confluent's wire format, and the schemas that they are written by."""

import base64
import io
import json
from typing import Any

import fastavro
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass

AVRO = {
    "type": "record",
    "name": "Ticket",
    "fields": [
        {"name": "body", "type": "string"},
        {
            "name": "user",
            "type": {"type": "record", "name": "User", "fields": [{"name": "id", "type": "long"}]},
        },
        {"name": "sent_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "queue", "type": ["null", "string"], "default": None},
    ],
}


def prefixed(number: int, payload: bytes) -> bytes:
    return b"\0" + number.to_bytes(4, "big") + payload


def avro(number: int, content: dict[str, Any], schema: Any = AVRO) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), content)
    return prefixed(number, stream.getvalue())


def avro_text(schema: Any = AVRO) -> str:
    return json.dumps(schema)


def _field(name: str, number: int, kind: int, type_name: str = "") -> FieldDescriptorProto:
    return FieldDescriptorProto(name=name, number=number, type=kind, type_name=type_name or None, label=1)  # type: ignore[arg-type]


def proto_user() -> FileDescriptorProto:
    """``user.proto``: a file that others import."""
    user = DescriptorProto(name="User", field=[_field("id", 1, FieldDescriptorProto.TYPE_INT64)])
    return FileDescriptorProto(name="user.proto", package="desk", syntax="proto3", message_type=[user])


def proto_ticket() -> FileDescriptorProto:
    """A file with two types, the second with one inside, that imports another and a well-known one."""
    other = DescriptorProto(name="Other", field=[_field("text", 1, FieldDescriptorProto.TYPE_STRING)])
    inner = DescriptorProto(name="Inner", field=[_field("text", 1, FieldDescriptorProto.TYPE_STRING)])
    ticket = DescriptorProto(
        name="Ticket",
        field=[
            _field("body", 1, FieldDescriptorProto.TYPE_STRING),
            _field("user", 2, FieldDescriptorProto.TYPE_MESSAGE, ".desk.User"),
            _field("sent_at", 3, FieldDescriptorProto.TYPE_MESSAGE, ".google.protobuf.Timestamp"),
        ],
        nested_type=[inner],
    )
    return FileDescriptorProto(
        name="ticket.proto",
        package="desk",
        syntax="proto3",
        dependency=["user.proto", "google/protobuf/timestamp.proto"],
        message_type=[other, ticket],
    )


def proto_text(described: FileDescriptorProto) -> str:
    return base64.b64encode(described.SerializeToString()).decode()


def proto(number: int, path: bytes, type_name: str, content: dict[str, Any]) -> bytes:
    """``path``: the indexes of the type as the wire format writes them."""
    from google.protobuf import timestamp_pb2

    pool = DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    for described in (proto_user(), proto_ticket()):
        pool.AddSerializedFile(described.SerializeToString())
    message = GetMessageClass(pool.FindMessageTypeByName(type_name))()
    ParseDict(content, message)
    return prefixed(number, path + message.SerializeToString())
