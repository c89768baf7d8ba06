"""The partitions that one generation of the group gave us: taken over, committed, and given away together.

    assigned ─► fence whoever had them ─► read where they stand ─► claim ─► commit … commit ─► given away

All of them share one transaction. Kafka's work for a transaction hardly depends on how much is in it, and
neither does ours, so eight partitions in one cost a good deal less than in eight. What cannot be published
of one partition must not stop the others, though: each partition of a commit that failed is a suspect, and
proves itself in a transaction of its own, beside that of the others.
"""

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import structlog
from aiokafka import TopicPartition

from model.contract import Emotion
from stream.annotate.assigned import AssignedPartition, PartitionContext
from stream.annotate.ledger import Entry, Silent, Unread
from stream.annotate.publish import Finished, Publisher
from stream.deadline import Deadline
from stream.errors import MessageError
from stream.membership import Membership
from stream.metrics import Metrics
from stream.records import Output
from stream.transactions import FencedError, PublishError

_log = structlog.get_logger(__name__)

_COMMIT_MESSAGES: Final = 4096
"""Most messages in one commit: bounds the time that encoding keeps the event loop."""
_COMMITS_APART: Final = 4
"""Commits that are quick take a quarter of the time."""
_FEW_MESSAGES: Final = 256
_LARGE_COMMITS_APART: Final = 8
"""Those of more than a few messages take an eighth: processor time is dearer there than a wait."""
_CLAIMS_APART_S: Final = 1.0
"""Between commits of offsets without messages."""
_UNSETTLED_S: Final = 0.1
"""Pause before an offset is asked for again that somebody's open transaction may still change."""

_Prefix = tuple[AssignedPartition, list[Entry]]
"""The finished messages that a commit takes of a partition."""


