"""Protobuf's values become the JSON that a producer of JSON would have written."""

import json
from typing import Any

import pytest
from google.protobuf import any_pb2, struct_pb2, timestamp_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    EnumValueDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    OneofDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st

from stream.codec import decode_message
from stream.errors import MessageError
from stream.registry.formats import reader_of
from stream.registry.schemas import Read, Schema
from tests.stream.registry import written

F = FieldDescriptorProto
FIRST_TYPE = b"\0"
CHANNEL = EnumDescriptorProto(
    name="Channel",
    value=[EnumValueDescriptorProto(name="WEB", number=0), EnumValueDescriptorProto(name="MAIL", number=1)],
)
OTHER_KINDS = {
    "double": F.TYPE_DOUBLE,
    "float": F.TYPE_FLOAT,
    "small": F.TYPE_SINT32,
    "large": F.TYPE_UINT64,
    "truth": F.TYPE_BOOL,
}


def field(name: str, number: int, kind: Any, **more: Any) -> FieldDescriptorProto:
    return F(name=name, number=number, type=kind, **({"label": F.LABEL_OPTIONAL} | more))


def file_of(*fields: FieldDescriptorProto, **more: Any) -> FileDescriptorProto:
    message = DescriptorProto(name="Message", field=fields, oneof_decl=[OneofDescriptorProto(name="either")])
    if not any(one.HasField("oneof_index") for one in fields):
        message.ClearField("oneof_decl")
    others = more.pop("others", [])
    return FileDescriptorProto(
        name="m.proto",
        package="desk",
        syntax="proto3",
        message_type=[message, *others],
        enum_type=[CHANNEL],
        **more,
    )


def reader(described: FileDescriptorProto) -> Read:
    return reader_of(Schema("PROTOBUF", written.proto_text(described)))


def message_type(described: FileDescriptorProto) -> Any:
    pool = DescriptorPool()
    pool.Add(described)
    return GetMessageClass(pool.FindMessageTypeByName("desk.Message"))


TEXT = field("text", 1, F.TYPE_STRING)
ASKED = file_of(
    TEXT,
    field("channel", 2, F.TYPE_ENUM, type_name=".desk.Channel"),
    field("author", 3, F.TYPE_STRING),
    field("id", 4, F.TYPE_INT64),
    field("ts", 5, F.TYPE_INT64),
    field("body", 6, F.TYPE_BYTES),
    field("html", 7, F.TYPE_STRING, oneof_index=0),
    field("plain", 8, F.TYPE_STRING, oneof_index=0),
    field("channels", 9, F.TYPE_ENUM, type_name=".desk.Channel", label=F.LABEL_REPEATED),
    field("parent", 10, F.TYPE_MESSAGE, type_name=".desk.Message"),
    field("others", 11, F.TYPE_MESSAGE, type_name=".desk.Message", label=F.LABEL_REPEATED),
    field("user", 12, F.TYPE_MESSAGE, type_name=".desk.User"),
    others=[DescriptorProto(name="User", field=[field("name", 1, F.TYPE_STRING)])],
)
READ = reader(ASKED)
ZEROS = {"text": "", "channel": "WEB", "author": "", "body": ""}


def document(**content: Any) -> bytes:
    return READ(FIRST_TYPE + message_type(ASKED)(**content).SerializeToString())


def test_the_zero_of_an_enumeration_is_one_of_its_values() -> None:
    assert decode_message(document(text="joy", channel="WEB"), (), "json", 9999).channel == "WEB"
    assert json.loads(document(channels=["WEB", "MAIL"]))["channels"] == ["WEB", "MAIL"]


def test_a_later_value_of_an_enumeration_is_a_number() -> None:
    assert json.loads(document(channel=7))["channel"] == 7


def test_an_empty_text_is_a_text_and_an_empty_name_is_none() -> None:
    with pytest.raises(MessageError, match="empty_text"):
        decode_message(document(author="kim"), (), "json", 9999)
    assert decode_message(document(text="joy", author=""), (), "json", 9999).author is None


def test_a_number_that_is_zero_is_neither_an_id_nor_a_time() -> None:
    found = decode_message(document(text="joy", id=0, ts=0), (), "json", 9999)
    assert (found.id, found.ts) == (None, None)


