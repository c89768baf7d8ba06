"""One partition that is ours: from taking it over, through commits, to giving it away."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from model.contract import Emotion
from stream.annotate.inputtopics import Incarnations
from stream.annotate.ledger import Entry, Ledger
from stream.annotate.outcomes import OutcomeEncoder
from stream.annotate.partition import PartitionState, transition
from stream.annotate.progress import Progress
from stream.annotate.publish import OpenPublisher, Publisher
from stream.annotate.tracing import Tracing
from stream.deadline import Deadline
from stream.errors import MessageError
from stream.metrics import Metrics
from stream.records import Output
from stream.transactions import FencedError, PublishError

_log = structlog.get_logger(__name__)

_COMMIT_MESSAGES = 4096
"""Most messages in one commit: bounds the time that encoding keeps the event loop."""


_EPOCH_NOTE = "epoch="


@dataclass(frozen=True, slots=True)
class PartitionContext:
    """What all partitions of one pipeline share."""

    consumer: AIOKafkaConsumer
    open_publisher: OpenPublisher
    encoders: Mapping[str, OutcomeEncoder]
    """By input topic."""
    metrics: Metrics
    tracing: Tracing
    commit_interval_s: float
    incarnations: Incarnations
    """The input topics; each of which those that had its name it is (``stream.ids``)."""
    starts_at_latest: bool
    """Whether a partition of which nothing is committed, and which is not new, starts at its end."""
    progress: Progress


class AssignedPartition:
    """Owns the ledger and the publisher of one partition."""

    def __init__(self, tp: TopicPartition, context: PartitionContext) -> None:
        self.tp = tp
        self.state = PartitionState.INITIALISING
        self._context = context
        self._incarnation = context.incarnations[tp.topic]
        self._publisher: Publisher | None = None
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self.held = 0
        """Records that were fetched and wait for their schema."""
        self.ledger = Ledger(next_offset=0, on_finished=self._wake.set)
        self._hurry = asyncio.Event()
        self._commit_started = float("-inf")
        self._ended = asyncio.Event()
        context.metrics.unread_expired.labels(tp.topic, tp.partition)  # from the start, at zero

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Take the partition over and publish until it is closed, as a task of ``tasks``."""
        self._task = tasks.create_task(self._live(), name=f"{self.tp.topic}-{self.tp.partition}")

    def notify(self) -> None:
        """Messages were entered, some of them finished at once."""
        if self.ledger.finished:
            self._wake.set()

    async def lag(self, now_ms: float) -> tuple[int, float] | None:
        """Messages not yet finished, and the age in seconds of the oldest one in work; None if not known."""
        consumer = self._context.consumer
        if not self.state.admits or self.tp not in consumer.assignment():
            return None
        end = consumer.last_stable_offset(self.tp)
        if end is None:  # nothing was fetched yet
            return None
        # The position, unlike our own next offset, passes transaction markers: they are nobody's message.
        lag = len(self.ledger) + self.held + max(0, end - await consumer.position(self.tp))
        if not self.ledger:
            return lag, 0.0
        return lag, max(0.0, (now_ms - self.ledger.entries[0].timestamp_ms) / 1000)

    def pause(self) -> None:
        """Fetch no more; what is in flight goes on."""
        self.state = transition(self.state, PartitionState.PAUSED)
        self._context.consumer.pause(self.tp)

    def resume(self) -> None:
        self.state = transition(self.state, PartitionState.RUNNING)
        self._context.consumer.resume(self.tp)

    async def drain(self, deadline: Deadline) -> None:
        """Commit what finishes within the budget, drop the rest, close the producer."""
        if self.state.admits:
            self.state = transition(self.state, PartitionState.DRAINING)
            self._hurry.set()
            self._wake.set()
            if self.ledger:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._ended.wait(), deadline.remaining_s)
        await self.close(deadline)

    async def close(self, deadline: Deadline) -> None:
        """Drop what is in flight and give the partition up; an open transaction dies with the producer."""
        if self.state is not PartitionState.CLOSED:
            self.state = transition(self.state, PartitionState.CLOSED)
        if left := len(self.ledger):
            _log.info("messages given up to the next owner", partition=self.tp.partition, messages=left)
        self.ledger.drop()
        try:
            if self._task is not None and self._task is not asyncio.current_task():
                self._task.cancel()
                # Not awaited itself: its cancellation could not be told from our own. What broke it is told
                # by the group of tasks that it belongs to.
                await asyncio.wait({self._task}, timeout=max(1.0, deadline.remaining_s))
                if not self._task.done():  # a client that swallows cancellation holds it
                    _log.error("a partition's task does not end: it is left", partition=self.tp.partition)
        finally:
            if self._publisher is not None:
                publisher, self._publisher = self._publisher, None
                await publisher.close(deadline)

    async def _live(self) -> None:
        try:
            await self._take_over()
            while self.state.publishes:
                await self._wake.wait()
                await self._pace()
                prefix = self.ledger.finished_prefix(_COMMIT_MESSAGES)
                if prefix:
                    await self._commit(prefix)
                if not self.ledger.finished:
                    self._wake.clear()
                if self.state is PartitionState.DRAINING and not self.ledger:
                    return
        finally:
            # Emptied, fenced or cancelled: nothing more is published, so ``drain`` need not wait on.
            self._ended.set()

    async def _take_over(self) -> None:
        """Fence the old owner, and only then read the committed offset.

        The other way round, the old owner could still commit in between, and its messages would be
        labelled twice.
        """
        consumer = self._context.consumer
        self._publisher = await self._context.open_publisher(self.tp)
        offset = await self._committed()
        if offset is None:
            offset = await self._start_offset()
            # Chosen once: a restart before the first message must not choose anew, and skip what came.
            await self._publisher.commit({}, offset, self._note)
        self.ledger.next_offset = offset
        consumer.seek(self.tp, offset)
        self.state = transition(self.state, PartitionState.RUNNING)
        consumer.resume(self.tp)
        _log.info("partition taken over", topic=self.tp.topic, partition=self.tp.partition, offset=offset)

    @property
    def _note(self) -> str:
        """What is kept beside a committed offset: the topic that it is an offset of."""
        epoch = self._incarnation.epoch
        return f"{_EPOCH_NOTE}{epoch}" if epoch else ""

    async def _committed(self) -> int | None:
        """The committed offset; where it is one of an earlier topic of this name, the new one's first."""
        # ``consumer.committed`` gives the offset without what is kept beside it.
        found = await self._context.consumer._coordinator.fetch_committed_offsets([self.tp])
        committed = found.get(self.tp)
        if committed is None or committed.offset < 0:
            return None
        note = committed.metadata or ""
        if self._note and note.startswith(_EPOCH_NOTE) and note != self._note:
            _log.warning(
                "the committed offset is one of an earlier topic of this name",
                topic=self.tp.topic,
                partition=self.tp.partition,
                offset=committed.offset,
            )
            return await self._edge(self._context.consumer.beginning_offsets)
        return int(committed.offset)

    async def _start_offset(self) -> int:
        consumer = self._context.consumer
        skips = self._context.starts_at_latest and not self._incarnation.is_new(self.tp.partition)
        return await self._edge(consumer.end_offsets if skips else consumer.beginning_offsets)

    async def _edge(self, of: Callable[[list[TopicPartition]], Awaitable[dict[TopicPartition, int]]]) -> int:
        return (await of([self.tp]))[self.tp]

    async def out_of_range(self, position: int) -> None:
        """Go on where the log has something, since it has nothing at the position that was to be read.

        Raises:
            PublishError: messages in flight lie beyond that; joining anew starts over.
        """
        consumer = self._context.consumer
        first = await self._edge(consumer.beginning_offsets)
        end = await self._edge(consumer.end_offsets)
        if not self.state.admits or await consumer.position(self.tp) != position or first <= position <= end:
            return  # given away, or told a second time, or there again
        if position < first:
            self._note_expired(position, first)
            offset = first
        else:
            # The same topic was cut back (an unclean election): what is left was labelled. Where brokers
            # give topics no id, it is another topic of this name.
            offset = end if self._incarnation.epoch else first
            _log.error(
                "the partition ends before the offset to go on from",
                topic=self.tp.topic,
                partition=self.tp.partition,
                offset=position,
                end=end,
                going_on_from=offset,
            )
            if self.ledger:
                raise PublishError(f"{self.tp.topic} {self.tp.partition} ends before messages in flight")
        self.ledger.next_offset = offset
        consumer.seek(self.tp, offset)

    def _note_expired(self, position: int, first: int) -> None:
        _log.error(
            "retention removed messages before they were read: they stay without a label",
            topic=self.tp.topic,
            partition=self.tp.partition,
            first_offset=position,
            last_offset=first - 1,
            offsets=first - position,
        )
        self._context.metrics.unread_expired.labels(self.tp.topic, self.tp.partition).inc(first - position)

    async def _pace(self) -> None:
        """Give a commit time to gather messages, unless the partition is to be given away.

        The interval lies between the starts of commits, so a message that comes alone is published at once,
        and one that comes during a commit waits for no more than the rest of the interval after it.
        """
        left_s = self._commit_started + self._context.commit_interval_s - time.monotonic()
        if left_s > 0 and not self._hurry.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), left_s)

    def _fitting(self, prefix: list[Entry]) -> tuple[list[Entry], Output]:
        """As much of a finished prefix as its count deltas have room for, encoded.

        Messages of a backfill may lie in a window each, and a delta holds all windows of a commit.
        """
        encoder, now = self._context.encoders[self.tp.topic], datetime.now(UTC)
        while True:
            output = encoder.encode(self.tp.partition, prefix, now)
            if len(prefix) == 1 or encoder.fits(output):
                return prefix, output
            prefix = prefix[: len(prefix) // 2]

    async def _commit(self, prefix: list[Entry]) -> None:
        assert self._publisher is not None
        started = self._commit_started = time.monotonic()
        prefix, output = self._fitting(prefix)
        metrics = self._context.metrics
        try:
            with self._context.tracing.publish(self.tp.topic, self.tp.partition, prefix):
                await self._publisher.commit(output, prefix[-1].offset + 1, self._note)
        except FencedError:
            metrics.transactions.labels("fenced").inc()
            _log.warning(
                "fenced: another annotator owns this partition now; nothing of the commit is visible",
                topic=self.tp.topic,
                partition=self.tp.partition,
                first_offset=prefix[0].offset,
                last_offset=prefix[-1].offset,
            )
            raise
        except PublishError:
            metrics.transactions.labels("aborted").inc()
            raise
        self.ledger.release(len(prefix))
        metrics.transactions.labels("committed").inc()
        metrics.publish.observe(time.monotonic() - started)
        metrics.end_to_end.observe(max(0.0, time.time() - prefix[0].timestamp_ms / 1000))
        _count(prefix, metrics)
        self._context.progress.committed(time.monotonic(), self.tp, len(prefix))


def _count(prefix: list[Entry], metrics: Metrics) -> None:
    """Counters of a commit; summed first, since a counter costs more than the sum."""
    by_outcome: dict[str, int] = {}
    by_label: dict[str, int] = {}
    by_cause: dict[str, int] = {}
    by_clock: dict[str, int] = {}
    for entry in prefix:
        outcome = entry.outcome
        if isinstance(outcome, Emotion):
            name = "labelled"
            by_label[outcome.label] = by_label.get(outcome.label, 0) + 1
        elif isinstance(outcome, MessageError):
            name = "dead_letter"
            by_cause[outcome.cause.value] = by_cause.get(outcome.cause.value, 0) + 1
        else:
            assert outcome is not None
            name = outcome.value
        by_outcome[name] = by_outcome.get(name, 0) + 1
        if entry.wrong_clock is not None:
            by_clock[entry.wrong_clock] = by_clock.get(entry.wrong_clock, 0) + 1
    for counter, counts in (
        (metrics.messages, by_outcome),
        (metrics.labels, by_label),
        (metrics.dead_letters, by_cause),
        (metrics.replaced_times, by_clock),
    ):
        for label, count in counts.items():
            counter.labels(label).inc(count)
