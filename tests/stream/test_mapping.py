"""Fields are found where the settings say that they stand, and what is not found is said."""

import base64
import json
import re
import tomllib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.fake import FakeClassifier
from stream.annotate.app import Annotator
from stream.codec import decode_message
from stream.errors import Cause, MessageError, SettingsError
from stream.events import Message
from stream.mapping import MessageMapping
from stream.records import Headers
from stream.settings import Settings, load_settings
from tests import hostile
from tests.conftest import Topics
from tests.records import Record, produce, read_committed_all
from tests.stream.commands import run, run_beside, write

PAGE = Path(__file__).parent.parent.parent / "docs" / "messages.md"
EXAMPLES = re.findall(
    r"```toml\n(.*?)```\n\n```json\n(.*?)```\n\nis read as\n\n```json\n(.*?)```", PAGE.read_text(), re.S
)


def read(value: Any, *, key: bytes | None = None, headers: Headers = (), **settings: str) -> Message:
    """The message in a record, read with these settings."""
    mapping = MessageMapping.of(Settings(**settings))
    assert mapping is not None
    written = value if isinstance(value, bytes) else orjson.dumps(value)
    input_format = Settings(**settings).input_format
    return mapping.message(written, key, headers, input_format)


def refused(value: Any, *, key: bytes | None = None, headers: Headers = (), **settings: str) -> MessageError:
    with pytest.raises(MessageError) as raised:
        read(value, key=key, headers=headers, **settings)
    return raised.value


@pytest.mark.parametrize(("settings", "record", "message"), EXAMPLES)
def test_the_examples_of_the_page_are_read_as_it_says(settings: str, record: str, message: str) -> None:
    given = json.loads(record)
    key = given.get("key")
    found = read(
        given["value"],
        key=key.encode() if isinstance(key, str) else orjson.dumps(key),
        headers=[(name, content.encode()) for name, content in given.get("headers", {}).items()],
        **tomllib.loads(settings),
    )
    assert found == Message.model_validate_json(message)


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) >= 3


def test_fields_without_a_setting_stand_under_their_own_names() -> None:
    message = read({"text": "hello", "channel": "c", "user": {"id": "kim"}}, author_from="user.id")
    assert (message.text, message.channel, message.author) == ("hello", "c", "kim")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b'\xef\xbb\xbf{"body": "hi"}', "hi"),
        (b'\x00\x00\x00\x00\x07{"body": "hi"}', "hi"),
        (rb'{"body": "hi \ud83d"}', "hi \ufffd"),
    ],
)
def test_a_mapped_value_is_read_as_leniently_as_any_other(value: bytes, text: str) -> None:
    assert read(value, text_from="body").text == text


def test_several_texts_are_joined_and_missing_ones_left_out() -> None:
    assert read({"a": "one", "c": ["two", "three"]}, text_from="[a, b, c[1]]").text == "one\nthree"


@pytest.mark.parametrize(
    ("value", "settings", "cause", "detail"),
    [
        (
            {"body": {}},
            {"text_from": "body.content"},
            Cause.NO_TEXT,
            "text_from (body.content) finds nothing",
        ),
        ({"text": "x"}, {"author_from": "user.id"}, Cause.UNMAPPED, "author_from (user.id) finds nothing"),
        ({"text": "x"}, {"channel_from": "header:tenant"}, Cause.UNMAPPED, "channel_from (header:tenant)"),
        (
            {"text": "x"},
            {"conversation_from": "key:"},
            Cause.UNMAPPED,
            "conversation_from (key:) finds nothing",
        ),
        ({"text": "x"}, {"id_from": "key:id"}, Cause.UNMAPPED, "id_from (key:id) finds nothing"),
        ({"text": "x"}, {"time_from": "at"}, Cause.UNMAPPED, "time_from (at) finds nothing"),
        (
            {"body": {"a": 1}},
            {"text_from": "body"},
            Cause.WRONG_TYPE,
            "text_from (body) finds something else",
        ),
        ({"body": 17}, {"text_from": "body"}, Cause.WRONG_TYPE, "text_from (body) finds something else"),
        ({"body": []}, {"text_from": "body"}, Cause.NO_TEXT, "text_from (body) finds nothing"),
        ({"body": " "}, {"text_from": "body"}, Cause.EMPTY_TEXT, "empty"),
        ({"text": "x", "user": {}}, {"author_from": "user"}, Cause.WRONG_TYPE, "author_from (user)"),
        ({"text": "x", "user": True}, {"author_from": "user"}, Cause.WRONG_TYPE, "author_from (user)"),
        ({"text": "x", "at": "soon"}, {"time_from": "at"}, Cause.WRONG_TYPE, "ts"),
        ({"t": "x"}, {"text_from": "join('', t)"}, Cause.WRONG_TYPE, "JMESPathTypeError"),
        ([1, 2], {"text_from": "body"}, Cause.NO_TEXT, "finds nothing"),
        (b"{oops", {"text_from": "body"}, Cause.NOT_JSON, "JSON"),
        (b"\xff\xfe", {"text_from": "body"}, Cause.NOT_UTF8, "invalid byte"),
    ],
)
def test_what_is_not_found_has_its_cause(
    value: Any, settings: dict[str, str], cause: Cause, detail: str
) -> None:
    error = refused(value, **settings)
    assert error.cause is cause
    assert detail in error.detail


