"""The schemas in docs/schemas are those of the types, and describe every topic."""

from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from stream import schemas
from stream.codec import CE_TYPES
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
