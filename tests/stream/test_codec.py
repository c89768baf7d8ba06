"""What comes in is understood, or refused with its cause and without its content."""

import base64
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.codec import decode_message
from stream.deadletters import decode_dead_letter, encode_dead_letter
from stream.errors import Cause, MessageError
from stream.events import DeadLetter, Message, Source

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
    ],
)
def test_a_structured_cloudevent_is_opened(data: dict[str, object]) -> None:
    event = {"specversion": "1.0", "id": "e-2", "source": "/x", "type": "t", "time": "2026-03-01T10:00:00Z"}
    message = decode(orjson.dumps(event | data), [("content-type", b"application/cloudevents+json")])
    assert (message.text, message.id) == ("hello", "e-2")


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


header_names = st.text("abcdlq_e-orginal", min_size=1, max_size=20)


@given(st.lists(st.tuples(header_names, st.binary(max_size=10)), max_size=8))
def test_the_headers_of_a_dead_letter_come_back_as_they_were(original: list[tuple[str, bytes]]) -> None:
    letter = DeadLetter(
        id="messages-0-1",
        cause="not_json",
        error="no",
        source=Source(topic="messages", partition=0, offset=1),
        failed_at=datetime(2026, 3, 1, tzinfo=UTC),
    )
    assert decode_dead_letter(encode_dead_letter(letter, original, "/x")) == (letter, original)


def test_a_record_that_is_no_dead_letter_is_refused() -> None:
    with pytest.raises(ValueError, match="dlq_cause"):
        decode_dead_letter([("ce_id", b"x")])
