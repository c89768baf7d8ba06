"""``emotion-stream settings``: what is in force, and where each value was written."""

import json
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from stream import sources
from stream.commands.lines import cells, table_console, table_of
from stream.settings import SECTIONS, ResolvedSettings, resolve_settings


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="Settings file to read.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def settings(config: Path | None, as_json: bool) -> None:
    """Print every setting in force, its source (variable, file or default), and warnings.

    Secrets are hidden: only whether they are set is shown.
    """
    resolved = resolve_settings(config=config)
    for warning in resolved.warnings:
        click.echo(f"warning: {warning}", err=True)
    if as_json:
        click.echo(json.dumps(_as_json(resolved), indent=2))
    else:
        table_console().print(_as_table(resolved))


def _shown(resolved: ResolvedSettings, name: str) -> Any:
    """A value as JSON takes it; a secret as stars, or None where it is not set."""
    return sources.without_token(resolved.settings.model_dump(mode="json")[name])


def _as_json(resolved: ResolvedSettings) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "value": _shown(resolved, name),
            "source": resolved.origin(name).kind,
            "from": resolved.origin(name).name or None,
        }
        for section in SECTIONS.values()
        for name in section.model_fields
    }


def _as_table(resolved: ResolvedSettings) -> Table:
    table = table_of("setting", "value", "from")
    for section, model in SECTIONS.items():
        table.add_section()
        table.add_row(section, style="bold cyan")
        for name in model.model_fields:
            origin = resolved.origin(name)
            style = "dim" if origin == sources.DEFAULT else ""
            value = sources.as_text(_shown(resolved, name))
            table.add_row(*cells(f"  {name}", value, str(origin)), style=style)
    return table
