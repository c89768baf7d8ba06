"""Whatever bytes follow a schema's id, they are read as JSON or refused, and never anything else."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import Cause, MessageError
from stream.registry.formats import Read, Schema, UnusableSchemaError, reader_of, schema_id
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


@given(st.binary(max_size=8))
def test_only_values_with_the_whole_prefix_name_a_schema(value: bytes) -> None:
    assert (schema_id(value) is not None) == (len(value) >= 5 and value[0] == 0)
