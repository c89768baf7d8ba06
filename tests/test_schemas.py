"""The schemas in docs/schemas are those of the types, and describe every topic."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import orjson
import pytest

from stream import schemas
from stream.cloudevents import CE_TYPES, CloudEventHeaders
from stream.commands.letters import Letter
from stream.deadletters import encode_dead_letter
from stream.errors import Cause
from stream.events import DeadLetter, Source
from stream.settings import Settings
from tests.test_imports import ROOT

CHECKED_IN: Final = ROOT / schemas.FOLDER


def load(name: str) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads((CHECKED_IN / name).read_bytes())
    return document


def references(node: Any) -> set[str]:
    """Every ``$ref`` in a document."""
    if isinstance(node, dict):
        here = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return here.union(*map(references, node.values()))
    return set().union(*map(references, node)) if isinstance(node, list) else set()


def test_the_documents_checked_in_are_current() -> None:
    checked_in = {path.name: path.read_bytes() for path in CHECKED_IN.glob("*.json")}
    assert checked_in == schemas.documents(), "write them anew: make schemas"


def test_writing_anew_removes_what_is_gone(tmp_path: Path) -> None:
    (tmp_path / "gone.json").write_text("{}")
    schemas.write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(schemas.documents())


def test_every_topic_is_described_with_its_policies() -> None:
    channels = load("asyncapi.json")["channels"]
    specs = Settings().topic_specs()
    assert {channel["address"] for channel in channels.values()} == {spec.name for spec in specs}
    for spec in specs:
        channel = next(channel for channel in channels.values() if channel["address"] == spec.name)
        kafka = channel["bindings"]["kafka"]
        assert kafka["partitions"] == spec.partitions
        assert kafka["topicConfiguration"]["retention.ms"] == spec.retention_ms


def test_every_reference_leads_somewhere() -> None:
    document = load("asyncapi.json")
    for reference in references(document):
        if reference.startswith("#/"):
            node: Any = document
            for part in reference[2:].split("/"):
                node = node[part]
        else:
            assert (CHECKED_IN / reference).is_file(), reference


def test_every_type_of_event_has_its_headers() -> None:
    messages = orjson.dumps(load("asyncapi.json")).decode()
    assert not [ce_type for ce_type in CE_TYPES.values() if f'"const":"{ce_type}"' not in messages]


@pytest.mark.parametrize("wire_type", schemas.TYPES)
def test_readers_are_told_to_expect_fields_they_do_not_know(wire_type: Any) -> None:
    assert "additionalProperties" not in load(schemas.file_name(wire_type))


def test_of_a_message_only_the_text_is_required() -> None:
    assert load("message.json")["required"] == ["text"]


def described(headers: dict[str, Any], written: Sequence[tuple[str, bytes | None]]) -> None:
    """Every header has its description, and the content that this says."""
    properties = headers["properties"]
    assert set(headers.get("required", ())) <= {name for name, _ in written}
    for name, content in written:
        if name != "content-type":  # AsyncAPI has a field of its own for it
            assert content is not None
            told = properties[name]
            assert re.search(told.get("pattern", ""), content.decode())
            assert content.decode() in told.get("enum", [told.get("const", content.decode())])


def test_every_header_of_a_dead_letter_is_described() -> None:
    letter = DeadLetter(
        id="m-0-7",
        cause=Cause.TOO_LARGE,
        error="x",
        source=Source(topic="m", partition=0, offset=7, epoch="e"),
        failed_at=datetime(2026, 3, 1, tzinfo=UTC),
        timestamp_ms=-1,
        cut=("value", "headers", "key"),
        size=5000,
        sha256="0" * 64,
        first_offset=3,
    )
    assert all(getattr(letter, field) for field in DeadLetter.model_fields), (
        "the letter has all that one can have"
    )
    passed = [("traceparent", b"00-"), ("tracestate", b"a=b")]
    headers = load("asyncapi.json")["components"]["schemas"]["DeadLetterHeaders"]
    described(headers, encode_dead_letter(letter, passed, "/m"))


def test_every_header_of_an_event_and_of_what_is_sent_back_is_described() -> None:
    messages = load("asyncapi.json")["components"]["messages"]
    passed = [("traceparent", b"00-"), ("tracestate", b"a=b")]
    written = CloudEventHeaders("EmotionEvent", "/m").of("m-0-7", b"2026-03-01T00:00:00Z", passed)
    described(messages["emotions"]["headers"], written)
    written = CloudEventHeaders("Alert", "/m").of("a", b"2026-03-01T00:00:00Z")
    described(
        messages["undelivered"]["headers"], [*written, ("dlq_receiver", b"webhook"), ("dlq_error", b"x")]
    )
    source = Source(topic="m", partition=0, offset=7)
    letter = DeadLetter(id="m-0-7", cause="not_json", error="x", source=source, failed_at=datetime.now(UTC))
    dead = SimpleNamespace(
        headers=encode_dead_letter(letter, (), "/m"), key=None, value=b"", timestamp=5, topic="d"
    )
    described(messages["messages"]["headers"], Letter.of(dead).message(9).headers)