def test_of_a_oneof_there_is_what_was_written_also_where_it_is_empty() -> None:
    assert json.loads(document(plain="")) == {**ZEROS, "plain": ""}


def test_bytes_are_text_where_they_can_be() -> None:
    assert json.loads(document(body="ü".encode()))["body"] == "ü"
    assert json.loads(document(body=b"\xff"))["body"] == "/w=="


def test_zeros_are_told_of_what_stands_once() -> None:
    found = json.loads(document(user={}, parent={"id": 7}, others=[{}, {"user": {}}]))
    assert found == {
        **ZEROS,
        "user": {"name": ""},
        "parent": {"id": "7"},
        "others": [{}, {"user": {}}],
    }


def test_a_list_of_empty_messages_stays_as_short_as_it_was() -> None:
    many = READ(FIRST_TYPE + b"\x5a\0" * 10_000)
    assert len(many) < 40_000


EVERYTHING = file_of(
    TEXT,
    *(field(name, number, kind) for number, (name, kind) in enumerate(OTHER_KINDS.items(), 2)),
    *(
        field(f"{name}s", number, kind, label=F.LABEL_REPEATED)
        for number, (name, kind) in enumerate(OTHER_KINDS.items(), 12)
    ),
)
CONTENTS = st.fixed_dictionaries(
    {},
    optional={
        "double": st.floats(),
        "float": st.floats(width=32),
        "small": st.integers(-(2**31), 2**31 - 1),
        "large": st.integers(0, 2**64 - 1),
        "truth": st.booleans(),
        "text": st.text(max_size=5),
        "doubles": st.lists(st.floats(), max_size=3),
        "floats": st.lists(st.floats(width=32), max_size=3),
        "larges": st.lists(st.integers(0, 2**64 - 1), max_size=3),
        "truths": st.lists(st.booleans(), max_size=3),
    },
)


@given(CONTENTS)
def test_what_is_not_zero_is_as_in_the_json_mapping_of_protobuf(content: dict[str, Any]) -> None:
    message = message_type(EVERYTHING)(**content)
    found = json.loads(reader(EVERYTHING)(FIRST_TYPE + message.SerializeToString()))
    assert found == {"text": "", "truth": False} | MessageToDict(message, preserving_proto_field_name=True)


def test_keys_of_maps_are_text() -> None:
    entry = DescriptorProto(
        name="SeenEntry", field=[field("key", 1, F.TYPE_BOOL), field("value", 2, F.TYPE_BYTES)]
    )
    entry.options.map_entry = True
    described = file_of(
        field("seen", 1, F.TYPE_MESSAGE, type_name=".desk.Message.SeenEntry", label=F.LABEL_REPEATED)
    )
    described.message_type[0].nested_type.append(entry)
    message = message_type(described)(seen={True: b"a", False: b"b"})
    assert json.loads(reader(described)(FIRST_TYPE + message.SerializeToString())) == {
        "seen": {"true": "a", "false": "b"}
    }


@pytest.mark.parametrize(
    ("imported", "type_name"),
    [
        ("google/protobuf/api.proto", "google.protobuf.Api"),
        ("google/protobuf/descriptor.proto", "google.protobuf.FileOptions"),
        ("google/protobuf/empty.proto", "google.protobuf.Empty"),
        ("google/protobuf/type.proto", "google.protobuf.Type"),
        ("google/type/money.proto", "google.type.Money"),
        ("google/type/interval.proto", "google.type.Interval"),
        ("confluent/meta.proto", "confluent.Meta"),
        ("confluent/type/decimal.proto", "confluent.type.Decimal"),
    ],
)
def test_files_that_no_registry_keeps_can_be_imported(imported: str, type_name: str) -> None:
    described = file_of(
        TEXT, field("more", 2, F.TYPE_MESSAGE, type_name=f".{type_name}"), dependency=[imported]
    )
    found = json.loads(reader(described)(FIRST_TYPE + b"\x0a\x03joy\x12\0"))
    assert (found["text"], type(found["more"])) == ("joy", dict)


