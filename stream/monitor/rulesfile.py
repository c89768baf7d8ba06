"""The rules file: TOML to validated rules, with errors of one line, and read again when it changes."""

from functools import partial
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from stream.errors import SettingsError
from stream.followedfile import Content, FollowedFile, read_toml
from stream.listfile import end_line, says_whole
from stream.monitor.rules import RuleSet, rule_set

SHIPPED_RULES: Final = Path(__file__).with_name("rules.toml")


def load_rules(path: Path, *, base_s: int = 60) -> RuleSet:
    """The rules in a file; ``base_s`` is the length of the count windows that channel rules are made of.

    Raises:
        SettingsError: one line that names the file, the rule, the field and what is allowed.
    """
    return _parsed(path, base_s).held


def _parsed(path: Path, base_s: int) -> Content[RuleSet]:
    text, tables = read_toml(path, "the rules", "rules_file")
    try:
        rules = rule_set(tables)
    except ValidationError as error:
        raise SettingsError(f"{path}: {_explain(error, tables)}") from None
    for rule in rules.of_channels:
        if rule.window_s % base_s:
            raise SettingsError(
                f"{path}: rule {rule.name}: its window of {rule.window_s} s is not made of whole count "
                f"windows of {base_s} s; change it, or count_window_s"
            )
    try:
        whole = says_whole(text, len(rules.rules))
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from None
    return Content(rules, frozenset(rule.name for rule in rules.rules), whole)


class RulesFile(FollowedFile[RuleSet]):
    """Rules that follow their file. A rule that goes would end its alerts as if all were well, so it goes
    only from a file that says that it is whole; ``enabled = false`` turns one off without that.
    """

    def __init__(self, path: Path | None, *, base_s: int = 60) -> None:
        super().__init__(
            path or SHIPPED_RULES,
            partial(_parsed, base_s=base_s),
            what="rules",
            instead="; to turn a rule off, write enabled = false",
        )
        if not self.names and not self.whole:
            raise SettingsError(f"{self.path} has no rules: if that is meant, let it say {end_line(0)!r}")

    @property
    def rules(self) -> RuleSet:
        return self.held

    @property
    def in_force(self) -> int:
        """Rules that are enabled."""
        return sum(rule.enabled for rule in self.rules.rules)


def _explain(error: ValidationError, tables: dict[str, Any]) -> str:
    """Pydantic's first complaint in words: which rule, which field, what is wrong."""
    first = error.errors(include_url=False)[0]
    where = [str(part) for part in first["loc"]]
    what = first["msg"].removeprefix("Value error, ")
    if not where:
        return what
    if where[0] != "rule":
        return f"{where[0]} is not known here; write [[rule]] tables"
    if len(where) == 1:
        return f"{what}: write [[rule]] tables"
    name = _name_of(tables, int(where[1]))
    fields = [part for part in where[2:] if part not in ("author", "phrase", "channel", "drift")]
    kind = first["type"]
    if kind.startswith("union_tag"):
        return f"rule {name}: kind must be one of author, phrase, channel, drift"
    if kind == "extra_forbidden":
        return f"rule {name}: {'.'.join(fields)} is not a field of this kind of rule"
    return f"rule {name}: {'.'.join([*fields, ''])[:-1] + ': ' if fields else ''}{what}"


def _name_of(tables: dict[str, Any], index: int) -> str:
    rule = tables["rule"][index]
    name = rule.get("name") if isinstance(rule, dict) else None
    return str(name) if name else f"number {index + 1}"
