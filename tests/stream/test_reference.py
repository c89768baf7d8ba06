"""The generated pages in docs are what the code says now."""

from collections.abc import Callable

import pytest

from stream import cli, reference, schemas, topicspage
from stream.settings import Settings
from tests.stream.commands import ROOT


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("settings.md", reference.settings_page),
        ("cli.md", reference.cli_page),
        ("rights.md", reference.rights_page),
        ("topics.md", topicspage.topics_page),
    ],
)
def test_the_page_is_current(name: str, page: Callable[[], str]) -> None:
    written = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert written == page(), "make it anew: python -m stream.reference"


def test_every_setting_has_one_row() -> None:
    page = reference.settings_page()
    assert all(page.count(f"\n| `{name}` |") == 1 for name in Settings.model_fields)


def test_every_command_has_a_section() -> None:
    page = reference.cli_page()
    assert all(f"\n## {name}\n" in page for name in cli.COMMANDS)


def test_every_topic_and_every_field_of_an_event_has_its_row() -> None:
    page = topicspage.topics_page()
    assert all(f"\n| `{spec.name}` | {spec.purpose} |" in page for spec in Settings().topic_specs())
    for wire_type in schemas.TYPES:
        section = page.split(f"\n## {wire_type.__name__}\n")[1].split("\n## ")[0]
        assert all(f"\n| `{name}` | " in section for name in wire_type.model_fields)


def test_what_a_setting_allows_is_told() -> None:
    rows = {line.split("`")[1]: line for line in reference.settings_page().splitlines() if line[:3] == "| `"}
    assert "| whole number ≥ 0 and ≤ 65535 |" in rows["http_port"]
    assert "| number > 0 and ≤ 2147483647 |" in rows["commit_interval_ms"]
    assert "| `exactly_once`, `at_least_once` | `exactly_once` |" in rows["guarantee"]
    assert "| `true`, `false` | `false` |" in rows["include_text"]
    assert "| *secret* |" in rows["author_key"]
