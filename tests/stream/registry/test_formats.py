"""Whatever bytes follow a schema's id, they are read as JSON or refused, and never anything else."""

import io
import json
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import Cause, MessageError
from stream.registry.formats import reader_of, schema_id
from stream.registry.schemas import Read, Schema, UnusableSchemaError, zigzag
from tests.stream.registry import written

EVERYTHING = {
    "type": "record",
    "name": "Everything",
    "fields": [
        {"name": "text", "type": "string"},
        {"name": "bytes", "type": "bytes"},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "on", "type": {"type": "int", "logicalType": "date"}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "key", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "mood", "type": {"type": "enum", "name": "Mood", "symbols": ["GOOD", "BAD"]}},
        {"name": "ratio", "type": "double"},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "extra", "type": {"type": "map", "values": ["null", "long", "string"]}},
        {"name": "parent", "type": ["null", "Everything"]},
    ],
}
READERS = {
    "avro": reader_of(Schema("AVRO", json.dumps(EVERYTHING))),
    "protobuf": reader_of(
        Schema(
            "PROTOBUF",
            written.proto_text(written.proto_ticket()),
            {"user.proto": written.proto_text(written.proto_user())},
        )
    ),
}


def full(**changes: Any) -> dict[str, Any]:
    from datetime import UTC, date, datetime
    from decimal import Decimal

    values = {
        "text": "ü",
        "bytes": b"\xff",
        "price": Decimal("12.50"),
        "on": date(2025, 11, 3),
        "at": datetime(2025, 11, 3, 10, tzinfo=UTC),
        "key": "6f8fefe0-7d1c-4b3c-8e39-2c1f4b1a2a10",
        "mood": "BAD",
        "ratio": 0.5,
        "tags": ["a"],
        "extra": {"n": 7, "s": "x", "none": None},
        "parent": None,
    }
    return values | changes


def test_types_that_json_lacks_become_text() -> None:
    found = json.loads(READERS["avro"](written.avro(0, full(parent=full()), EVERYTHING)[5:]))
    assert found["parent"] | {"parent": found["parent"]} == found
    assert (found["bytes"], found["price"], found["on"]) == ("/w==", "12.50", "2025-11-03")
    assert (found["at"], found["key"]) == ("2025-11-03T10:00:00+00:00", full()["key"])


@given(
    st.one_of(st.binary(max_size=200), st.binary(max_size=20).map(lambda tail: b"\x02\x02\x0a\x02hi" + tail))
)
@pytest.mark.parametrize("kind", READERS)
def test_any_bytes_are_read_or_do_not_fit(kind: str, payload: bytes) -> None:
    held(READERS[kind], payload)


@given(st.data())
def test_a_value_that_was_damaged_on_its_way_is_read_or_does_not_fit(data: st.DataObject) -> None:
    payload = bytearray(written.avro(0, full(parent=full()), EVERYTHING)[5:])
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    held(READERS["avro"], bytes(payload))


def held(read: Read, payload: bytes) -> None:
    refused = None
    try:
        json.loads(read(payload))
    except MessageError as error:
        refused = error
    assert refused is None or refused.cause is Cause.SCHEMA_MISMATCH


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (Schema("XML", "<a/>"), "type XML"),
        (Schema("AVRO", "no json"), "JSONDecodeError"),
        (Schema("AVRO", '"Unknown"'), "UnknownType"),
        (Schema("PROTOBUF", 'syntax = "proto3";'), "not a schema of the type PROTOBUF"),
        (Schema("PROTOBUF", written.proto_text(written.proto_ticket())), "it imports user.proto"),
    ],
)
def test_a_schema_that_cannot_be_used_says_why(schema: Schema, said: str) -> None:
    with pytest.raises(UnusableSchemaError, match=said):
        reader_of(schema)


