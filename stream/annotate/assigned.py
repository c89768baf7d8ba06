"""One partition that is ours: what of it is in work, where it goes on, and where its log begins and ends."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from stream.annotate.inputtopics import Incarnations
from stream.annotate.ledger import Ledger
from stream.annotate.notes import Note
from stream.annotate.outcomes import OutcomeEncoder
from stream.annotate.partition import PartitionState, transition
from stream.annotate.polling import has_fetched
from stream.annotate.progress import Progress
from stream.annotate.publish import OpenPublisher
from stream.annotate.tracing import Tracing
from stream.metrics import Metrics
from stream.transactions import PublishError

_log = structlog.get_logger(__name__)


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
    suspects: set[TopicPartition]
    """Partitions of the last commit that failed, over one membership and the next."""


class AssignedPartition:
    """Owns the ledger of one partition. ``on_finished`` is called when something of it can be committed, be
    it an offset alone.
    """

    def __init__(
        self, tp: TopicPartition, context: PartitionContext, on_finished: Callable[[], None]
    ) -> None:
        self.tp = tp
        self.state = PartitionState.INITIALISING
        self._context = context
        self._incarnation = context.incarnations[tp.topic]
        self.held = 0
        """Records that were fetched and are in no ledger yet (``stream.annotate.intake``)."""
        self.waits_for_schema = False
        self.committed = 0
        """The offset that was last committed."""
        self._on_passed = on_finished
        self.ledger = Ledger(next_offset=0, on_finished=on_finished)
        context.metrics.unread_expired.labels(tp.topic, tp.partition)  # from the start, at zero

    def notify(self) -> None:
        """Messages were entered, some of them finished at once."""
        if self.ledger.finished:
            self.ledger.on_finished()

    @property
    def passed(self) -> int | None:
        """Where to go on, if nothing is in flight and it is behind what was committed; else None."""
        ahead = self.state.publishes and not self.ledger and self.ledger.next_offset > self.committed
        return self.ledger.next_offset if ahead else None

    async def note_position(self) -> None:
        """Pass what is nobody's message: markers of transactions, what was aborted or compacted.

        Only between polls: then all that was polled is in the ledger, or held, and the position tells how far
        the log was read. In a poll it moves on before its messages are anywhere.
        """
        consumer = self._context.consumer
        if not self.state.admits or self.tp not in consumer.assignment():
            return
        position = await consumer.position(self.tp)
        if self.state.admits and not self.held and not has_fetched(consumer, self.tp):
            self.ledger.pass_to(position)
            if self.passed is not None:
                self._on_passed()

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

    def begin(self, offset: int) -> None:
        """Fetch and admit from here on: whoever had the partition before is fenced."""
        self.ledger.next_offset = self.committed = offset
        self._context.consumer.seek(self.tp, offset)
        self.resume()
        _log.info("partition taken over", topic=self.tp.topic, partition=self.tp.partition, offset=offset)

    def pause(self) -> None:
        """Fetch no more; what is in flight goes on."""
        self.state = transition(self.state, PartitionState.PAUSED)
        self._context.consumer.pause(self.tp)

    def resume(self) -> None:
        self.state = transition(self.state, PartitionState.RUNNING)
        self._context.consumer.resume(self.tp)

    def drain(self) -> None:
        """Admit no more; what is finished is still committed."""
        if self.state.admits:
            self.state = transition(self.state, PartitionState.DRAINING)

    def close(self) -> None:
        """Drop what is in flight: the next owner reads it again."""
        if self.state is not PartitionState.CLOSED:
            self.state = transition(self.state, PartitionState.CLOSED)
        if left := len(self.ledger):
            _log.info("messages given up to the next owner", partition=self.tp.partition, messages=left)
        self.ledger.drop()

    def marked(self, offset: int, owner: str | None) -> OffsetAndMetadata:
        """An offset to commit, with the topic that it is an offset of and whose it is."""
        return OffsetAndMetadata(offset, str(Note(self._incarnation.epoch, owner)))

    async def first_offset(self, committed: OffsetAndMetadata | None) -> int:
        """Where to go on: the committed offset, or where nothing is committed what the settings say.

        Of an offset that is one of an earlier topic of this name, the new one's beginning.
        """
        if committed is None:
            skips = self._context.starts_at_latest and not self._incarnation.is_new(self.tp.partition)
            consumer = self._context.consumer
            return await self._edge(consumer.end_offsets if skips else consumer.beginning_offsets)
        epoch = Note.parse(committed.metadata).epoch
        if epoch and self._incarnation.epoch and epoch != self._incarnation.epoch:
            _log.warning(
                "the committed offset is one of an earlier topic of this name",
                topic=self.tp.topic,
                partition=self.tp.partition,
                offset=committed.offset,
            )
            return await self._edge(self._context.consumer.beginning_offsets)
        return int(committed.offset)

    async def _edge(self, of: Callable[[list[TopicPartition]], Awaitable[dict[TopicPartition, int]]]) -> int:
        return (await of([self.tp]))[self.tp]

    async def out_of_range(self, position: int) -> None:
        """Go on where the log has something, since it has nothing at the position that was to be read.

        Raises:
            PublishError: messages in flight or held lie beyond that; joining anew starts over.
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
            if self.ledger or self.held:
                raise PublishError(f"{self.tp.topic} {self.tp.partition} ends before messages in flight")
        if not self.held:  # else those that are left would count as taken
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
