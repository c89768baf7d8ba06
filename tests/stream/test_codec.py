"""What comes in is understood, or refused with its cause and without its content."""

import base64
import json
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.codec import decode_message
from stream.errors import Cause, MessageError
from stream.events import UNREPRESENTABLE, Message

MAX_BYTES = 1000


def decode(
    value: bytes, headers: list[tuple[str, bytes]] | None = None, input_format: str = "json"
) -> Message:
    return decode_message(value, headers or [], input_format, MAX_BYTES)  # type: ignore[arg-type]


def test_a_message_needs_only_its_text() -> None:
    assert decode(b'{"text": "hello"}') == Message(text="hello")


def test_fields_that_we_do_not_know_are_left_alone() -> None:
    assert decode(b'{"text": "hello", "language": "en", "meta": {"a": [1]}}').meta == {"a": [1]}


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        (b"{oops", Cause.NOT_JSON),
        (b"", Cause.EMPTY_TEXT),
        (b'{"text": "\xff\xfe"}', Cause.NOT_UTF8),
        (b"\xff\xfe\x00", Cause.NOT_UTF8),
        (b"{}", Cause.NO_TEXT),
        (b'{"author": "kim"}', Cause.NO_TEXT),
        (b'{"text": null}', Cause.WRONG_TYPE),
        (b'{"text": 17}', Cause.WRONG_TYPE),
        (b'{"text": "x", "author": true}', Cause.WRONG_TYPE),
        (b'{"text": "x", "ts": "yesterday"}', Cause.WRONG_TYPE),
        (b'["text"]', Cause.WRONG_TYPE),
        (b'"text"', Cause.WRONG_TYPE),
        (b'{"text": ""}', Cause.EMPTY_TEXT),
        (b'{"text": " \\n\\t "}', Cause.EMPTY_TEXT),
        (orjson.dumps({"text": "x" * MAX_BYTES}), Cause.TOO_LARGE),
    ],
)
def test_bad_input_is_refused_with_its_cause(value: bytes, cause: Cause) -> None:
    with pytest.raises(MessageError) as refused:
        decode(value)
    assert refused.value.cause is cause


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b'\xef\xbb\xbf{"text": "hello"}', "hello"),
        (b'\x00\x00\x00\x00\x2a{"text": "hello"}', "hello"),
        (b'\x00\x7b\x7b\x7b\x7b {"text": "hello"}', "hello"),
        (rb'{"text": "cut \ud83d"}', "cut \ufffd"),
        (rb'{"text": "\udc4d and \ud83d\udc4d"}', "\ufffd and \U0001f44d"),
        (rb'{"text": "\\ud83d \ud83d\n"}', "\\ud83d \ufffd\n"),
    ],
)
def test_what_other_writers_leave_in_a_value_is_read(value: bytes, text: str) -> None:
    assert decode(value).text == text
    event = b'{"specversion": "1.0", "data": %s}' % value[value.index(b'{"') :]
    assert decode(event, [("content-type", b"application/cloudevents+json")]).text == text


def test_bare_text_may_begin_with_a_byte_order_mark() -> None:
    assert decode(b"\xef\xbb\xbfhello", input_format="text").text == "hello"


def test_a_number_is_a_name() -> None:
    value = b'{"text": "x", "id": 17, "author": 9007199254740993, "channel": 0, "conversation": -1}'
    expected = Message(text="x", id="17", author="9007199254740993", channel="0", conversation="-1")
    assert decode(value) == expected
    event = b'{"specversion": "1.0", "id": 17, "data": %s}' % value
    assert decode(event, [("content-type", b"application/cloudevents+json")]) == expected


NAMES = ("id", "author", "channel", "conversation")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_what_is_not_finite_names_nobody(number: str) -> None:
    document = f'{{"text": "x", {", ".join(f"{json.dumps(name)}: {number}" for name in NAMES)}}}'
    assert decode(document.encode()) == Message(text="x")
    event = f'{{"specversion": "1.0", "id": {number}, "data": {document}}}'
    assert decode(event.encode(), [("content-type", b"application/cloudevents+json")]) == Message(text="x")


def test_a_time_that_is_no_number_is_none() -> None:
    assert decode(b'{"text": "x", "ts": NaN}').ts is None


@pytest.mark.parametrize("blank", ["", "  ", None])
def test_a_blank_field_is_no_field(blank: str | None) -> None:
    fields = dict.fromkeys(["id", "author", "channel", "conversation", "ts"], blank)
    assert decode(orjson.dumps({"text": "x", **fields})) == Message(text="x")
    headers = [("ce_specversion", b"1.0"), ("ce_id", (blank or "").encode()), ("ce_time", b" ")]
    assert decode(b'{"text": "x"}', headers) == Message(text="x")


