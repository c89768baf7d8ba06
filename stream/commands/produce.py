"""``emotion-stream produce``: a file of messages, or standard input, to the input topic.

file ──► read_lines ──► one idempotent producer, keyed ──► input topic
             └── refused lines, each with its number and reason ──► stderr, exit code 1
"""

import asyncio
import os
import stat
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import click
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from stream.admin import check_topics
from stream.authors import AuthorCase, canonical_author
from stream.commands.clients import broker_errors, producing
from stream.commands.options import Number, SettingsCommand, settings_options
from stream.errors import BrokerError, OutputError, SettingsError
from stream.events import Message
from stream.mapping import MessageMapping
from stream.reading import Format, Line, RefusedLine, format_of, opened, read_lines
from stream.settings import Settings
from stream.standardstreams import drop_output
from stream.unwinding import unwind_on_signals

_Lines = Iterator[Line | RefusedLine]

MAX_UNACKNOWLEDGED: Final = 10_000
ACKNOWLEDGE_TIMEOUT_S: Final = 60.0
CATCH_UP_S: Final = 0.05
_READ_AHEAD: Final = 1000
_LINES_A_STEP: Final = 100
_RECORD_OVERHEAD_BYTES: Final = 8192


@click.command(cls=SettingsCommand)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option(
    "--format", "file_format", type=click.Choice(["jsonl", "csv", "text"]), help="By default from the name."
)
@click.option(
    "--key",
    type=click.Choice(["author", "channel", "conversation", "id", "none"]),
    default="author",
    show_default=True,
    help="Field that becomes the record's key: messages of one key keep their order.",
)
@click.option("--rate", type=Number(min=0, min_open=True), help="Messages a second, at most.")
@settings_options("kafka", "input_topic", "input_format", "author_case", "max_message_bytes", "mapping")
def produce(settings: Settings, file: Path, file_format: Format | None, key: str, rate: float | None) -> None:
    """Send the messages in FILE, or from standard input (-), to the input topic.

    JSON lines hold the fields of a message each; a CSV file names its columns in the first row and needs a
    column text; in plain text every line is a message. Lines that are no message are named and left out,
    and the exit code is then 1. What was sent is told on standard error where standard output cannot be
    written; the exit code is the same.
    """
    chosen = file_format or format_of(file)
    mapping = _mapping(settings, chosen)
    tally = Tally()
    unwind_on_signals()
    with opened(file) as source, _progress(source) as progress:
        lines = progress(read_lines(source, chosen, max_bytes=settings.max_message_bytes, mapping=mapping))
        try:
            asyncio.run(_send_all(settings, lines, tally, key=key, rate=rate, live=not _is_file(source)))
        finally:  # also after an interrupt: what is sent is sent
            if tally.started_at is not None:
                _say(tally.summary(settings.input_topic))
    if tally.refused:
        raise click.exceptions.Exit(1)


def _say(summary: str) -> None:
    """Print what was sent: where that fails it is said elsewhere, for nobody should send it again."""
    try:
        click.echo(summary)
    except (OutputError, BrokenPipeError):
        drop_output()
        click.echo(summary, err=True)


def _mapping(settings: Settings, file_format: Format) -> MessageMapping | None:
    """Where the fields of the lines stand; the annotator will look for them there too."""
    mapping = MessageMapping.of(settings)
    if (
        mapping is not None
        and file_format != "jsonl"
        and mapping.of_values()
        and settings.input_format == "json"
    ):
        raise SettingsError(
            f"a {file_format} file is sent with its fields under their own names, but text_from and the like "
            "are set, so the annotator would not find them: send JSON lines, or unset them"
        )
    return mapping


@dataclass(slots=True)
class Tally:
    """What became of the lines."""

    sent: int = 0
    refused: int = 0
    started_at: float | None = None

    def refuse(self, number: int, reason: str) -> None:
        self.refused += 1
        click.echo(f"line {number}: {reason}", err=True)

    def summary(self, topic: str) -> str:
        seconds = time.monotonic() - (self.started_at or 0.0)
        rate = f"{self.sent / seconds:,.0f} a second" if seconds else ""
        refused = f"; refused {self.refused}" if self.refused else ""
        return f"sent {self.sent} messages to {topic} in {seconds:.1f} s ({rate}){refused}"


async def _send_all(
    settings: Settings, lines: _Lines, tally: Tally, *, key: str, rate: float | None, live: bool
) -> None:
    await check_topics(settings, [_topic(settings)])
    tally.started_at = time.monotonic()
    pace = Pace(rate) if rate else None
    limit = settings.max_message_bytes + _RECORD_OVERHEAD_BYTES
    with broker_errors(settings):
        async with producing(settings, linger_ms=5, max_request_size=max(1 << 20, limit)) as producer:
            delivery = Delivery(producer, settings, tally)
            try:
                async for line in _from_thread(lines) if live else _at_once(lines):
                    if isinstance(line, RefusedLine):
                        tally.refuse(line.number, line.reason)
                        continue
                    if pace is not None and (wait_s := pace.wait_s(time.monotonic())):
                        await asyncio.sleep(wait_s)
                    await delivery.send(line, _key(line.message, key, settings.author_case))
            except asyncio.CancelledError:  # told to end: what was handed over still leaves, and is counted
                await delivery.settle()
                raise
            await delivery.settle()


