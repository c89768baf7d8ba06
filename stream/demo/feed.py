"""What the demo sends, and how fast: its own messages with a few broken ones between, or a file's lines.

A line goes to the input topic as it stands, so a file may hold broken lines too: they end as dead letters.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from stream.errors import BrokerError, InputFileError

BROKEN: Final = (
    b'{"id": "x-1", "channel": "support", "text": "Our scanner cut this line sho',
    b'{"id": "x-2", "channel": "app-reviews", "stars": 2}',
    b'{"id": "x-3", "channel": "support", "text": 48213}',
    b'{"id": "x-4", "channel": "community", "text": " \\n "}',
    b'{"id": "x-5", "channel": "support", "text": "Caf\xe9, in Latin-1"}',
)
"""Broken on purpose, each in another way: cut off, no text, not a string, only white space, not UTF-8."""

SEND_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Record:
    """A record for the input topic. Its key is the author, so an author's messages keep their order."""

    key: bytes | None
    value: bytes


@dataclass(frozen=True, slots=True)
class Sent:
    """Where a record lies, and when it was given to the producer (``time.monotonic``)."""

    partition: int
    offset: int
    sent_at: float


def own_messages() -> list[Record]:
    """The messages that come with the demo, and ``BROKEN`` spread evenly among them."""
    lines = files("stream.demo").joinpath("messages.jsonl").read_bytes().splitlines()
    records = [_record(line) for line in lines]
    stride = len(records) // len(BROKEN)
    for number, value in enumerate(BROKEN):
        # From the middle of each stretch, counted with those already put in.
        records.insert(number * (stride + 1) + stride // 2, Record(None, value))
    return records


def messages_of(path: Path) -> list[Record]:
    """The lines of a JSON Lines file, as they stand; empty ones are skipped.

    Raises:
        InputFileError: the file cannot be read or holds nothing.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputFileError(f"{path}: {error.strerror}: give --input a file of JSON lines") from error
    records = [_record(line) for line in lines if line.strip()]
    if not records:
        raise InputFileError(f"{path} holds no lines: give --input a file of JSON lines")
    return records


def take(records: Sequence[Record], count: int | None) -> Sequence[Record]:
    """``count`` records, beginning again where they end; all of them once without a count."""
    return records if count is None else list(itertools.islice(itertools.cycle(records), count))


def _record(line: bytes) -> Record:
    try:
        message = orjson.loads(line)
    except orjson.JSONDecodeError:
        return Record(None, line)
    author = message.get("author") if isinstance(message, dict) else None
    return Record(author.encode() if isinstance(author, str) else None, line)


async def send_all(
    producer: AIOKafkaProducer,
    topic: str,
    records: Sequence[Record],
    *,
    rate: float,
    stop: asyncio.Event,
    on_sent: Callable[[Sent], None],
) -> None:
    """Send ``records`` at ``rate`` a second (0: as fast as they go) until the end or ``stop``.

    ``on_sent`` hears of every record once the broker has it; all have been told on return.

    Raises:
        BrokerError: a record could not be written.
    """
    open_sends: set[asyncio.Future[RecordMetadata]] = set()

    def remember(sent_at: float) -> Callable[[asyncio.Future[RecordMetadata]], None]:
        def done(future: asyncio.Future[RecordMetadata]) -> None:
            if future.cancelled() or future.exception():
                return  # still in open_sends, where the last lines of send_all find it
            open_sends.discard(future)
            metadata = future.result()
            on_sent(Sent(metadata.partition, metadata.offset, sent_at))

        return done

    try:
        for record, due in zip(records, _schedule(rate), strict=False):
            if await _stopped_before(stop, due):
                break
            future: asyncio.Future[Any] = await producer.send(topic, value=record.value, key=record.key)
            open_sends.add(future)
            future.add_done_callback(remember(time.monotonic()))
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await producer.flush()
            await asyncio.gather(*open_sends)
    except (KafkaError, TimeoutError) as error:
        raise BrokerError(
            f"a message could not be written to {topic} ({type(error).__name__}): look at the broker's log"
        ) from error


def _schedule(rate: float) -> Iterator[float]:
    """Times at which the records are due; a slow moment is caught up, so the mean rate holds."""
    start = time.monotonic()
    return (start + number / rate if rate else 0.0 for number in itertools.count())


async def _stopped_before(stop: asyncio.Event, due: float) -> bool:
    wait_s = due - time.monotonic()
    if wait_s <= 0:
        return stop.is_set()
    try:
        async with asyncio.timeout(wait_s):
            return await stop.wait()
    except TimeoutError:
        return False
