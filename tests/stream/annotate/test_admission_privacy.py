"""What a message becomes before it is labelled: nothing that is published names its author in clear."""

import base64
import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from model.contract import ModelInfo
from stream.annotate.admission import Admission
from stream.annotate.ledger import Entry, Silent
from stream.annotate.outcomes import OutcomeEncoder, OutcomePolicy
from stream.authors import canonical_author, caseless
from stream.errors import MessageError
from stream.mapping import MessageMapping, place_of
from stream.privacy import OptOut, Pseudonyms
from stream.registry.formats import Schema, reader_of
from stream.topics import TopicNames
from stream.tracecontext import trace_headers
from tests import hostile

PSEUDONYMS = Pseudonyms(b"key")
KIM = PSEUDONYMS.of("kim@example.org")


def admit(
    value: bytes | None = None,
    key: bytes | None = None,
    *,
    optout: str = "",
    pseudonyms: Pseudonyms = PSEUDONYMS,
    **fields: Any,
) -> Entry:
    refused = OptOut(pseudonyms)
    if optout:
        refused.update(pseudonyms.of(optout), opted_out=True)
    publish_keys, headers = fields.pop("publish_keys", False), fields.pop("headers", ())
    author_from, registry = fields.pop("author_from", None), fields.pop("registry", None)
    admission = Admission(
        input_format="json",
        max_message_bytes=1000,
        max_ahead_s=300,
        pseudonyms=pseudonyms,
        optout=refused,
        phrases=None,
        mapping=MessageMapping({"author": place_of(author_from)}) if author_from else None,
        registry=registry,
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


TRACE = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


@pytest.mark.parametrize(
    ("author", "state"),
    [
        ("lee-ann\u200b", "shop=u.lee-ann"),
        ("\ufefflee-ann", "shop=u.lee-ann"),
        ("lee-ann\u2060", "shop=u.Lee-Ann"),
        (" lee-ann ", "shop=u.lee-ann"),
        ("Straße", "shop=u.STRASSE"),
        ("stra\ufb00", "shop=straff"),
    ],
)
def test_a_state_of_a_trace_does_not_go_on_with_any_spelling_of_author_or_key(
    author: str, state: str
) -> None:
    headers = (TRACE, ("tracestate", state.encode()))
    for entry in (admit(author=author, headers=headers), admit(key=author.encode(), headers=headers)):
        assert trace_headers(entry.headers, never=entry.names) == [TRACE]


AROUND = st.text(st.sampled_from(" \t\u2003\u200b\u2060\ufeff"), max_size=2)
FOLDED = Pseudonyms(b"key", author_case="folded")


@given(
    author=st.text(st.sampled_from("abKIMß\u212a\ufb00\u0130\u0131ΣςοÉe\u0301ü安7@.-"), min_size=3),
    around=st.tuples(AROUND, AROUND, AROUND, AROUND),
    forms=st.tuples(*[st.sampled_from(["NFC", "NFD"])] * 2),
    case=st.sampled_from([str.upper, str.lower, str.casefold, str.title, str]),
    before=st.sampled_from(["", "dm:", "Team/", "x_", "- "]),
    after=st.sampled_from(["", ":1", "/Ö", "_", " x"]),
    pseudonyms=st.sampled_from([PSEUDONYMS, FOLDED]),
)
def test_no_spelling_of_the_author_stands_in_a_published_field(
    author: str,
    around: tuple[str, str, str, str],
    forms: tuple[Any, Any],
    case: Callable[[str], str],
    before: str,
    after: str,
    pseudonyms: Pseudonyms,
) -> None:
    written = around[0] + unicodedata.normalize(forms[0], author) + around[1]
    other = around[2] + unicodedata.normalize(forms[1], case(author)) + around[3]
    assume(author[0].isalnum() and len(canonical_author(author, "folded")) >= 3)
    assume(pseudonyms.of(written) == pseudonyms.of(other))
    field = before + other + after
    entry = admit(author=written, id=field, channel=field, conversation=field, pseudonyms=pseudonyms)
    assert entry.message is not None
    for published in (entry.message.id, entry.message.channel, entry.message.conversation):
        assert entry.author is not None
        assert published is not None
        assert entry.author in published
        for text, name in (
            (published, other),
            (published, written),
            (caseless(published), canonical_author(other, "folded")),
        ):
            assert not re.search(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])", text)


def test_an_author_of_invisible_characters_is_none() -> None:
    assert admit(key=b"kim", optout="kim", author="\u200b \ufeff").outcome is Silent.OPTED_OUT
    entry = admit(author="\u2060", channel="\u200b")
    assert entry.message is not None
    assert (entry.author, entry.message.author, entry.message.channel) == (None, None, None)


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


@pytest.mark.parametrize("value", WRONG)
def test_what_is_refused_is_not_kept_where_its_author_opts_out_while_it_is_in_work(value: bytes) -> None:
    entry, optout = admit(value, b"room"), OptOut(PSEUDONYMS)
    names = TopicNames(prefix="emotions")
    policy = OutcomePolicy(
        topics=names,
        partitions={names.emotions: 1, names.counts: 1, names.signals: 1, names.dlq: 1},
        model=ModelInfo("tiny", "abc", ("en",), "cpu", "int8"),
        include_text=False,
        count_window_s=60,
        signal_min_level="none",
        optout=optout,
    )

    def published() -> set[str]:
        return {topic for topic, _ in OutcomeEncoder(policy, "m").encode(0, [entry], datetime.now(UTC))}

    optout.update(PSEUDONYMS.of("lee"), opted_out=True)
    assert published() == {names.dlq, names.counts}
    optout.update(PSEUDONYMS.of("kim"), opted_out=True)
    assert published() == {names.counts}
    assert entry.outcome is Silent.OPTED_OUT


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


def test_the_author_of_what_is_refused_is_found_by_its_schema() -> None:
    schema = {"type": "record", "name": "M", "fields": [{"name": "author", "type": "string"}]}
    read = reader_of(Schema("AVRO", orjson.dumps(schema).decode()))
    registry = SimpleNamespace(json_of=lambda value: read(value[5:]))
    prefix = b"\x00\x00\x00\x00\x07"
    assert admit(prefix + b"\x06kim", registry=registry, optout="kim").outcome is Silent.OPTED_OUT
    behind = prefix + b'{"author": "kim"}'
    assert admit(behind, registry=registry, optout="kim").outcome is Silent.OPTED_OUT
    assert isinstance(admit(prefix + b"\x08kim", registry=registry, optout="kim").outcome, MessageError)


@given(hostile.values, st.sampled_from([None, "a.b", "header:nobody", "key:"]))
def test_whatever_is_refused_has_an_outcome_while_somebody_has_opted_out(
    value: bytes, author_from: str | None
) -> None:
    assert admit(value, optout="kim", author_from=author_from).outcome is not Silent.OPTED_OUT
