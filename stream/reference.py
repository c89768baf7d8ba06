"""The pages cli.md, settings.md, rights.md and topics.md in docs, made from what they are about.

python -m stream.reference          # writes them; a test fails when they are not current
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin

import click
from annotated_types import Ge, Gt, Le
from pydantic.fields import FieldInfo

from stream import sources
from stream.cli import PROGRAM, root
from stream.commands.options import SettingOption, kind_of, title_of
from stream.rights import RIGHTS
from stream.settings import SECTIONS, Settings
from stream.topicspage import topics_page

_NAMES: Final[dict[Any, str]] = {int: "whole number", float: "number", str: "text", Path: "path"}

_SETTINGS_INTRODUCTION: Final = f"""\
# Settings

Made from `stream/sections.py` by `python -m stream.reference`.

A value is taken from the first of these that has it:

1. a flag of the command: `max_wait_ms` is `--max-wait-ms 20`; yes or no is `--include-text` or
   `--no-include-text`;
2. the environment: `EMOTION_MAX_WAIT_MS=20`; an empty variable counts as not set;
3. the file named by `--config` or `{sources.CONFIG_VARIABLE}`, else `{sources.DEFAULT_FILE}` in the
   working directory, if it is there: `max_wait_ms = 20`, at the top level;
4. the default.

A wrong value, or a key in the file that is no setting, ends the start with exit code 2 and one line that
names the setting, its source and what is allowed. An `EMOTION_…` variable that no setting reads is warned
of. `emotion-stream settings` prints what is in force and where each value was written.

Secrets have no flag, since everybody on a machine can read its command lines: give them by a variable, or
in a file that only the service may read. They are never printed."""

_CLI_INTRODUCTION: Final = """\
# Commands

Made from the commands by `python -m stream.reference`. Each takes `--help`, or `-h`, which says the same.

Exit codes: 0 done; 1 something was refused or failed; 2 wrong usage, or a setting or a file of messages
that cannot be used; 3 no broker; 4 topics; 5 stalled; 6 the model fails on every text; 7 a record that
can neither be read nor written; 130 interrupted.
What went wrong is one line on stderr that begins with `error:`.

Options before the command:
"""


def settings_page() -> str:
    """All settings, a table a section."""
    lines = [_SETTINGS_INTRODUCTION]
    for section, model in SECTIONS.items():
        doc = (model.__doc__ or "").strip().replace("``", "`")
        lines += [f"\n## {title_of(section)}\n", f"{doc}\n", "| setting | allowed | default | what it does |"]
        lines.append("|---|---|---|---|")
        lines += (_setting_row(name, field) for name, field in model.model_fields.items())
    return "\n".join(lines) + "\n"


_RIGHTS_INTRODUCTION: Final = """\
# Rights on the cluster

Made from `stream/rights.py` by `python -m stream.reference`; `pytest tests/stream/test_rights.py` runs each
program with just these rights on a broker that grants no others. Names are those of the default settings; in
Kafka, read and write imply describe.

What stands here of the input topic `messages` goes for each of `input_topic`, and with `input_pattern` for
each topic that matches: a right on a prefix goes for those to come, too. One that matches and may not be
described is not seen.

Give each program a user of its own. Whoever may read `emotions.dlq` may read what people wrote, names
included: see [privacy.md](privacy.md); with `include_text` so may who reads `emotions`, `emotions.signals`,
`emotions.alerts` or `emotions.alerts.dlq`. Without describe configs on its output topics an annotator assumes
Kafka's own limits on their records, and learns smaller ones from a refusal.
"""


def rights_page() -> str:
    """What the user of each program must be allowed, a table a program."""
    lines, defaults = [_RIGHTS_INTRODUCTION], Settings()
    for program, rights in RIGHTS.items():
        lines += [f"## {program}", "", "| on | named | may | with |", "|---|---|---|---|"]
        for right in rights:
            (named,) = right.names_for(defaults)
            name = f"`{named}`{' and on' if right.prefixed else ''}"
            cells = (right.resource, name, ", ".join(right.operations), right.option)
            lines.append(f"| {' | '.join(map(_cell, cells))} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def cli_page() -> str:
    """All commands, with the options that are theirs and the sections of settings that they take."""
    context = click.Context(root, info_name=PROGRAM, **root.context_settings)
    lines = [_CLI_INTRODUCTION, *_options(root, context)]
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        assert command is not None
        lines += _command(command, click.Context(command, parent=context, info_name=name))
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the pages to the folder given, or to docs."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    (folder / "settings.md").write_text(settings_page(), encoding="utf-8")
    (folder / "cli.md").write_text(cli_page(), encoding="utf-8")
    (folder / "rights.md").write_text(rights_page(), encoding="utf-8")
    (folder / "topics.md").write_text(topics_page(), encoding="utf-8")


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    yield from ("", f"## {context.command_path.removeprefix(PROGRAM).strip()}", "")
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield from (f"`{usage}`", "", *_prose(command))
    if options := list(_options(command, context)):
        yield from ("", *options)
    if taken := "; ".join(_settings_taken(command)):
        yield from ("", f"Settings: {taken}.")
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _command(below, click.Context(below, parent=context, info_name=name))


def _settings_taken(command: click.Command) -> Iterator[str]:
    """For each section, whether the command takes all of its settings or which ones."""
    given = [option.name for option in command.params if isinstance(option, SettingOption)]
    for section, model in SECTIONS.items():
        here = [f"`{name}`" for name in model.model_fields if name in given]
        if here:
            title = title_of(section)
            names = "all" if len(here) == len(model.model_fields) else ", ".join(here)
            yield f"{names} of [{title}](settings.md#{_anchor(title)})"


def _prose(command: click.Command) -> Iterator[str]:
    """The help as paragraphs of one line each."""
    for number, paragraph in enumerate((command.help or "").split("\n\n")):
        yield from ([""] if number else [])
        yield " ".join(paragraph.split())


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    own = (option for option in command.get_params(context) if not isinstance(option, SettingOption))
    records = [
        record for option in own if option.name != "help" and (record := option.get_help_record(context))
    ]
    if records:
        yield from ("| option | what it does |", "|---|---|")
    yield from (f"| `{_cell(option)}` | {_cell(text)} |" for option, text in records)


def _setting_row(name: str, field: FieldInfo) -> str:
    default = sources.as_text(field.default)
    cells = [f"`{name}`", _allowed(field), f"`{default}`" if default else "", field.description or ""]
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _allowed(field: FieldInfo) -> str:
    if sources.is_secret(field):
        return "*secret*"
    kind = kind_of(field.annotation)
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind))
    if kind is bool:
        return "`true`, `false`"
    return " ".join([_NAMES[kind], *_bounds(field)])


def _bounds(field: FieldInfo) -> Iterator[str]:
    for constraint in [*field.metadata, *_constraints(field.annotation)]:
        if isinstance(constraint, Gt):
            yield f"> {constraint.gt}"
        elif isinstance(constraint, Ge):
            yield f"≥ {constraint.ge}"
        elif isinstance(constraint, Le):
            yield f"and ≤ {constraint.le}"


def _constraints(annotation: Any) -> Iterator[Any]:
    """Constraints inside ``Annotated[int, Ge(0)] | None``."""
    for arm in get_args(annotation):
        if get_origin(arm) is Annotated:
            yield from get_args(arm)[1:]


def _anchor(title: str) -> str:
    return title.lower().replace(",", "").replace(" ", "-")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    main()
