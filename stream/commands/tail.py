"""``emotion-stream tail``: what is written to an output topic, as it is written.

Only committed records are shown. At a terminal a line is for people; elsewhere, or with ``--json``, it is
the record's JSON. Dead letters show why they failed; what people wrote is shown only on ``--show-value``.
"""

import asyncio
import base64
import errno
import os
import select
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click
from aiokafka import AIOKafkaConsumer
from pydantic_core import from_json, to_json
from rich.console import Console
from rich.text import Text

from stream.admin import check_topics
from stream.commands.clients import broker_errors, chunks_until, consuming
from stream.commands.lines import LINES, deleted, fields
from stream.commands.options import SettingsCommand, settings_options
from stream.deadletters import decode_dead_letter
from stream.errors import MessageError
from stream.registry import open_registry
from stream.settings import Settings

if TYPE_CHECKING:
    from stream.registry.client import SchemaRegistry

Show = Callable[[Any], None]

TOPICS: Final = ("emotions", "counts", "signals", "counters", "alerts", "reviews", "undelivered", "dlq")


@click.command(cls=SettingsCommand)
@click.argument("name", metavar="{" + "|".join(TOPICS) + "}", type=click.Choice(TOPICS))
@click.option("--from-beginning", is_flag=True, help="Begin with the oldest record, not with the next one.")
@click.option("--to-end", is_flag=True, help="Stop at the last record that is there at the start.")
@click.option("-n", "limit", type=click.IntRange(min=1), help="Stop after so many records.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines also at a terminal.")
@click.option("--show-value", is_flag=True, help="With dlq: print also what was received.")
@settings_options("kafka", "topic_prefix", "registry")
def tail(
    settings: Settings,
    name: str,
    from_beginning: bool,
    to_end: bool,
    limit: int | None,
    as_json: bool,
    show_value: bool,
) -> None:
    """Print the records of an output topic as they are committed, until Ctrl-C."""
    console = Console(highlight=False, soft_wrap=True)
    plain = as_json or not console.is_terminal
    show = _json_lines if plain else _human_lines(console, name)
    read = _dead_letter(show_value) if name == "dlq" else _event
    asyncio.run(
        _tail(
            settings,
            getattr(settings.topics, name),
            lambda record: show(read(record)),
            from_beginning=from_beginning,
            to_end=to_end,
            limit=limit,
        )
    )


async def _tail(
    settings: Settings, topic: str, show: Show, *, from_beginning: bool, to_end: bool, limit: int | None
) -> None:
    counts = await check_topics(settings, [topic])
    with broker_errors(settings):
        async with consuming(settings, topic, counts[topic]) as consumer:
            await (consumer.seek_to_beginning() if from_beginning else consumer.seek_to_end())
            async with (
                _registry(settings, topic) as registry,
                aclosing(_chunks(consumer, to_end=to_end)) as chunks,
            ):
                shown = 0
                async for chunk in chunks:
                    for record in chunk:
                        show(await _with_schema(record, registry) if registry else record)
                        shown += 1
                        if shown == limit:
                            return


async def _chunks(consumer: AIOKafkaConsumer, *, to_end: bool) -> AsyncGenerator[list[Any], None]:
    """Records in the order of their time, as far as they come together."""
    if to_end:
        ends = await consumer.end_offsets(list(consumer.assignment()))
        async for chunk in chunks_until(consumer, ends):
            yield _in_order(chunk)
    else:
        while True:
            batches = await consumer.getmany(timeout_ms=500)
            if _nobody_reads():
                raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
            yield _in_order([record for batch in batches.values() for record in batch])


def _nobody_reads() -> bool:
    """Whether the output is a pipe whose reader has gone; else the next record would tell, if one came."""
    asked = select.poll()
    try:
        asked.register(sys.stdout, 0)
    except OSError:  # it is no file
        return False
    return bool(asked.poll(0))


def _registry(settings: Settings, topic: str) -> "AbstractAsyncContextManager[SchemaRegistry | None]":
    """The registry, for the topic whose values can have a schema."""
    return (open_registry(settings) if topic == settings.topics.emotions else None) or nullcontext()


async def _with_schema(record: Any, registry: "SchemaRegistry") -> Any:
    """The record with its value as JSON, where it was written with a schema that is known."""
    try:
        return replace(record, value=await registry.read(record.value)) if record.value else record
    except MessageError:
        return record


def _in_order(records: list[Any]) -> list[Any]:
    return sorted(records, key=lambda record: record.timestamp)


def _event(record: Any) -> dict[str, Any]:
    """The record's JSON; a tombstone, or a value of somebody else, as an object that says so."""
    key = record.key.decode(errors="replace") if record.key is not None else None
    if record.value is None:
        return {"key": key, "deleted": True}
    try:
        event = from_json(record.value)
    except ValueError:
        event = None
    if isinstance(event, dict):
        return event
    return {"key": key, "not_json": True, "partition": record.partition, "offset": record.offset}


def _dead_letter(show_value: bool) -> Callable[[Any], dict[str, Any]]:
    def read(record: Any) -> dict[str, Any]:
        value = record.value or b""
        place = {"partition": record.partition, "offset": record.offset}
        try:
            letter, headers = decode_dead_letter(record.headers)
        except ValueError as error:
            return place | {"error": f"not a dead letter: {error}"}
        shown: dict[str, Any] = (
            letter.model_dump(mode="json", exclude_none=True) | {"bytes": len(value)} | place
        )
        if show_value:
            shown["headers"] = {
                name: None if content is None else content.decode(errors="replace")
                for name, content in headers
            }
            shown |= _readable(value)
        return shown

    return read


def _readable(value: bytes) -> dict[str, str]:
    try:
        return {"value": value.decode()}
    except UnicodeDecodeError:
        return {"value_base64": base64.b64encode(value).decode()}


def _json_lines(event: dict[str, Any]) -> None:
    click.echo(to_json(event, inf_nan_mode="null"))


def _human_lines(console: Console, name: str) -> Show:
    line_of = LINES[name]

    def show(event: dict[str, Any]) -> None:
        console.print(deleted(event) if event.get("deleted") else _line(line_of, event))

    return show


def _line(line_of: Callable[[dict[str, Any]], Text], event: dict[str, Any]) -> Text:
    """The line of an event; of what somebody else has written there, its fields."""
    try:
        return line_of(event)
    except (AttributeError, TypeError, ValueError):
        return fields(event)