def test_what_a_schema_says_of_its_fields_by_confluents_options_is_no_hindrance() -> None:
    told = field("text", 1, F.TYPE_STRING)
    told.options.MergeFromString(b"\x82\x44\x05\x1a\x03PII")  # [(confluent.field_meta).tags = "PII"]
    assert json.loads(reader(file_of(told, dependency=["confluent/meta.proto"]))(b"\0\x0a\x03joy")) == {
        "text": "joy"
    }


@pytest.mark.parametrize("name", ["schema.proto", "m.proto", "default", "a'"])
def test_an_imported_file_may_have_any_name(name: str) -> None:
    user = written.proto_user()
    user.name = name
    described = file_of(TEXT, field("user", 2, F.TYPE_MESSAGE, type_name=".desk.User"), dependency=[name])
    read = reader_of(Schema("PROTOBUF", written.proto_text(described), {name: written.proto_text(user)}))
    assert json.loads(read(b"\0\x0a\x03joy\x12\x02\x08\x07")) == {"text": "joy", "user": {"id": "7"}}


def test_a_mask_of_fields_is_as_in_the_json_mapping_of_protobuf() -> None:
    mask = field("mask", 2, F.TYPE_MESSAGE, type_name=".google.protobuf.FieldMask")
    read = reader(file_of(TEXT, mask, dependency=["google/protobuf/field_mask.proto"]))
    assert json.loads(read(b"\0\x12\x05\x0a\x03a_b")) == {"text": "", "mask": "aB"}


PACKED = file_of(
    TEXT,
    field("until", 2, F.TYPE_MESSAGE, type_name=".google.protobuf.Timestamp"),
    field("details", 3, F.TYPE_MESSAGE, type_name=".google.protobuf.Any"),
    field("given", 4, F.TYPE_MESSAGE, type_name=".google.protobuf.Value"),
    dependency=[f"google/protobuf/{name}.proto" for name in ("any", "struct", "timestamp")],
    others=[DescriptorProto(name="User", field=[field("name", 1, F.TYPE_STRING)])],
)
READ_PACKED = reader(PACKED)


def with_field(tag: bytes, message: Any) -> Any:
    written = message.SerializeToString()
    return json.loads(READ_PACKED(b"\0\x0a\x03joy" + tag + bytes([len(written)]) + written))


def test_what_json_cannot_show_is_left_out_and_the_rest_is_read() -> None:
    late = timestamp_pb2.Timestamp(seconds=253402300800)  # the year 10000
    assert with_field(b"\x12", late) == {"text": "joy", "until": None}
    assert with_field(b"\x22", struct_pb2.Value(number_value=float("nan"))) == {"text": "joy", "given": None}


@pytest.mark.parametrize(
    ("type_name", "content", "shown"),
    [
        ("desk.User", b"\x0a\x03kim", {"name": "kim"}),
        ("google.protobuf.Timestamp", b"\x08\x01", {"value": "1970-01-01T00:00:01Z"}),
        ("google.protobuf.Struct", b"", {"value": {}}),
        ("google.protobuf.Any", b"\x0a\x01x", {"value": {"@type": "x"}}),
        ("desk.Unknown", b"\x0a\x03kim", {}),
        ("desk.User", b"\xff", {}),
    ],
)
def test_a_message_of_any_type_is_shown_where_the_type_is_known(
    type_name: str, content: bytes, shown: dict[str, Any]
) -> None:
    url = f"type.googleapis.com/{type_name}"
    found = with_field(b"\x1a", any_pb2.Any(type_url=url, value=content))
    assert found == {"text": "joy", "details": {"@type": url, **shown}}


def test_any_within_any_ends_where_it_is_too_deep() -> None:
    packed = any_pb2.Any()
    for _ in range(2000):
        packed = any_pb2.Any(type_url="/google.protobuf.Any", value=packed.SerializeToString())
    written = packed.SerializeToString()
    length = bytes([len(written) & 0x7F | 0x80, len(written) >> 7 & 0x7F | 0x80, len(written) >> 14])
    with pytest.raises(MessageError, match="schema_mismatch"):
        READ_PACKED(b"\0\x1a" + length + written)
