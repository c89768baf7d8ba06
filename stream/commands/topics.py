"""``emotion-stream topics``: create, list and check the topics that emotion-stream reads and writes."""

import asyncio
import json

import click
from rich.table import Table

from stream.admin import TopicState, create_topics, describe
from stream.commands.lines import cells, table_console
from stream.commands.options import SettingsCommand, settings_options
from stream.errors import TopicError
from stream.settings import Settings

_SETTINGS = ("kafka", "topics", "max_message_bytes")


@click.group()
def topics() -> None:
    """Create, list and check the topics. Each has a retention, since all can reveal how people feel."""


@topics.command(cls=SettingsCommand)
@settings_options(*_SETTINGS)
def create(settings: Settings) -> None:
    """Create the topics that are missing.

    Where another differs from what is stated, says so and ends with exit code 4. Doing it again changes
    nothing.
    """
    for state in asyncio.run(create_topics(settings)):
        click.echo(f"{'created' if state.created else 'exists '}  {state.spec.name}")


@topics.command(name="list", cls=SettingsCommand)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a topic.")
@settings_options(*_SETTINGS)
def list_topics(settings: Settings, as_json: bool) -> None:
    """List the topics as the cluster has them, those that are missing included."""
    states = asyncio.run(describe(settings))
    if as_json:
        for state in states:
            click.echo(json.dumps(_as_json(state)))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("topic", "partitions", "replicas", "retention", "cleanup"):
        table.add_column(heading, no_wrap=True, overflow="fold")
    table.add_column("holds")
    for state in states:
        table.add_row(*cells(*_row(state)))
    table_console().print(table)


@topics.command(cls=SettingsCommand)
@settings_options(*_SETTINGS)
def check(settings: Settings) -> None:
    """Exit with 0 where all topics are there as stated, else with 4 and what differs."""
    states = asyncio.run(describe(settings))
    servers = settings.bootstrap_servers or ""
    problems = [f"{state.spec.name}: does not exist" for state in states if not state.exists]
    problems += [str(mismatch) for state in states for mismatch in state.mismatches(servers)]
    if problems:
        raise TopicError("\n  ".join(["topics are not as stated:", *problems]))
    click.echo(f"{len(states)} topics are as stated")


def _row(state: TopicState) -> tuple[str, ...]:
    if not state.exists:
        return state.spec.name, "missing", "", "", "", state.spec.purpose
    config = state.config or {}
    retention = config.get("retention.ms")
    return (
        state.spec.name,
        str(state.partitions),
        str(state.replicas),
        _duration(int(retention)) if retention else "?",
        config.get("cleanup.policy", "?"),
        state.spec.purpose,
    )


def _duration(ms: int) -> str:
    return "for ever" if ms < 0 else f"{ms / 86_400_000:g} d"


def _as_json(state: TopicState) -> dict[str, object]:
    return {
        "topic": state.spec.name,
        "purpose": state.spec.purpose,
        "exists": state.exists,
        "partitions": state.partitions,
        "replicas": state.replicas,
        "config": dict(state.config) if state.config is not None else None,
    }