@pytest.mark.parametrize(
    ("value", "cause", "advice"),
    [
        (b"", Cause.EMPTY_TEXT, "the value is empty"),
        (b" \n", Cause.EMPTY_TEXT, "the value is empty"),
        (b"hello", Cause.NOT_JSON, "set input_format to text"),
        (b'{"text": "a\nb"}', Cause.NOT_JSON, "control character"),
        (b'{"text": "x"', Cause.NOT_JSON, "EOF while parsing"),
        (b"[" * 500, Cause.TOO_DEEP, "nests too deeply"),
        (b'{"text": "x", "meta": {"a": %s}}' % (b"[" * 300), Cause.TOO_DEEP, "nests too deeply"),
        (b"\x00\x00\x00\x00\x01\x08hello", Cause.NOT_JSON, "no JSON follows its prefix"),
        (b"\x00\x00\x00\x00\x01\xff\xfe", Cause.NOT_UTF8, "no JSON follows its prefix"),
    ],
)
def test_the_advice_fits_the_cause(value: bytes, cause: Cause, advice: str) -> None:
    with pytest.raises(MessageError, match=advice) as refused:
        decode(value)
    assert refused.value.cause is cause
    assert ("input_format" in str(refused.value)) == ("input_format" in advice)


def test_a_time_beyond_every_calendar_is_a_time() -> None:
    for claimed in ('"0001-01-01T00:00:00+14:00"', "1700000000000000", '"1700000000000000"', "-1e30"):
        assert decode(b'{"text": "x", "ts": %s}' % claimed.encode()).ts == UNREPRESENTABLE


@given(st.binary(max_size=200))
def test_whatever_comes_in_is_a_message_or_has_a_cause(value: bytes) -> None:
    try:
        assert decode(value).text.strip()
    except MessageError as refused:
        assert refused.cause in Cause  # noqa: PT017 - both outcomes are right, nothing else is


@pytest.mark.parametrize(
    "value",
    [
        b'{"text": ["SECRET"]}',
        b'{"text": "SECRET", "ts": "SECRET"}',
        b"SECRET",
        b'{"text": "SECRET',
        b'["SECRET"]',
    ],
)
def test_a_refusal_never_quotes_the_message(value: bytes) -> None:
    with pytest.raises(MessageError) as refused:
        decode(value)
    assert "SECRET" not in str(refused.value)


def test_bare_text_is_the_message_when_asked_for() -> None:
    assert decode(b'{"not": "parsed"}', input_format="text").text == '{"not": "parsed"}'
    with pytest.raises(MessageError, match="not_utf8"):
        decode(b"\xff", input_format="text")


def test_a_binary_cloudevent_lends_its_id_and_time() -> None:
    headers = [("ce_specversion", b"1.0"), ("ce_id", b"e-1"), ("ce_time", b"2026-03-01T10:00:00Z")]
    message = decode(b'{"text": "hello"}', headers)
    assert message == Message(text="hello", id="e-1", ts=datetime(2026, 3, 1, 10, tzinfo=UTC))
    own = decode(b'{"text": "hello", "id": "own"}', headers)
    assert own.id == "own"


def test_a_binary_cloudevent_may_hold_plain_text() -> None:
    headers = [("ce_specversion", b"1.0"), ("content-type", b"text/plain; charset=utf-8")]
    assert decode(b"just words", headers).text == "just words"


@pytest.mark.parametrize(
    "data",
    [
        {"data": {"text": "hello"}},
        {"data": "hello"},
        {"data_base64": base64.b64encode(b'{"text": "hello"}').decode()},
        {"data_base64": base64.b64encode(b"hello").decode(), "datacontenttype": "text/plain"},
        {
            "data_base64": base64.b64encode(b"\xef\xbb\xbfhello").decode(),
            "datacontenttype": "Text/Plain; a=b",
        },
    ],
)
def test_a_structured_cloudevent_is_opened(data: dict[str, object]) -> None:
    event = {"specversion": "1.0", "id": "e-2", "source": "/x", "type": "t", "time": "2026-03-01T10:00:00Z"}
    message = decode(orjson.dumps(event | data), [("content-type", b"application/cloudevents+json")])
    assert (message.text, message.id) == ("hello", "e-2")


def test_bare_text_in_base64_that_is_not_utf8_is_refused_as_such() -> None:
    event = {
        "specversion": "1.0",
        "datacontenttype": "text/plain",
        "data_base64": base64.b64encode(b"caf\xe9").decode(),
    }
    with pytest.raises(MessageError) as refused:
        decode(orjson.dumps(event), [("content-type", b"application/cloudevents+json")])
    assert refused.value.cause is Cause.NOT_UTF8


@pytest.mark.parametrize(
    "kind", [b"Application/CloudEvents+JSON", b"application/cloudevents+json;charset=UTF-8"]
)
def test_a_structured_cloudevent_is_known_by_its_media_type_in_any_case(kind: bytes) -> None:
    assert decode(b'{"specversion": "1.0", "data": "hello"}', [("content-type", kind)]).text == "hello"


@pytest.mark.parametrize(
    "event",
    [
        {"id": "e"},
        {"specversion": "1.0"},
        {"specversion": "1.0", "data": 7},
        {"specversion": "1.0", "data_base64": "!!"},
        {"specversion": "1.0", "data": "x", "time": "soon"},
    ],
)
def test_a_malformed_cloudevent_is_refused(event: dict[str, object]) -> None:
    with pytest.raises(MessageError) as refused:
        decode(orjson.dumps(event), [("Content-Type", b"application/cloudevents+json")])
    assert refused.value.cause is Cause.BAD_CLOUDEVENT