def test_a_key_that_is_no_json_has_its_cause() -> None:
    assert refused({"text": "x"}, key=b"room", id_from="key:id").cause is Cause.UNMAPPED
    assert refused({"text": "x"}, key=b"\xff", id_from="key:").cause is Cause.NOT_UTF8


def test_what_may_be_missing_says_so() -> None:
    assert read({"text": "x"}, author_from="user.id || ''").author is None
    assert read({"text": "x", "user": {"id": 0}}, author_from="user.id || ''").author == "0"


def test_bare_text_can_have_its_other_fields_in_headers_and_key() -> None:
    message = read(
        b'hello "there"',
        key=b"room",
        headers=[("Author", b"kim")],
        input_format="text",
        author_from="header:author",
        conversation_from="key:",
    )
    assert (message.text, message.author, message.conversation) == ('hello "there"', "kim", "room")


@pytest.mark.parametrize("encoded", [False, True])
def test_cloud_events_are_mapped_in_both_modes(encoded: bool) -> None:
    data = {"body": "hello", "user": {"id": 7}}
    settings = {"text_from": "body", "author_from": "user.id", "channel_from": "header:ce_subject"}
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": "e1",
        "time": "2025-11-03T10:00:00Z",
        "subject": "post",
    }
    event |= {"data_base64": "eyJib2R5IjoiaGVsbG8iLCJ1c2VyIjp7ImlkIjo3fX0="} if encoded else {"data": data}
    structured = read(
        event, headers=[("content-type", b"application/cloudevents+json; charset=utf-8")], **settings
    )
    binary = read(
        data,
        headers=[
            ("ce_specversion", b"1.0"),
            ("ce_id", b"e1"),
            ("ce_time", b"2025-11-03T10:00:00Z"),
            ("ce_subject", b"post"),
        ],
        **settings,
    )
    assert structured == binary
    assert (binary.text, binary.author, binary.channel, binary.id) == ("hello", "7", "post", "e1")


DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "text", "id"]), inner)
    ),
    max_leaves=8,
)

STRUCTURED = [("content-type", b"application/cloudevents+json")]


@pytest.mark.parametrize(
    "data",
    [{"data": "hello"}, {"data_base64": base64.b64encode(b'"hello"').decode()}],
    ids=["data", "base64"],
)
def test_a_structured_cloud_event_whose_data_is_a_string_is_mapped_as_bare_text(data: dict[str, str]) -> None:
    event = {"specversion": "1.0", "id": "e1", "subject": "kim", **data}
    message = read(event, headers=STRUCTURED, author_from="header:ce_subject")
    assert (message.text, message.author, message.id) == ("hello", "kim", "e1")
    assert refused(event, headers=STRUCTURED, author_from="user.id").cause is Cause.UNMAPPED
    assert refused(event, headers=STRUCTURED, author_from="key:").cause is Cause.UNMAPPED


def test_a_structured_cloud_event_whose_data_is_a_list_is_mapped_as_any_list() -> None:
    event = {"specversion": "1.0", "data": [{"body": "hello"}]}
    assert read(event, headers=STRUCTURED, text_from="[0].body").text == "hello"


def test_a_header_without_a_value_is_not_found() -> None:
    assert refused({"text": "x"}, headers=[("user", None)], author_from="header:user").cause is Cause.UNMAPPED


@given(
    value=hostile.values | hostile.events | st.just(b'{"specversion": "1.0", "data": "hello"}'),
    key=st.none() | st.binary(max_size=20),
    headers=st.lists(
        st.sampled_from([*STRUCTURED, ("ce_specversion", b"1.0"), ("content-type", b"text/plain")]),
        max_size=2,
    ),
    place=st.sampled_from(["nobody.here", "header:nobody", "key:nobody"]),
)
def test_no_record_is_read_whose_author_is_not_where_the_setting_says(
    value: bytes, key: bytes | None, headers: Headers, place: str
) -> None:
    refused(value, key=key, headers=headers, author_from=place)


