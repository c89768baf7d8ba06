"""``emotion-stream replay``: dead letters back to the input topics that they came from, each once.

    PREFIX.dlq ──► as it was: bytes, key, headers, partition ──► input topic
         └── offsets of the group GROUP-replay-CAUSE, in the same transaction

How far dead letters have been sent back is kept for each cause, in a consumer group of its own: so
``--cause model_failed`` today leaves those of other causes for a later replay, and a second replay sends
nothing again. aiokafka's transactions take the offsets of one group only, so a chunk of dead letters is
sent in one transaction a cause. One replay at a time: a second one fences the first.
"""

import asyncio
import gzip
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import click
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import InvalidProducerEpoch, ProducerFenced
from aiokafka.structs import TopicPartition

from stream.admin import batch_limits, check_topics, partition_counts
from stream.commands.clients import broker_errors, chunks_until, consuming, producing
from stream.commands.letters import CAUSES, Letter, find_original
from stream.commands.lines import visible
from stream.commands.options import SettingsCommand, settings_options
from stream.commands.replaypositions import Positions, Progress, read_progress, replay_group, seek_wanted
from stream.deadletters import CUT_HEADER
from stream.errors import StreamError
from stream.inputs import Inputs
from stream.records import Record, size_bytes
from stream.settings import Settings

CHUNK: Final = 500
"""Most dead letters in memory, and in one transaction."""

_LARGE_BYTES: Final = 1 << 20
_NO_LIMIT: Final = 1 << 30


@click.command(cls=SettingsCommand)
@click.option(
    "--cause", "causes", multiple=True, type=click.Choice(CAUSES), help="Only of this cause; may be repeated."
)
@click.option("--max", "limit", type=click.IntRange(min=1), help="Send at most so many.")
@click.option("--again", is_flag=True, help="Also those that an earlier replay has sent.")
@click.option("--dry-run", is_flag=True, help="Only count what would be sent.")
@settings_options(
    "kafka",
    "input_topic",
    "input_pattern",
    "topic_prefix",
    "group_id",
    "max_message_bytes",
    "transaction_timeout_ms",
)
def replay(
    settings: Settings, causes: tuple[str, ...], limit: int | None, again: bool, dry_run: bool
) -> None:
    """Send dead letters back to the input topics that they came from, as they were, once each.

    Those of a topic that is no input topic any more go to the one that there is; of several, to none.

    Takes the dead letters that are there at the start. How far those of each cause were sent back is kept in
    the consumer group GROUP-replay-CAUSE, in the same transaction as the messages: a second replay sends
    nothing again, and what --cause or --max leave out stays for a later one. The header dlq_replays counts
    how often a message was sent back.
    """
    chosen = tuple(dict.fromkeys(causes)) or CAUSES
    sent = asyncio.run(replay_dead_letters(settings, chosen, limit=limit, again=again, dry_run=dry_run))
    for cause, count in sorted(sent.items()):
        click.echo(f"{count:7d}  {cause}")
    verb = "would be sent" if dry_run else "sent"
    click.echo(f"{sum(sent.values()):7d}  dead letters {verb} back to {Inputs.of(settings)}")


async def replay_dead_letters(
    settings: Settings, causes: Collection[str], *, limit: int | None, again: bool, dry_run: bool
) -> Counter[str]:
    """Send dead letters of these causes back; returns how many of each.

    Raises:
        BrokerError, TopicError: the cluster cannot be reached, or a topic does not exist.
        StreamError: another replay of the same group has begun meanwhile.
    """
    dlq, inputs = settings.topics.dlq, Inputs.of(settings)
    counts = await check_topics(settings, [dlq, *inputs.names])
    targets = await _targets(settings, inputs)
    with broker_errors(settings), _fenced_in_words():
        async with AsyncExitStack() as clients:
            producer: AIOKafkaProducer | None = None
            if not dry_run:
                # Before the offsets are read: an earlier replay can commit no more from here on.
                producer = await clients.enter_async_context(_producer(settings))
            progress = await read_progress(settings, causes, again=again)
            consumer = await clients.enter_async_context(consuming(settings, dlq, counts[dlq]))
            ends = await seek_wanted(consumer, progress.values())
            replay = Replay(settings, targets, progress, producer, limit)
            async for chunk in _chunks(consumer, ends):
                await replay.send(chunk)
                if replay.full:
                    break
            else:
                replay.positions |= ends
            await replay.keep_positions()
    return replay.sent


async def _chunks(consumer: AIOKafkaConsumer, ends: Positions) -> AsyncIterator[list[Any]]:
    """What is sent in one transaction: dead letters up to one that was cut.

    Its original is looked for, which takes long where brokers are far away; of many, a transaction would time
    out.
    """
    async for records in chunks_until(consumer, ends, max_records=CHUNK):
        chunk = []
        for record in records:
            chunk.append(record)
            if any(name == CUT_HEADER for name, _ in record.headers):
                yield chunk
                chunk = []
        if chunk:
            yield chunk


@dataclass(frozen=True, slots=True)
class Target:
    """A topic that messages go back to. ``max_bytes`` of a batch, where the cluster tells it."""

    topic: str
    partitions: int
    max_bytes: int | None

    def takes(self, message: Record) -> bool:
        """Whether a message fits, compressed as the producer does it."""
        size = size_bytes(message)
        if self.max_bytes is None or size <= self.max_bytes:
            return True
        value = message.value or b""
        return size - len(value) + len(gzip.compress(value)) <= self.max_bytes


Targets = Mapping[str, Target]
"""By topic: all that messages are read from now."""


