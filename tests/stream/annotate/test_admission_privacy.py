"""What a message becomes before it is labelled: nothing that is published names its author in clear."""

import base64
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.annotate.admission import Admission
from stream.annotate.ledger import Entry, Silent
from stream.errors import MessageError
from stream.mapping import MessageMapping, place_of
from stream.privacy import OptOut, Pseudonyms
from tests import hostile

PSEUDONYMS = Pseudonyms(b"key")
KIM = PSEUDONYMS.of("kim@example.org")


def admit(value: bytes | None = None, key: bytes | None = None, *, optout: str = "", **fields: Any) -> Entry:
    refused = OptOut(PSEUDONYMS)
    if optout:
        refused.update(PSEUDONYMS.of(optout), opted_out=True)
    publish_keys, headers = fields.pop("publish_keys", False), fields.pop("headers", ())
    author_from = fields.pop("author_from", None)
    admission = Admission(
        input_format="json",
        max_message_bytes=1000,
        max_ahead_s=300,
        pseudonyms=PSEUDONYMS,
        optout=refused,
        phrases=None,
        mapping=MessageMapping({"author": place_of(author_from)}) if author_from else None,
        publish_keys=publish_keys,
    )
    value = orjson.dumps({"text": "x", **fields}) if value is None else value
    record = SimpleNamespace(
        topic="m", partition=0, offset=0, timestamp=0, key=key, value=value, headers=headers
    )
    return admission.admit(record)


def test_a_key_that_is_the_author_becomes_the_authors_pseudonym() -> None:
    entry = admit(key=b"kim@example.org", author="kim@example.org")
    assert entry.author == KIM
    assert entry.published_key == KIM.encode()


def test_any_other_key_has_a_pseudonym_of_its_own_domain() -> None:
    """An event names its conversation in clear: the same text as an author must not be a guess confirmed."""
    first, second = (admit(key=b"t-9", author=author, conversation="t-9") for author in ("a", "b"))
    assert first.published_key == second.published_key
    assert first.published_key not in (None, b"t-9", PSEUDONYMS.of("t-9").encode())
    assert admit(key=b"t-8").published_key != first.published_key
    assert admit(key=b"\xff\xfe").published_key is not None
    assert admit().published_key is None


def test_keys_are_published_where_that_is_asked_for() -> None:
    assert admit(key=b"t-9", publish_keys=True).published_key == b"t-9"


@pytest.mark.parametrize(
    ("given", "published"),
    [
        ("kim@example.org", KIM),
        (" Kim@Example.org", KIM),
        ("dm:kim@example.org", f"dm:{KIM}"),
        ("kim@example.org-17", f"{KIM}-17"),
        ("joakim@example.org", "joakim@example.org"),
        ("support", "support"),
    ],
)
def test_the_author_is_hidden_in_the_other_fields_too(given: str, published: str) -> None:
    entry = admit(author="kim@example.org", id=given, channel=given, conversation=given)
    assert entry.message is not None
    assert {entry.message.id, entry.message.channel, entry.message.conversation} == {published}


def test_the_author_is_hidden_however_it_is_composed() -> None:
    entry = admit(author=" Zo\u00eb-lou ", id="zoe\u0308-lou/7")
    assert entry.message is not None
    assert entry.message.id == PSEUDONYMS.of("Zo\u00eb-lou") + "/7"


def test_a_short_author_is_hidden_only_where_it_is_the_whole_field() -> None:
    entry = admit(author="a", channel="a", conversation="a team")
    assert entry.message is not None
    assert (entry.message.channel, entry.message.conversation) == (PSEUDONYMS.of("a"), "a team")


def test_what_cannot_be_read_is_not_kept_where_its_key_opted_out() -> None:
    assert admit(b"{oops", key=b"kim", optout="kim").outcome is Silent.OPTED_OUT
    assert admit(b"{oops", key=b"lee", optout="kim").outcome is not Silent.OPTED_OUT


def test_the_key_opts_out_where_no_author_is_named() -> None:
    assert admit(key=b"kim", optout="kim").outcome is Silent.OPTED_OUT
    assert admit(key=b"kim", optout="kim", author="lee").outcome is None


