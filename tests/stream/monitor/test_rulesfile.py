"""The rules file: what is accepted, and the one clear line that a mistake gets."""

import os
from pathlib import Path

import pytest

from stream.errors import SettingsError
from stream.monitor.rulesfile import SHIPPED_RULES, RulesFile, load_rules


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_rules_are_valid_and_phrases_are_off() -> None:
    rules = load_rules(SHIPPED_RULES)
    assert {rule.kind for rule in rules.rules} == {"author", "channel", "drift", "phrase"}
    assert not any(rule.kind == "phrase" for rule in rules.of_authors)
    assert all(rule.recipients for rule in rules.rules)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[rule]", "not valid TOML"),
        ("[[rule]]\nkind = 'author'", "rule number 1: name: Field required"),
        ("[[rule]]\nname = 'a'\nkind = 'mood'", "rule a: kind must be one of author, phrase, channel, drift"),
        ("[[rule]]\nname = 'a'\nkind = 'author'\nlevel = 1", "rule a: level is not a field"),
        ("[[rule]]\nname = 'a'\nkind = 'author'\nenter = 0.4\nleave = 0.5", "leave .* must be below enter"),
        ("[[rule]]\nname = 'a'\nkind = 'author'\nmin_messages = 1", "rule a: min_messages: .* greater than"),
        (
            "[[rule]]\nname = 'a'\nkind = 'channel'\nlabels = ['rage']",
            "'rage' is no label; choose from sadness",
        ),
        ("[[rule]]\nname = 'a'\nkind = 'phrase'\nlists = []", "rule a: lists: "),
        (
            "[[rule]]\nname = 'a'\nkind = 'drift'\n[[rule]]\nname = 'a'\nkind = 'drift'",
            "two rules are named a",
        ),
        ("[[rules]]\nname = 'a'", "rules is not known here"),
        (
            "[[rule]]\nname = 'a'\nkind = 'drift'\n"
            "quiet_hours = {from = 22:00:00, to = 07:00:00, timezone = 'X'}",
            "'X' is not a time zone",
        ),
        (
            "[[rule]]\nname = 'a'\nkind = 'drift'\n"
            "quiet_hours = {from = 22:00:00, to = 07:00:00, timezone = 'Europe'}",
            "'Europe' is not a time zone",
        ),
    ],
)
def test_a_mistake_gets_one_line_that_names_the_rule(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint) as raised:
        load_rules(write(tmp_path / "rules.toml", text))
    assert len(str(raised.value).strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("hours", "field"),
    [
        ("from = '22:00Z', to = '07:00'", "from"),
        ("from = '22:00', to = '07:00+01:00'", "to"),
        ("from = 22, to = '07:00'", "from"),
    ],
)
def test_quiet_hours_that_carry_an_offset_are_refused(tmp_path: Path, hours: str, field: str) -> None:
    text = f"[[rule]]\nname = 'a'\nkind = 'author'\nquiet_hours = {{{hours}}}"
    with pytest.raises(SettingsError, match=rf"rule a: quiet_hours.{field}: write a local time .*timezone"):
        load_rules(write(tmp_path / "rules.toml", text))


def test_a_window_that_is_not_made_of_count_windows_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "rules.toml", "[[rule]]\nname = 'a'\nkind = 'channel'\nlabels = ['anger']")
    with pytest.raises(SettingsError, match="count_window_s"):
        load_rules(path, base_s=7)


def test_a_missing_file_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="rules_file"):
        load_rules(tmp_path / "none.toml")


def test_a_change_is_taken_over_and_a_mistake_is_not(tmp_path: Path) -> None:
    path = write(tmp_path / "rules.toml", "[[rule]]\nname = 'a'\nkind = 'drift'")
    file = RulesFile(path)
    assert not file.reload()
    write(path, "[[rule]]\nname = 'b'\nkind = 'drift'\n# end: 1\n")
    os.utime(path, ns=(1, 1))
    assert file.reload()
    assert file.rules.rules[0].name == "b"
    write(path, "broken")
    os.utime(path, ns=(2, 2))
    assert not file.reload()
    assert file.rules.rules[0].name == "b"
    path.unlink()
    assert not file.reload()
    assert file.rules.rules[0].name == "b"


RULE = "[[rule]]\nname = '{}'\nkind = 'drift'\n"


@pytest.mark.parametrize("torn", ["", "# a comment", RULE.format("a"), RULE.format("b") + "# end: 2\n"])
def test_a_rule_does_not_go_because_a_file_is_cut_short(tmp_path: Path, torn: str) -> None:
    path = write(tmp_path / "rules.toml", RULE.format("a") + RULE.format("b"))
    file = RulesFile(path)
    write(path, torn)
    assert not file.reload()
    assert [rule.name for rule in file.rules.rules] == ["a", "b"]
    assert (file.failures, file.in_force) == (1, 2)
    assert "# end: " in (file.problem or "")


def test_a_rule_goes_where_the_file_says_that_it_is_whole_or_is_turned_off(tmp_path: Path) -> None:
    path = write(tmp_path / "rules.toml", RULE.format("a") + RULE.format("b"))
    file = RulesFile(path)
    write(path, RULE.format("a") + RULE.format("b") + "enabled = false\n")
    assert file.reload()
    assert file.in_force == 1
    write(path, RULE.format("a") + "# end: 1\n")
    assert file.reload()
    assert [rule.name for rule in file.rules.rules] == ["a"]
    write(path, "# end: 0\n")
    assert file.reload()
    assert file.in_force == 0


def test_a_rule_whose_last_lines_are_cut_off_is_told_where_the_file_had_an_end_line(tmp_path: Path) -> None:
    path = write(tmp_path / "rules.toml", RULE.format("a") + "enabled = false\n# end: 1\n")
    file = RulesFile(path)
    write(path, RULE.format("a"))
    assert not file.reload()
    assert file.in_force == 0
    assert "its end line has gone" in (file.problem or "")


def test_a_start_without_any_rule_is_refused_unless_it_is_meant(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"has no rules.*'# end: 0'"):
        RulesFile(write(tmp_path / "rules.toml", ""))
    assert RulesFile(write(tmp_path / "rules.toml", "# end: 0")).in_force == 0
