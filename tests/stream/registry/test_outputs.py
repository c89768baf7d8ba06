"""Labelled events written by a schema read as they were, and old ones go on being read."""

from datetime import UTC, datetime
from typing import Any, get_args

import orjson
import pytest

from stream.events import EmotionEvent
from stream.registry.formats import PREFIX_BYTES, reader_of, schema_id
from stream.registry.outputs import Kind, format_of, schema_of
from stream.registry.protobuf import NUMBERS
from stream.registry.schemas import Schema

NOON = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
READ: dict[str, Any] = {
    "id": "messages@SmWveVbgSRCaUuo2YxzDgw-0-41",
    "label": "anger",
    "labels": ("anger", "sadness"),
    "confidence": 0.75,
    "scores": {"sadness": 0.5, "joy": 0.0, "love": 0.0, "anger": 0.75, "fear": 0.0, "surprise": 0.0},
    "neutral": 0.0,
    "distress": {"score": 0.5, "level": "watch"},
    "language": "de",
    "language_confidence": 1.0,
    "message_id": "m-1",
    "author": "pseudonym",
    "channel": "Straße",
    "conversation": "t-9",
    "ts": NOON,
    "ts_replaced": "broker",
    "labelled_at": NOON,
    "model": {"name": "tiny", "revision": "abc"},
    "source": {"topic": "messages", "partition": 0, "offset": 41, "epoch": "SmWveVbgSRCaUuo2YxzDgw"},
    "windows": 1,
    "text": "x",
}
ABSENT = ("language", "message_id", "author", "channel", "conversation", "scores", "neutral", "distress")
UNREAD = {
    **{name: value for name, value in READ.items() if name not in ("ts_replaced", "text")},
    **dict.fromkeys(ABSENT),
    "label": "unknown",
    "labels": (),
    "confidence": 0.0,
    "windows": 0,
    "source": {"topic": "messages", "partition": 0, "offset": 0},
}


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("event", [READ, UNREAD])
def test_an_event_reads_as_it_was_zeros_and_absences_apart(kind: Kind, event: dict[str, Any]) -> None:
    name, schema = schema_of(EmotionEvent, kind)
    value = format_of(kind, schema, 7).write(event)
    assert schema_id(value) == 7
    found = EmotionEvent.model_validate_json(reader_of(Schema(name, schema))(value[PREFIX_BYTES:]))
    assert found == EmotionEvent.model_validate(event)


def test_every_field_has_a_number_of_its_own() -> None:
    fields = EmotionEvent.model_fields
    assert set(fields) <= set(NUMBERS["EmotionEvent"])
    for names in NUMBERS.values():
        assert len(set(names)) == len(names)


WRITTEN = bytes.fromhex(
    "000a246d6573736167657340536d5776655662675352436155756f3259787a4467772d302d34311205616e6765721a05616e"
    "6765721a077361646e65737321000000000000e83f2a3609000000000000e03f110000000000000000190000000000000000"
    "21000000000000e83f2900000000000000003100000000000000003100000000000000003a1009000000000000e03f120577"
    "617463684202646549000000000000f03f52036d2d315a0970736575646f6e796d620753747261c39f656a03742d39720b08"
    "c0d490cd061080e59a777a0662726f6b657282010b08c0d490cd061080e59a778a010b0a0474696e7912036162639201260a"
    "086d65737361676573100018292216536d5776655662675352436155756f3259787a446777980101a2010178"
)


def test_what_an_earlier_version_wrote_is_still_read() -> None:
    """Numbers and types of fields are a promise to readers."""
    name, schema = schema_of(EmotionEvent, "protobuf")
    assert EmotionEvent.model_validate(orjson.loads(reader_of(Schema(name, schema))(WRITTEN))) == (
        EmotionEvent.model_validate(READ)
    )