def _topic(settings: Settings) -> str:
    """The topic to send to.

    Raises:
        SettingsError: the settings name several, or a pattern and none.
    """
    named = "input_topic" in settings.model_fields_set or settings.input_pattern is None
    if not named or "," in settings.input_topic:
        raise SettingsError("messages go to one topic: say to which with --input-topic")
    return settings.input_topic


class Pace:
    """Turns of messages at a rate: after a delay at most ``CATCH_UP_S`` are made up for."""

    def __init__(self, rate: float) -> None:
        self._interval_s = 1 / rate
        self._next_at: float | None = None

    def wait_s(self, now: float) -> float:
        """Take the next turn; returns the seconds until it comes. ``now`` is monotonic."""
        turn = now if self._next_at is None else max(self._next_at, now - CATCH_UP_S)
        self._next_at = turn + self._interval_s
        return max(0.0, turn - now)


class Delivery:
    """Hands lines to the producer and follows each until the broker has acknowledged it."""

    def __init__(self, producer: AIOKafkaProducer, settings: Settings, tally: Tally) -> None:
        self._producer = producer
        self._topic = settings.input_topic
        self._bare_text = settings.input_format == "text"
        self._tally = tally
        self._unacknowledged: deque[tuple[int, asyncio.Future[Any]]] = deque()

    async def send(self, line: Line, key: bytes | None) -> None:
        value = line.message.text.encode() if self._bare_text else line.value
        try:
            future = await self._producer.send(self._topic, value, key=key)
        except KafkaTimeoutError:
            raise self._given_up(line.number) from None
        except KafkaError as error:
            self._tally.refuse(line.number, str(error))
            return
        self._unacknowledged.append((line.number, future))
        await self.settle(leave=MAX_UNACKNOWLEDGED)

    async def settle(self, leave: int = 0) -> None:
        """Wait until at most ``leave`` lines are unacknowledged.

        Raises:
            BrokerError: nothing is acknowledged for ``ACKNOWLEDGE_TIMEOUT_S``.
        """
        while self._unacknowledged and (
            len(self._unacknowledged) > leave or self._unacknowledged[0][1].done()
        ):
            number, future = self._unacknowledged[0]
            if not future.done():
                done, _ = await asyncio.wait([future], timeout=ACKNOWLEDGE_TIMEOUT_S)
                if not done:
                    raise self._given_up(number)
            if error := future.exception():
                self._tally.refuse(number, str(error) or type(error).__name__)
            else:
                self._tally.sent += 1
            self._unacknowledged.popleft()

    def _given_up(self, number: int) -> BrokerError:
        first = self._unacknowledged[0][0] if self._unacknowledged else number
        return BrokerError(
            f"{self._tally.sent} messages are delivered, but the broker acknowledges no more: "
            f"send again from line {first} on, when it is back"
        )


def _key(message: Message, name: str, author_case: AuthorCase) -> bytes | None:
    value: str | None = None if name == "none" else getattr(message, name)
    if value and name == "author":  # whatever its spelling, one author's messages keep their order
        value = canonical_author(value, author_case)
    return value.encode() if value else None


async def _at_once(lines: _Lines) -> AsyncIterator[Line | RefusedLine]:
    for line in lines:
        yield line


async def _from_thread(lines: _Lines) -> AsyncIterator[Line | RefusedLine]:
    """Lines as they come: a pipe can be silent for long, and what came before must leave meanwhile."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Line | RefusedLine | Exception | None] = asyncio.Queue()
    room = threading.Semaphore(_READ_AHEAD)

    def hand_over(item: Line | RefusedLine | Exception | None) -> None:
        with suppress(RuntimeError):  # an interrupt has closed the loop
            loop.call_soon_threadsafe(queue.put_nowait, item)

    def read() -> None:
        try:
            for line in lines:
                room.acquire()
                hand_over(line)
            hand_over(None)
        except Exception as error:
            hand_over(error)

    threading.Thread(target=read, daemon=True).start()
    while (line := await queue.get()) is not None:
        if isinstance(line, Exception):
            raise line
        room.release()
        yield line


def _is_file(source: BinaryIO) -> bool:
    return stat.S_ISREG(os.fstat(source.fileno()).st_mode)


@contextmanager
def _progress(source: BinaryIO) -> Iterator[Callable[[_Lines], _Lines]]:
    """A wrapper of the lines that draws a bar at a terminal, by bytes read, and does nothing elsewhere."""
    console = Console(stderr=True)
    if not (console.is_terminal and _is_file(source)):
        yield lambda lines: lines
        return
    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[count]} lines"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=os.fstat(source.fileno()).st_size, count=0)

        def followed(lines: _Lines) -> _Lines:
            for count, line in enumerate(lines, start=1):
                if count % _LINES_A_STEP == 0:
                    bar.update(task, completed=source.tell(), count=count)
                yield line

        yield followed