@pytest.mark.parametrize(
    ("kind", "logical", "content", "shown"),
    [
        ("long", "timestamp-millis", 2**63 - 1, 2**63 - 1),
        ("long", "timestamp-millis", 253_402_300_800_000, 253_402_300_800_000),
        ("long", "timestamp-micros", -(2**63), -(2**63)),
        ("long", "local-timestamp-millis", 2**63 - 1, 2**63 - 1),
        ("long", "time-micros", 2**62, 2**62),
        ("int", "time-millis", 2**31 - 1, 2**31 - 1),
        ("int", "date", 2**31 - 1, 2**31 - 1),
        ("int", "date", 1, "1970-01-02"),
        ("string", "uuid", "none", "none"),
        ("string", "unheard-of", "x", "x"),
    ],
)
def test_a_field_that_is_nothing_of_its_logical_type_is_what_was_written(
    kind: str, logical: str, content: Any, shown: Any
) -> None:
    fields = [{"name": "text", "type": "string"}, {"name": "more", "type": kind}]
    schema = {"type": "record", "name": "Plain", "fields": fields}
    payload = written.avro(0, {"text": "joy", "more": content}, schema)[5:]
    fields[1] = {"name": "more", "type": {"type": kind, "logicalType": logical}}  # type: ignore[dict-item]
    assert json.loads(avro_reader(schema)(payload)) == {"text": "joy", "more": shown}


def test_a_decimal_is_no_longer_than_any_number_is() -> None:
    schema = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}
    assert json.loads(avro_reader(schema)(written.avro(0, b"\x04\xe2", "bytes")[5:])) == "12.50"  # type: ignore[arg-type]
    long = b"1" * 200_000
    assert json.loads(avro_reader(schema)(written.avro(0, long, "bytes")[5:])) == long.decode()  # type: ignore[arg-type]


def test_readers_of_others_are_as_strict_as_they_were() -> None:
    schema = fastavro.parse_schema({"type": "int", "logicalType": "date"})
    with pytest.raises(OverflowError):
        fastavro.schemaless_reader(io.BytesIO(written.avro(0, 2**31 - 1, "int")[5:]), schema, None)  # type: ignore[arg-type]


USER = {"type": "record", "name": "desk.User", "fields": [{"name": "id", "type": "long"}]}


@pytest.mark.parametrize(
    ("schema", "payload", "found"),
    [
        (["desk.Ticket", "desk.User"], b"\x02\x0e", {"id": 7}),
        ("desk.User", b"\x0e", {"id": 7}),
        ({"type": "array", "items": "desk.User"}, b"\x02\x0e\0", [{"id": 7}]),
        ({"type": "map", "values": ["null", "desk.User"]}, b"\x02\x02k\x02\x0e\0", {"k": {"id": 7}}),
    ],
)
def test_a_schema_of_nothing_but_others_is_read(schema: Any, payload: bytes, found: Any) -> None:
    ticket = {"type": "record", "name": "desk.Ticket", "fields": [{"name": "by", "type": "desk.User"}]}
    others = {"desk.User": json.dumps(USER), "desk.Ticket": json.dumps(ticket)}
    assert json.loads(reader_of(Schema("AVRO", json.dumps(schema), others))(payload)) == found


COMMENT = {
    "type": "record",
    "name": "Comment",
    "fields": [
        {"name": "replies", "type": {"type": "array", "items": "Comment"}},
        {"name": "text", "type": ["null", "string"]},
    ],
}
NODE = {
    "type": "record",
    "name": "Node",
    "fields": [{"name": "next", "type": ["null", "Node"]}, {"name": "text", "type": "string"}],
}
ENDLESS = {"type": "record", "name": "Endless", "fields": [{"name": "itself", "type": "Endless"}]}
MARKED = {
    "type": "record",
    "name": "Marked",
    "fields": [
        {"name": "text", "type": "string"},
        {
            "name": "marks",
            "type": {"type": "array", "items": {"type": "record", "name": "Mark", "fields": []}},
        },
    ],
}


def avro_reader(schema: Any) -> Read:
    return reader_of(Schema("AVRO", json.dumps(schema)))


@pytest.mark.parametrize(
    ("schema", "payload"),
    [(COMMENT, b"\x02" * 200_000), (NODE, b"\x02" * 200_000), (ENDLESS, b""), (COMMENT, b"\x02" * 128)],
)
def test_a_value_that_is_nested_deeper_than_json_may_be_does_not_fit(schema: Any, payload: bytes) -> None:
    with pytest.raises(MessageError, match="schema_mismatch"):
        avro_reader(schema)(payload)


