"""One membership in the consumer group: moves messages from poll to commit until stopped or broken.

    poll ─► intake ─► [tokenize thread] ─► batcher ─► [model thread] ─► ledger of the partition ─► commit

The event loop only moves messages; what computes for long runs in the two threads, so heartbeats go on.
What is in flight is bounded: a partition at its share of the bound is paused and goes on being polled.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError

from model.contract import Encoded, Model
from stream.annotate import inference
from stream.annotate.admission import Admission
from stream.annotate.assigned import AssignedPartition, PartitionContext
from stream.annotate.batcher import FULL, Batch, Batcher
from stream.annotate.fetching import Gathering
from stream.annotate.generations import Generation, Generations
from stream.annotate.intake import Intake
from stream.annotate.ledger import Entry, Unread, settle
from stream.annotate.ownership import Ownership
from stream.annotate.partition import PartitionState
from stream.annotate.polling import poll
from stream.annotate.schemagate import SchemaGate
from stream.annotate.shadow import Shadow
from stream.annotate.worker import Worker
from stream.deadline import Deadline
from stream.inputs import Inputs
from stream.language import LanguageGate
from stream.membership import Membership
from stream.metrics import Metrics
from stream.settings import Settings

if TYPE_CHECKING:
    from stream.registry.client import SchemaRegistry

_log = structlog.get_logger(__name__)

_POLL_MESSAGES = 1000
_POLL_TIMEOUT_MS = 50
_BATCHES_AHEAD = 2
"""Batches handed to the model's thread: one in work, and a full one that follows without a gap."""