class Ownership:
    """Owns the publisher of the partitions that came with one membership."""

    def __init__(
        self, membership: Membership, assigned: Iterable[TopicPartition], context: PartitionContext
    ) -> None:
        self._wake = asyncio.Event()
        self.partitions = {tp: AssignedPartition(tp, context, self._wake.set) for tp in sorted(assigned)}
        self._membership = membership
        self._context = context
        self._order = deque(self.partitions.values())
        self._hurry = asyncio.Event()
        self._emptied = asyncio.Event()
        self._next_commit_at = self._next_claim_at = float("-inf")
        self._publisher: Publisher | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Take the partitions over and publish until they are given away, as a task of ``tasks``."""
        self._task = tasks.create_task(self._live(), name="publish")

    async def give_up(self, deadline: Deadline) -> None:
        """Commit what finishes within the budget, drop the rest, close the producer."""
        for partition in self.partitions.values():
            partition.drain()
        self._hurry.set()
        self._wake.set()
        if any(partition.ledger or partition.passed for partition in self.partitions.values()):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), deadline.remaining_s)
        await self.close(deadline)

    async def close(self, deadline: Deadline) -> None:
        """Drop what is in flight; a transaction that is open dies with the producer."""
        for partition in self.partitions.values():
            partition.close()
        try:
            if self._task is not None:
                self._task.cancel()
                # Not awaited itself: its cancellation could not be told from our own. What broke it is told
                # by the group of tasks that it belongs to.
                await asyncio.wait({self._task}, timeout=max(1.0, deadline.remaining_s))
                if not self._task.done():  # a client that swallows cancellation holds it
                    _log.error("a task that publishes does not end: it is left")
        finally:
            if self._publisher is not None:
                publisher, self._publisher = self._publisher, None
                await publisher.close(deadline)

    async def _live(self) -> None:
        try:
            self._publisher = publisher = await self._context.open_publisher(self._membership, 0)
            suspects = [self.partitions[tp] for tp in self.partitions if tp in self._context.suspects]
            async with asyncio.TaskGroup() as tasks:
                beside = [tasks.create_task(self._take_over(publisher), name="take-over")]
                for number, partition in enumerate(suspects, start=1):
                    beside.append(tasks.create_task(self._prove(partition, number, publisher), name="prove"))
                await self._commit_until_empty(publisher)
                for task in beside:
                    task.cancel()
        finally:
            # Emptied, fenced or cancelled: nothing more is published, so ``give_up`` need not wait on.
            self._emptied.set()

    async def _take_over(self, publisher: Publisher) -> None:
        """Take over what nobody else may still change, and the rest as soon as that is so."""
        left: Collection[TopicPartition] = list(self.partitions)
        while left:
            settled = await publisher.take_over(left)
            offsets = {tp: await self.partitions[tp].first_offset(at) for tp, at in settled.items()}
            # Where a partition starts is chosen once: a restart before its first message must not choose
            # anew, and skip what came.
            await publisher.claim(
                {tp: self.partitions[tp].marked(offset, publisher.owner) for tp, offset in offsets.items()}
            )
            if self._hurry.is_set():
                return  # given away meanwhile
            for tp, offset in offsets.items():
                self.partitions[tp].begin(offset)
            left = [tp for tp in left if tp not in settled]
            if left:
                await asyncio.sleep(_UNSETTLED_S)

    async def _commit_until_empty(self, publisher: Publisher) -> None:
        """Commit whatever is finished, until the partitions are given away and nothing of them is left."""
        while True:
            await self._wake.wait()
            await self._pace()
            self._wake.clear()
            if prefixes := self._finished_prefixes():
                started = time.monotonic()
                seconds = await self._commit(publisher, prefixes)
                messages = sum(len(prefix) for _, prefix in prefixes)
                interval_s = self._context.commit_interval_s
                self._next_commit_at = started + between_commits_s(interval_s, seconds, messages)
            elif time.monotonic() >= self._next_claim_at:
                await self._claim_passed(publisher)
            if any(partition.ledger.finished for partition in self._unsuspected):
                self._wake.set()
            if self._hurry.is_set() and not any(partition.ledger for partition in self._order):
                await self._claim_passed(publisher)
                return

    async def _claim_passed(self, publisher: Publisher) -> None:
        """Commit how far partitions were read of which nothing is in flight: what lies there is nobody's."""
        found = ((partition, partition.passed) for partition in self._unsuspected)
        passed = {partition: offset for partition, offset in found if offset is not None}
        if not passed:
            return
        self._next_claim_at = time.monotonic() + _CLAIMS_APART_S
        with contextlib.suppress(FencedError, PublishError):  # nothing is lost: the next commit says it, too
            await publisher.claim(
                {one.tp: one.marked(offset, publisher.owner) for one, offset in passed.items()}
            )
            for partition, offset in passed.items():
                partition.committed = offset
                self._context.progress.committed(time.monotonic(), partition.tp, 0)

    async def _prove(self, partition: AssignedPartition, number: int, publisher: Publisher) -> None:
        """Commit once of a suspect alone; from then on ``publisher`` has it, with the others."""
        finished = asyncio.Event()
        partition.ledger.on_finished = finished.set
        partition.notify()
        await finished.wait()
        alone = await self._context.open_publisher(self._membership, number)
        try:
            prefix = partition.ledger.finished_prefix(_COMMIT_MESSAGES)
            if not prefix:
                return  # given away meanwhile
            await _claim(partition, alone)
            await self._commit(alone, [(partition, prefix)])
            await _claim(partition, publisher)
        finally:
            await alone.close(Deadline(1.0))
        self._context.suspects.discard(partition.tp)
        partition.ledger.on_finished = self._wake.set
        self._wake.set()

    @property
    def _unsuspected(self) -> Iterator[AssignedPartition]:
        return (partition for partition in self._order if partition.tp not in self._context.suspects)

    async def _pace(self) -> None:
        """Give a commit time to gather messages, unless the partitions are to be given away.

        A message that comes alone is published at once.
        """
        left_s = self._next_commit_at - time.monotonic()
        if left_s > 0 and not self._hurry.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), left_s)

    def _finished_prefixes(self) -> list[_Prefix]:
        """What is finished, each time from another partition on, so that none fills every commit alone."""
        prefixes, room = [], _COMMIT_MESSAGES
        for partition in self._unsuspected:
            if room and partition.state.publishes and (prefix := partition.ledger.finished_prefix(room)):
                prefixes.append((partition, prefix))
                room -= len(prefix)
        self._order.rotate(-1)
        return prefixes

    async def _commit(self, publisher: Publisher, prefixes: list[_Prefix]) -> float:
        """Publish these in one transaction; how many seconds that took."""
        started = time.monotonic()
        metrics = self._context.metrics
        fitting = [(partition, *self._fitting(partition, prefix)) for partition, prefix in prefixes]
        prefixes = [(partition, prefix) for partition, prefix, _ in fitting]
        finished = [
            Finished(
                partition.tp,
                output,
                partition.marked(partition.ledger.offset_behind(prefix), publisher.owner),
            )
            for partition, prefix, output in fitting
        ]
        try:
            with contextlib.ExitStack() as spans:
                for partition, prefix in prefixes:
                    spans.enter_context(
                        self._context.tracing.publish(partition.tp.topic, partition.tp.partition, prefix)
                    )
                await publisher.commit(finished)
        except FencedError:
            metrics.transactions.labels("fenced").inc()
            _log.warning(
                "fenced: others own these partitions now; nothing of the commit is visible",
                offsets=[
                    f"{partition.tp.topic} {partition.tp.partition}: {prefix[0].offset}-{prefix[-1].offset}"
                    for partition, prefix in prefixes
                ],
            )
            raise
        except PublishError:
            metrics.transactions.labels("aborted").inc()
            self._context.suspects.update(part.partition for part in finished)
            raise
        seconds = time.monotonic() - started
        metrics.transactions.labels("committed").inc()
        metrics.publish.observe(seconds)
        for (partition, _), part in zip(prefixes, finished, strict=True):
            partition.committed = part.next_offset.offset
        self._release(prefixes)
        return seconds

    def _fitting(self, partition: AssignedPartition, prefix: list[Entry]) -> tuple[list[Entry], Output]:
        """As much of a finished prefix as its count deltas have room for, encoded.

        Messages of a backfill may lie in a window each, and a delta holds all windows of a commit.
        """
        encoder, now = self._context.encoders[partition.tp.topic], datetime.now(UTC)
        while True:
            output = encoder.encode(partition.tp.partition, prefix, now)
            if len(prefix) == 1 or encoder.fits(output):
                return prefix, output
            prefix = prefix[: len(prefix) // 2]

    def _release(self, prefixes: Sequence[_Prefix]) -> None:
        """Forget what is committed, and count it."""
        metrics = self._context.metrics
        for partition, prefix in prefixes:
            if partition.state.publishes:  # else it was given away meanwhile, and holds nothing
                partition.ledger.release(len(prefix))
            metrics.end_to_end.observe(max(0.0, time.time() - prefix[0].timestamp_ms / 1000))
            self._context.progress.committed(time.monotonic(), partition.tp, len(prefix))
        _count([entry for _, prefix in prefixes for entry in prefix], metrics)


async def _claim(partition: AssignedPartition, publisher: Publisher) -> None:
    """From here on ``publisher`` has the partition, unless it was given away meanwhile.

    Then what was in flight is dropped, and the ledger no longer tells the offset to go on from.
    """
    if partition.state.publishes:
        offset = partition.ledger.first_offset
        await publisher.claim({partition.tp: partition.marked(offset, publisher.owner)})


def between_commits_s(interval_s: float, commit_s: float, messages: int) -> float:
    """Seconds from the start of a commit of so many messages, which took ``commit_s``, to that of the next.

    What was finished just after a commit began is to be committed within the interval, so the next begins
    earlier by what a commit takes; but half of the interval goes by, so that slow commits still gather
    messages. Quick ones come sooner: what they take of the time is bounded.
    """
    apart = _COMMITS_APART if messages <= _FEW_MESSAGES else _LARGE_COMMITS_APART
    return min(max(interval_s / 2, interval_s - commit_s), apart * commit_s)


def _count(entries: Sequence[Entry], metrics: Metrics) -> None:
    """Counters of a commit; summed first, since a counter costs more than the sum."""
    outcomes = [entry.outcome for entry in entries]
    labels = [outcome.label for outcome in outcomes if isinstance(outcome, Emotion)]
    causes = [outcome.cause.value for outcome in outcomes if isinstance(outcome, MessageError)]
    by_outcome = Counter(outcome.value for outcome in outcomes if isinstance(outcome, (Unread, Silent)))
    by_outcome.update({"labelled": len(labels), "dead_letter": len(causes)})
    by_clock = Counter(entry.wrong_clock for entry in entries if entry.wrong_clock is not None)
    for counter, counts in (
        (metrics.messages, by_outcome),
        (metrics.labels, Counter(labels)),
        (metrics.dead_letters, Counter(causes)),
        (metrics.replaced_times, by_clock),
    ):
        for label, count in counts.items():
            counter.labels(label).inc(count)