async def _targets(settings: Settings, inputs: Inputs) -> Targets:
    counts = await partition_counts(settings, inputs)
    limits = await batch_limits(settings, counts) if counts else {}
    return {topic: Target(topic, count, limits.get(topic)) for topic, count in counts.items()}


class Replay:
    """One run: which dead letters go back, how many, and how far it has come."""

    def __init__(
        self,
        settings: Settings,
        targets: Targets,
        progress: Mapping[str, Progress],
        producer: AIOKafkaProducer | None,
        limit: int | None,
    ) -> None:
        self.sent: Counter[str] = Counter()
        self.positions: Positions = {}
        self._settings = settings
        self._targets = targets
        self._progress = progress
        self._producer = producer
        self._limit = limit

    @property
    def full(self) -> bool:
        """Whether as many were sent as the limit allows."""
        return self._limit is not None and self.sent.total() >= self._limit

    async def send(self, records: Iterable[Any]) -> None:
        """Send those that are wanted, a transaction a cause, and keep how far this has come."""
        for cause, letters in self._choose(records).items():
            if self._producer is None:
                continue
            async with self._producer.transaction():
                sent = [future for letter in letters if (future := await self._send_back(letter))]
                await asyncio.gather(*sent)
                await self._commit(self._producer, cause)
            self.sent[cause] -= len(letters) - len(sent)

    async def keep_positions(self) -> None:
        """Commit how far each cause has come, also past dead letters of others, so none is read again."""
        if self._producer is None:
            return
        for cause, progress in self._progress.items():
            if progress.ahead(self.positions):
                async with self._producer.transaction():
                    await self._commit(self._producer, cause)

    def _choose(self, records: Iterable[Any]) -> dict[str, list[Letter]]:
        """Wanted letters by cause; records after the limit's last one stay for another replay."""
        chosen: dict[str, list[Letter]] = defaultdict(list)
        for record in records:
            if self.full:
                break
            self.positions[TopicPartition(record.topic, record.partition)] = record.offset + 1
            try:
                letter = Letter.of(record)
            except ValueError as error:
                click.echo(visible(f"{_where(record)}: not a dead letter: {error}"), err=True)
                continue
            if letter.cause in self._progress and self._progress[letter.cause].wants(letter):
                chosen[letter.cause].append(letter)
                self.sent[letter.cause] += 1
        return chosen

    async def _send_back(self, letter: Letter) -> asyncio.Future[Any] | None:
        """To the partition it came from, where that is still there, so that it meets its key's others.

        None, and a line that says why, where the message is gone, or has no room or no topic to go to.
        """
        assert self._producer is not None
        source = letter.told.source
        target = self._target(source.topic)
        if target is None:
            why = f"{source.topic} is no input topic now, and it is not said which one stands for it"
            _not_sent(letter, f"{why}: replay with --again and one --input-topic")
            return None
        if letter.told.first_offset is not None:
            batch = (
                f"{source.topic} {source.partition}, offsets {letter.told.first_offset} to {source.offset}"
            )
            _not_sent(letter, f"it stands for a batch ({batch}): send its messages again, fewer in a batch")
            return None
        if letter.told.cut:
            original = await find_original(self._settings, letter.told)
            if original is None:
                place = f"{source.topic} {source.partition}, offset {source.offset}"
                _not_sent(letter, f"it was cut, and its original is gone from {place}")
                return None
            letter = letter.restored(original)
        message = letter.message(int(time.time() * 1000))
        if not target.takes(message):
            needed = f"{size_bytes(message)} bytes do not fit into {target.topic}"
            remedy = f"raise its max.message.bytes ({target.max_bytes}) and replay with --again"
            _not_sent(letter, f"{needed}: {remedy}")
            return None
        known = source.topic == target.topic and source.partition < target.partitions
        future: asyncio.Future[Any] = await self._producer.send(
            target.topic,
            message.value,
            key=message.key,
            partition=source.partition if known else None,
            timestamp_ms=message.timestamp_ms,
            headers=message.headers,
        )
        if size_bytes(message) > _LARGE_BYTES:  # one of these in memory at a time
            await asyncio.wait([future])
        return future

    def _target(self, topic: str) -> Target | None:
        """Where messages of a topic go; what is read no more goes to the one topic that is."""
        (only,) = self._targets.values() if len(self._targets) == 1 else (None,)
        return self._targets.get(topic, only)

    async def _commit(self, producer: AIOKafkaProducer, cause: str) -> None:
        progress = self._progress[cause]
        ahead = progress.ahead(self.positions)
        if ahead:
            await producer.send_offsets_to_transaction(ahead, replay_group(self._settings.group_id, cause))
            progress.committed |= ahead


def _not_sent(letter: Letter, why: str) -> None:
    click.echo(visible(f"{_where(letter.record)}: not sent back: {why}"), err=True)


def _where(record: Any) -> str:
    return f"{record.topic} {record.partition}, offset {record.offset}"


def _producer(settings: Settings) -> AbstractAsyncContextManager[AIOKafkaProducer]:
    return producing(
        settings,
        transactional_id=f"{settings.group_id}:replay",
        transaction_timeout_ms=settings.transaction_timeout_ms,
        max_request_size=_NO_LIMIT,  # what is too much is the topic's to say
        compression_type="gzip",  # what came compressed may fit no other way
    )


@contextmanager
def _fenced_in_words() -> Iterator[None]:
    try:
        yield
    except (ProducerFenced, InvalidProducerEpoch) as error:
        raise StreamError(
            "another replay of this group has begun, and this one has stopped: nothing was sent twice"
        ) from error
