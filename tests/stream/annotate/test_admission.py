"""What is let in is held to the length of the record, in whatever shape its message comes."""

import gc
import io
import weakref
from types import SimpleNamespace
from typing import Any

import fastavro
import orjson
import pytest

from stream.annotate.admission import Admission
from stream.annotate.ledger import Entry
from stream.errors import Cause, MessageError
from stream.mapping import MessageMapping, place_of
from stream.privacy import OptOut, Pseudonyms
from stream.registry.formats import Schema, reader_of

MOST_BYTES = 1000
PSEUDONYMS = Pseudonyms(b"key")
AUTHOR_IN_HEADER = MessageMapping({"author": place_of("header:u")})


def admit(value: bytes, **settings: Any) -> Entry:
    admission = Admission(
        **{"input_format": "json", **settings},
        max_message_bytes=MOST_BYTES,
        max_ahead_s=300,
        pseudonyms=PSEUDONYMS,
        optout=OptOut(PSEUDONYMS),
        phrases=None,
    )
    headers = [("u", b"kim")]
    return admission.admit(
        SimpleNamespace(topic="m", partition=0, offset=0, timestamp=0, key=None, value=value, headers=headers)
    )


def refusal(value: bytes, **settings: Any) -> Cause:
    outcome = admit(value, **settings).outcome
    assert isinstance(outcome, MessageError)
    return outcome.cause


def avro(items: Any, of: list[Any]) -> tuple[bytes, Any]:
    """A value with a list of these items, and the registry that reads it."""
    fields = [{"name": "text", "type": "string"}, {"name": "of", "type": {"type": "array", "items": items}}]
    schema = {"type": "record", "name": "Post", "fields": fields}
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), {"text": "hello", "of": of})
    read = reader_of(Schema("AVRO", orjson.dumps(schema).decode()))
    return b"\x00\x00\x00\x00\x07" + stream.getvalue(), SimpleNamespace(json_of=lambda value: read(value[5:]))


def test_bare_text_with_its_author_in_a_header_may_be_as_long_as_any_record() -> None:
    lines = b"one\n" * (MOST_BYTES // 4)
    entry = admit(lines, input_format="text", mapping=AUTHOR_IN_HEADER)
    assert entry.message is not None
    assert entry.message.text == lines.decode()
    longer = lines + b"x"
    assert refusal(longer, input_format="text", mapping=AUTHOR_IN_HEADER) is Cause.TOO_LARGE


@pytest.mark.parametrize("mapping", [None, AUTHOR_IN_HEADER])
def test_a_record_with_a_schema_is_held_to_its_own_length(mapping: MessageMapping | None) -> None:
    value, registry = avro("float", [number / 7 for number in range(200)])
    assert len(value) < MOST_BYTES < len(registry.json_of(value))
    entry = admit(value, registry=registry, mapping=mapping)
    assert entry.message is not None
    assert entry.message.text == "hello"
    value, registry = avro("float", [0.0] * MOST_BYTES)
    assert refusal(value, registry=registry, mapping=mapping) is Cause.TOO_LARGE


def test_a_record_that_grows_beyond_measure_as_json_is_refused() -> None:
    name = "a" * 100
    fields = [{"name": name, "type": "int"}]
    value, registry = avro({"type": "record", "name": "Item", "fields": fields}, [{name: 0}] * 900)
    assert len(value) < MOST_BYTES
    assert refusal(value, registry=registry) is Cause.TOO_LARGE


@pytest.mark.parametrize("value", [b"x" * (MOST_BYTES + 1), b"{", b'{"text": 1}', b'{"text": "\xff"}'])
def test_what_is_refused_goes_with_the_last_reference_to_it(value: bytes) -> None:
    gc.disable()
    try:
        error = weakref.ref(admit(value).outcome)
        assert error() is None
    finally:
        gc.enable()