@given(
    DOCUMENTS | st.sampled_from([7.0, 1e22, 1e-7, -0.0, 1.5, 10**400, float("nan"), float("-inf"), "", " "])
)
def test_a_name_is_the_same_with_and_without_a_mapping(name: Any) -> None:
    value = json.dumps({"text": "x", "author": name}).encode()

    def author_or_cause(read_it: Callable[[], Message]) -> str | None:
        try:
            return read_it().author
        except MessageError as refusal:
            return refusal.cause

    mapped = author_or_cause(lambda: read(value, author_from="author || ''"))
    if name not in ([], {}, False):  # to JMESPath there is nothing
        assert mapped == author_or_cause(lambda: decode_message(value, (), "json", 10_000))


@pytest.mark.parametrize("field", ["id", "channel", "conversation", "meta", "other"])
def test_a_number_of_any_length_is_read_beside_a_mapped_field(field: str) -> None:
    number = 123456789012345678901234567890
    value = json.dumps({"text": "hello", "u": "kim", field: {"n": number} if field == "meta" else number})
    message = read(value.encode(), author_from="u")
    assert message.author == "kim"
    assert getattr(message, field, None) in (str(number), None)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [("user.", "column 6"), ("a b", "column 3"), ("header:", "name of a header"), ("", "column 1")],
)
def test_a_wrong_place_is_refused_at_the_start_with_its_source(wrong: str, said: str) -> None:
    with pytest.raises(SettingsError, match=r"author_from \(--author-from\)") as raised:
        load_settings({"author_from": wrong})
    assert said in str(raised.value)


def test_a_path_into_bare_text_is_refused_at_the_start() -> None:
    with pytest.raises(SettingsError, match="text_from: a path into JSON, but input_format is text"):
        MessageMapping.of(Settings(input_format="text", text_from="body"))


PLACES = st.sampled_from(
    [
        "a",
        "a.b",
        "[a, b]",
        "a[*].b",
        "a || b",
        "a || ''",
        "length(a)",
        "to_string(@)",
        "key:",
        "key:a",
        "header:h",
    ]
)


@given(
    value=DOCUMENTS.map(lambda document: json.dumps(document).encode()) | st.binary(),
    key=st.none() | st.binary(max_size=20) | DOCUMENTS.map(lambda document: json.dumps(document).encode()),
    header=st.binary(max_size=20),
    structured=st.booleans(),
    places=st.fixed_dictionaries(dict.fromkeys(("text_from", "author_from", "time_from"), PLACES)),
)
def test_any_record_is_read_or_refused_with_a_cause(
    value: bytes, key: bytes | None, header: bytes, structured: bool, places: dict[str, str]
) -> None:
    headers = [("H", header), ("content-type", b"application/cloudevents+json")][: 1 + structured]
    with suppress(MessageError):
        read(value, key=key, headers=headers, **places)


def test_classify_reads_lines_of_this_shape() -> None:
    write("m.jsonl", '{"body": {"content": "joy"}}\n{"text": "fear"}\n')
    result = run(
        "classify", "--model", "fake", "m.jsonl", "--text-from", "body.content", "--author-from", "key:"
    )
    assert result.exit_code == 1
    assert json.loads(result.stdout)["text"] == "joy"
    assert result.stderr == "line 2: text_from (body.content) finds nothing\n"


async def test_messages_of_this_shape_are_produced_labelled_and_dead_lettered(topics: Topics) -> None:
    settings = await topics(
        partitions=1,
        model="fake",
        include_text=True,
        text_from="body",
        author_from="user.id",
        channel_from="header:t",
    )
    servers = str(settings.bootstrap_servers)
    write("m.jsonl", '{"body": "joy", "user": {"id": "kim"}}\n')
    mapped = ("--text-from", "body", "--author-from", "user.id", "--channel-from", "header:t")
    produced = await run_beside("produce", "m.jsonl", *mapped, settings=settings)
    assert produced.exit_code == 0, produced.stderr
    write("m.csv", "text\njoy\n")
    assert "send JSON lines" in (await run_beside("produce", "m.csv", *mapped, settings=settings)).stderr
    await produce(
        servers, settings.input_topic, [Record(b'{"body": "fear", "user": {"id": 7}}', headers=[("T", b"x")])]
    )
    await Annotator(settings.model_copy(update={"drain": True}), FakeClassifier()).run()
    (sent, _) = await read_committed_all(servers, settings.input_topic)
    assert (sent.key, sent.value) == (b"kim", b'{"body": "joy", "user": {"id": "kim"}}')
    (event,) = await read_committed_all(servers, settings.topics.emotions)
    labelled = orjson.loads(event.value or b"")
    assert (labelled["text"], labelled["channel"]) == ("fear", "x")
    (dead,) = await read_committed_all(servers, settings.topics.dlq)
    assert dict(dead.headers)["dlq_cause"] == b"unmapped"