def test_a_type_within_itself_is_read() -> None:
    reply = {"replies": [], "text": "ü"}
    content = {"replies": [reply, {"replies": [reply], "text": None}], "text": "joy"}
    assert json.loads(avro_reader(COMMENT)(written.avro(0, content, COMMENT)[5:])) == content


def test_a_long_thread_of_replies_is_read() -> None:
    thread: dict[str, Any] = {"replies": [], "text": "the last"}
    for _ in range(100):
        thread = {"replies": [thread], "text": "one before"}
    assert json.loads(avro_reader(COMMENT)(written.avro(0, thread, COMMENT)[5:])) == thread


def test_items_that_take_no_bytes_are_no_more_than_the_bytes_of_the_value() -> None:
    read = avro_reader(MARKED)
    assert json.loads(read(b"\x06joy\x04\0")) == {"text": "joy", "marks": [{}, {}]}
    assert json.loads(read(b"\x06joy\x03\0\0")) == {"text": "joy", "marks": [{}, {}]}  # with a block's length
    for many in (b"\x80\x80\x80\x01", b"\xff" * 9 + b"\x01"):
        with pytest.raises(MessageError, match="schema_mismatch"):
            read(b"\x06joy" + many + b"\0\0")


def test_a_schema_by_which_no_bytes_hold_millions_of_fields_cannot_be_used() -> None:
    pair: Any = "null"
    for number in range(40):
        fields = [{"name": "left", "type": pair}, {"name": "right", "type": f"P{number - 1}"}]
        pair = {"type": "record", "name": f"P{number}", "fields": fields[: 2 if number else 1]}
    with pytest.raises(UnusableSchemaError, match="take no bytes"):
        avro_reader(pair)


@given(st.binary(max_size=60), st.sampled_from([COMMENT, NODE, MARKED]))
def test_any_bytes_of_a_type_within_itself_are_read_or_do_not_fit(payload: bytes, schema: Any) -> None:
    held(avro_reader(schema), payload)


TREE = st.recursive(
    st.builds(lambda text: {"replies": [], "text": text}, st.none() | st.text(max_size=9)),
    lambda inner: st.builds(lambda replies: {"replies": replies, "text": None}, st.lists(inner, max_size=3)),
)


@given(TREE)
def test_whatever_is_written_of_a_type_within_itself_reads_as_it_was(tree: dict[str, Any]) -> None:
    assert json.loads(avro_reader(COMMENT)(written.avro(0, tree, COMMENT)[5:])) == tree


@pytest.mark.parametrize(
    "indexes",
    [
        b"\x80" * 9 + b"\x02",  # 65 bits
        b"\xff" * 11 + b"\0",
        b"\x01",  # less than none
        b"\x02\x01",
        b"\x02\x04",
        b"\x06\x02\0\0",  # into a type that has none inside
        b"\xfe\xff\xff\x0f" + b"\0" * 1000,
        b"\x80",
        b"",
    ],
)
def test_indexes_that_lead_to_no_message_type_do_not_fit(indexes: bytes) -> None:
    with pytest.raises(MessageError, match="schema_mismatch"):
        READERS["protobuf"](indexes)


@given(st.integers(11, 300), st.sampled_from([0x80, 0xFF]), st.booleans())
def test_an_index_is_no_longer_than_64_bits(length: int, byte: int, of_path: bool) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        zigzag(b"\x02" * of_path + bytes([byte]) * length, int(of_path))


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers_of_64_bits_are_read_as_avro_writes_them(number: int) -> None:
    payload = written.avro(0, number, "long")[5:]  # type: ignore[arg-type]
    assert zigzag(payload, 0) == (number, len(payload))


@given(st.binary(max_size=8))
def test_only_values_with_the_whole_prefix_name_a_schema(value: bytes) -> None:
    assert (schema_id(value) is not None) == (len(value) >= 5 and value[0] == 0)