def test_who_wrote_a_cloud_event_of_bare_text_is_asked_for_too() -> None:
    event = orjson.dumps({"specversion": "1.0", "subject": "kim", "data": "hello"})
    headers = [("content-type", b"application/cloudevents+json")]
    entry = admit(event, headers=headers, author_from="header:ce_subject", optout="kim")
    assert entry.outcome is Silent.OPTED_OUT


WRONG = [
    orjson.dumps({"text": "private", "author": "kim", "ts": "03/11/2025 10:00"}),
    orjson.dumps({"text": "", "author": "kim", "meta": {"photo": "https://x/kim.jpg"}}),
    orjson.dumps({"text": "private", "author": "kim", "meta": "x"}),
    orjson.dumps({"text": ["private"], "author": " kim\u200b"}),
    orjson.dumps({"text": "private", "author": {"id": 7, "name": "kim"}}),
    orjson.dumps({"text": "private " * 1000, "author": "kim"}),
    orjson.dumps({"specversion": "1.0", "data": {"text": "private", "author": "kim"}}),
    b'{"author": "kim", "text": "priv',
    b'{"text": "he said "private" to me", "author": "kim"}',
    b'{"text": "private\nlines", "author": "kim"}',
    b'{"text": "private", "author": "kim", "meta": %s}' % (b"[" * 300 + b"]" * 300),
    b'{"text": "priv\xe9", "author": "kim"}',
    b'\x00\x00\x00\x00\x07{"text": 1, "author": "kim"}',
    '{"text": "private", "author": "kim"}'.encode("utf-16"),
]


@pytest.mark.parametrize("value", WRONG)
def test_what_is_refused_is_not_kept_where_its_author_opted_out(value: bytes) -> None:
    assert admit(value, b"room", optout="kim").outcome is Silent.OPTED_OUT
    for others in ("lee", ""):
        assert isinstance(admit(value, b"room", optout=others).outcome, MessageError)


@pytest.mark.parametrize("attributes", [{"data": {}}, {"data": 7}, {"data_base64": "!"}, {}])
def test_the_author_of_a_refused_event_is_found_in_its_attributes(attributes: dict[str, Any]) -> None:
    event = orjson.dumps({"specversion": "1.0", "subject": "kim", "text": "private", **attributes})
    headers = [("content-type", b"application/cloudevents+json")]
    entry = admit(event, headers=headers, author_from="header:ce_subject", optout="kim")
    assert entry.outcome is Silent.OPTED_OUT


def test_the_author_of_a_refused_event_is_found_in_data_in_base64() -> None:
    data = base64.b64encode(b'{"text": 1, "author": "kim"}').decode()
    event = orjson.dumps({"specversion": "1.0", "data_base64": data})
    headers = [("content-type", b"application/cloudevents+json")]
    assert admit(event, headers=headers, optout="kim").outcome is Silent.OPTED_OUT


def test_the_author_of_what_is_refused_is_looked_for_where_the_setting_says() -> None:
    value = orjson.dumps({"text": 1, "user": {"id": 7.0}, "author": "the author of an article"})
    assert admit(value, author_from="user.id", optout="7").outcome is Silent.OPTED_OUT
    entry = admit(value, author_from="user.id", optout="the author of an article")
    assert isinstance(entry.outcome, MessageError)
    assert admit(value, author_from="header:u", headers=[("U", b"7")], optout="7").outcome is Silent.OPTED_OUT
    assert admit(b"{", author_from="header:u", headers=[("U", b"7")], optout="7").outcome is Silent.OPTED_OUT
    unmapped = orjson.dumps({"text": "private", "author": "kim"})
    assert admit(unmapped, author_from="user.id", optout="kim").outcome is Silent.OPTED_OUT


@given(hostile.values, st.sampled_from([None, "a.b", "header:nobody", "key:"]))
def test_whatever_is_refused_has_an_outcome_while_somebody_has_opted_out(
    value: bytes, author_from: str | None
) -> None:
    assert admit(value, optout="kim", author_from=author_from).outcome is not Silent.OPTED_OUT