class Pipeline(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types for it
    """Everything between one consumer and the publisher of its partitions."""

    def __init__(
        self,
        settings: Settings,
        model: Model,
        admission: Admission,
        context: PartitionContext,
        metrics: Metrics,
        threads: tuple[Worker, Worker],
        registry: "SchemaRegistry | None" = None,
        shadow: Shadow | None = None,
    ) -> None:
        self._settings = settings
        self._shadow = shadow
        self._generations = Generations(self._generation(model))
        self._topics = str(Inputs.of(settings))
        self._context = context
        self._consumer: AIOKafkaConsumer = context.consumer
        self._metrics = metrics
        self._tokenizer_thread, self._model_thread = threads
        self._to_tokenize: asyncio.Queue[list[Entry]] = asyncio.Queue(maxsize=8)
        self._intake = Intake(
            admission,
            self._consumer,
            context.tracing,
            SchemaGate(registry) if registry else None,
            self._to_tokenize.put,
            self._is_full,
        )
        self._arrived = asyncio.Event()
        self._batches_handed_over = 0
        self._tasks: asyncio.TaskGroup | None = None
        self._takes_partitions = False
        self._ownership: Ownership | None = None
        self._joined = False

    async def run(self, stop: asyncio.Event) -> None:
        """Label messages until ``stop``; then finish what is in flight within ``revoke_timeout_s``.

        Raises:
            BaseExceptionGroup: of what broke: ``FencedError``, ``PublishError``, ``ModelBrokenError``.
        """
        self._consumer.subscribe(list(self._context.incarnations), listener=self)
        try:
            async with asyncio.TaskGroup() as self._tasks:
                loops = [
                    self._tasks.create_task(self._tokenize_loop(), name="tokenize"),
                    self._tasks.create_task(self._infer_loop(), name="infer"),
                ]
                self._takes_partitions = True
                try:
                    await self._poll_loop(stop)
                finally:
                    # A rebalance that ends only now brings partitions that nobody would give up again.
                    self._takes_partitions = False
                await self._give_up(Deadline(self._settings.revoke_timeout_s))
                self._intake.close()
                for loop in loops:
                    loop.cancel()
        finally:
            self._tasks = None
            ownership, self._ownership = self._ownership, None
            self._show_partitions()
            if ownership is not None:
                await ownership.close(Deadline(1.0))

    def use(self, model: Model) -> None:
        """Read with this model from now on; what the one before it has read, it labels."""
        self._generations.add(self._generation(model))
        for encoder in self._context.encoders.values():
            encoder.model = model.info
        self._arrived.set()

    def _generation(self, model: Model) -> Generation:
        settings = self._settings
        return Generation(
            model,
            LanguageGate(model.info.languages, read_all=settings.label_unmeasured_languages),
            Batcher(settings.max_batch_tokens, settings.max_wait_ms / 1000),
        )

    @property
    def partitions(self) -> Mapping[TopicPartition, AssignedPartition]:
        """The partitions that are ours now."""
        return {} if self._ownership is None else self._ownership.partitions

    @property
    def ready(self) -> bool:
        """Whether the group has given us our share, which may be nothing, and we have taken it over."""
        states = [partition.state for partition in self.partitions.values()]
        return self._joined and PartitionState.INITIALISING not in states

    @property
    def in_flight(self) -> int:
        """Messages admitted and not yet committed."""
        return sum(len(partition.ledger) for partition in self.partitions.values())

    # Rebalance: called by the consumer's coordinator; heartbeats go on meanwhile.

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:  # noqa: ARG002
        """Every rebalance of aiokafka takes all partitions away, so all are finished here."""
        self._joined = False
        await self._give_up(Deadline(self._settings.revoke_timeout_s))

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Take the partitions over in a task of its own; until then they are paused."""
        self._consumer.pause(*assigned)
        self._joined = True
        self._context.progress.assigned(time.monotonic(), frozenset(assigned))
        if self._tasks is None or not self._takes_partitions:
            return
        if assigned:
            self._ownership = Ownership(Membership.of(self._consumer), assigned, self._context)
            self._ownership.start(self._tasks)
        self._show_partitions()

    async def _give_up(self, deadline: Deadline) -> None:
        """Finish and close all partitions within one budget."""
        self._intake.give_up()
        if self._ownership is not None:
            await self._ownership.give_up(deadline)
            self._ownership = None
        self._show_partitions()

    def _show_partitions(self) -> None:
        """The metrics of the partitions that are ours now, which may be none."""
        partitions = self.partitions.values()
        self._metrics.assigned.set(len(partitions))
        self._metrics.paused.set(sum(one.state is PartitionState.PAUSED for one in partitions))
        self._metrics.waiting.set(sum(one.waits_for_schema for one in partitions))

    # Poll and take in.

    async def _poll_loop(self, stop: asyncio.Event) -> None:
        gathering = Gathering(self._consumer, self._settings.max_wait_ms / 2000)
        while not stop.is_set():
            polled = await self._poll()
            gathering.polled(bool(polled))
            if self._joined:
                self._context.progress.polled(time.monotonic())
            # Taking in can wait, and a rebalance can put a new owner's object in a partition's place
            # meanwhile; what was polled is the old one's and must not count as fetched by the new one.
            owned = [
                (self.partitions[tp], records) for tp, records in polled.items() if tp in self.partitions
            ]
            assert self._tasks is not None
            await self._intake.take(owned, self._tasks)
            await self._regulate()

    async def _poll(self) -> dict[TopicPartition, list[Any]]:
        """What was fetched meanwhile."""
        try:
            return await poll(self._consumer, timeout_ms=_POLL_TIMEOUT_MS, max_records=_POLL_MESSAGES)
        except NoOffsetForPartitionError:
            pass  # of a partition that is being taken over, which then seeks
        except OffsetOutOfRangeError as error:
            for tp, position in error.args[0].items():
                if partition := self.partitions.get(tp):
                    await partition.out_of_range(position)
        return {}

    def _is_full(self, partition: AssignedPartition) -> bool:
        """Whether a partition has its share of the bound in flight."""
        return self._in_flight_share(partition) >= 1

    def _in_flight_share(self, partition: AssignedPartition) -> float:
        """What is in flight of a partition, in shares of what may be."""
        sharing = max(1, len(self.partitions))
        share = max(1, self._settings.max_in_flight_messages // sharing)
        share_bytes = max(1, self._settings.max_in_flight_bytes // sharing)
        return max(len(partition.ledger) / share, partition.ledger.size_bytes / share_bytes)

    async def _regulate(self) -> None:
        """Pause partitions at their share of the bound, resume those at half of it; note how far we read."""
        for partition in list(self.partitions.values()):
            if self._intake.holds(partition):
                continue
            await partition.note_position()
            share = self._in_flight_share(partition)
            if partition.state is PartitionState.RUNNING and share >= 1:
                partition.pause()
            elif partition.state is PartitionState.PAUSED and share <= 1 / 2:
                partition.resume()
        self._show_partitions()

    # Tokenize and infer.

    async def _tokenize_loop(self) -> None:
        while True:
            entries = await self._to_tokenize.get()
            generation = self._generations.newest
            generation.reading = True
            try:
                await self._read(generation, entries)
            finally:
                generation.reading = False
            self._arrived.set()

    async def _read(self, generation: Generation, entries: list[Entry]) -> None:
        texts = [entry.text for entry in entries]
        readings = await self._tokenizer_thread.run(
            lambda: inference.read(generation.model, generation.languages, texts)
        )
        for entry, (language, result) in zip(entries, readings, strict=True):
            entry.model, entry.language = generation.info, language
            if isinstance(result, Encoded):
                entry.encoded = result
                generation.batcher.add(
                    entry, longest=result.longest, rows=len(result.windows), arrived_at=entry.admitted_at
                )
            else:
                settle([entry], [result])
        self._offer(generation, [entry for entry in entries if isinstance(entry.outcome, Unread)])

    async def _infer_loop(self) -> None:
        assert self._tasks is not None
        while True:
            await self._until_due()
            generation = self._generations.oldest
            batch = generation.batcher.take()
            self._batches_handed_over += 1
            self._tasks.create_task(self._infer(generation, batch), name="batch")

    async def _until_due(self) -> None:
        """Wait until a batch is full or its oldest message has waited long enough, and the model takes it.

        A batch that is not full is made up only when the model is free: until then, what comes can join it.
        """
        while True:
            due_at, now = self._generations.due_at(), time.monotonic()
            most = _BATCHES_AHEAD if due_at == FULL else 1
            is_free = self._batches_handed_over < most
            if due_at is not None and due_at <= now and is_free:
                return
            self._arrived.clear()
            timeout_s = due_at - now if due_at is not None and is_free else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._arrived.wait()

    async def _infer(self, generation: Generation, batch: Batch[Entry]) -> None:
        try:
            entries = [entry for entry in batch.items if entry.ledger is not None]
            encoded = [entry.encoded for entry in entries if entry.encoded is not None]
            if not entries:
                return
            started = time.monotonic()
            with self._context.tracing.batch(self._topics, entries):
                emotions = await self._model_thread.run(lambda: inference.infer(generation.model, encoded))
            self._observe(generation, batch, encoded, started)
            settle(entries, emotions)
            self._offer(generation, entries)
        finally:
            self._batches_handed_over -= 1
            self._arrived.set()

    def _offer(self, generation: Generation, entries: Sequence[Entry]) -> None:
        """Let the shadow model read what the model in force has read."""
        if self._shadow is not None and generation is self._generations.newest:
            self._shadow.offer(entries)

    def _observe(
        self, generation: Generation, batch: Batch[Entry], encoded: Sequence[Encoded], started: float
    ) -> None:
        tokens = sum(text.tokens for text in encoded)
        metrics = self._metrics
        metrics.tokens.inc(tokens)
        metrics.windows.inc(sum(len(text.windows) for text in encoded))
        remembered = generation.model.remembered
        metrics.remembered.inc(remembered - generation.remembered)
        generation.remembered = remembered
        metrics.batch_messages.observe(len(encoded))
        metrics.batch_fill.observe(batch.padded_tokens / self._settings.max_batch_tokens)
        metrics.pad_waste.observe(1 - tokens / max(batch.padded_tokens, tokens, 1))
        metrics.queue_wait.observe(started - batch.oldest_arrived_at)
        metrics.inference.observe(time.monotonic() - started)
