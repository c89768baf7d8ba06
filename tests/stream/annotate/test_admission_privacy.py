"""What a message becomes before it is labelled: nothing that is published names its author in clear."""

from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from stream.annotate.admission import Admission
from stream.annotate.ledger import Entry, Silent
from stream.mapping import MessageMapping, place_of
from stream.privacy import OptOut, Pseudonyms

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
