"""Reads the four topics into the folds, for ever: committed records only, from where they matter on.

A broker that goes away is said on the page and come back to; what has been read is not read twice. Where
labels come faster than they can be shown, the oldest are passed over and counted, for the counters hold them.
"""

import asyncio
import contextlib
import time
from collections import Counter
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from stream.admin import check_topics, connected
from stream.dashboard.clock import Clock
from stream.dashboard.flow import Flow, labelled
from stream.dashboard.history import History
from stream.dashboard.parts import Reach
from stream.dashboard.queue import Queue
from stream.errors import BrokerError, TopicError
from stream.inputs import Inputs
from stream.kafka import (
    METADATA_MAX_AGE_MS,
    added_partitions,
    check_fetching,
    connection,
    stop_consumer,
)
from stream.monitor.events import Alert, Review, WindowCounter
from stream.monitor.rules import DAY_S
from stream.monitor.tail import tombstone_of
from stream.settings import Settings
from stream.topicwatch import BrokerSilentError, TopicWatch

LABELS_BACK_S: Final = 3600
LABELS_BACK: Final = 100_000
"""Labelled messages that are read back at most, over all partitions."""
COUNTERS_BACK_S: Final = 60 * 3600
SKIP_BEHIND: Final = 50_000
PROBE_S: Final = 2.0
TIMEOUT_S: Final = 5.0
RETRY_S: Final = 1.0
PAUSE_S: Final = 0.3
_POLL_MS: Final = 250
_CHUNK: Final = 2_000
_TROUBLE: Final = (KafkaError, OSError, TimeoutError, BrokerError, TopicError)

_log = structlog.get_logger(__name__)


class Feed:
    """Keeps ``flow``, ``history``, ``queue`` and ``reach`` current while ``run`` runs."""

    def __init__(self, settings: Settings) -> None:
        self.flow = Flow()
        self.history = History()
        self.queue = Queue()
        self.reach = Reach()
        self.clock = Clock()
        self._settings = settings
        self._topics = settings.topics
        self._inputs = Inputs.of(settings)
        self._positions: dict[TopicPartition, int] = {}
        self._refused: Counter[str] = Counter()

    async def run(self) -> None:
        """Read for ever; ends only by being cancelled."""
        while True:
            # A task of its own: aiokafka's clients let the cancelling of their inner tasks out when they stop
            # without a broker, and that must not look as if we were to end.
            reading = asyncio.create_task(self._read())
            try:
                await asyncio.wait({reading})
            finally:
                reading.cancel()
                await asyncio.wait({reading}, timeout=2 * TIMEOUT_S)
            try:
                await reading
            except asyncio.CancelledError:
                self._lost(TimeoutError())
            except _TROUBLE as error:
                self._lost(error)
            await asyncio.sleep(RETRY_S)

    def prune(self, now: float) -> None:
        """Drop what the topics no longer hold (``retention_days``), which nobody is to see here either.

        ``now`` is the host's time, in seconds since the epoch.
        """
        kept_s = self._settings.retention_days * DAY_S
        self.flow.prune(self.clock.now() - kept_s)
        self.history.prune(now - kept_s)
        self.queue.prune(now - kept_s)

    def _lost(self, error: Exception) -> None:
        """Say that the cluster cannot be read, from now on."""
        problem = str(error) or "it does not answer"
        if self.reach.problem is None:
            _log.warning("the cluster cannot be read; trying again", reason=problem)
            self.reach.problem_since = self.clock.now()
        if self.reach.problem is None or str(error):
            self.reach.problem = problem
            self.reach.missing = isinstance(error, TopicError)
        self.reach.waiting = None

    async def _read(self) -> None:
        """Read until a topic has got partitions."""
        names = self._topics
        wanted = [names.emotions, names.counters, names.alerts, names.reviews]
        counts = await check_topics(self._settings, wanted)
        assigned = [TopicPartition(topic, number) for topic in wanted for number in range(counts[topic])]
        consumer = AIOKafkaConsumer(
            **connection(self._settings),
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            request_timeout_ms=int(TIMEOUT_S * 1000),
            fetch_min_bytes=65_536,
            fetch_max_wait_ms=500,
            metadata_max_age_ms=METADATA_MAX_AGE_MS,
        )
        async with contextlib.AsyncExitStack() as stack:
            admin = await stack.enter_async_context(connected(self._settings))
            inputs = TopicWatch(connection(self._settings), self._inputs.names or None, TIMEOUT_S)
            stack.push_async_callback(inputs.close)
            stack.push_async_callback(stop_consumer, consumer, TIMEOUT_S)
            await consumer.start()
            consumer.assign(assigned)
            ends = await self._seek(consumer, assigned)
            self.reach.caught_up = False
            self.reach.partitions = counts[names.emotions]
            if self.reach.problem is not None:
                _log.info("the cluster answers again")
            self.reach.problem = self.reach.problem_since = None
            try:
                await self._follow(consumer, admin, inputs, ends)
            except _TROUBLE as error:
                self._lost(error)  # at once: clients whose broker is gone take their time to stop
                raise

    async def _follow(
        self,
        consumer: AIOKafkaConsumer,
        admin: AIOKafkaAdminClient,
        inputs: TopicWatch,
        ends: dict[TopicPartition, int],
    ) -> None:
        probed_at = 0.0
        while not added_partitions(consumer, consumer.assignment()):
            if time.monotonic() - probed_at >= PROBE_S:
                async with asyncio.timeout(TIMEOUT_S):
                    await self._probe(consumer)
                    self.reach.waiting = await self._waiting(consumer, admin, inputs)
                probed_at = time.monotonic()
            if not self.reach.caught_up:
                ends = {tp: end for tp, end in ends.items() if await consumer.position(tp) < end}
                self.reach.caught_up = not ends
            check_fetching(consumer)
            for tp, records in (await consumer.getmany(timeout_ms=_POLL_MS, max_records=_CHUNK)).items():
                for record in records:
                    self._take(record)
                self._positions[tp] = records[-1].offset + 1
            # One round a moment for whatever has come, and not one a record: rounds are what costs.
            await asyncio.sleep(PAUSE_S if self.reach.caught_up else 0)

    async def _seek(
        self, consumer: AIOKafkaConsumer, assigned: list[TopicPartition]
    ) -> dict[TopicPartition, int]:
        """Go to where reading ended, or to where it should begin; the ends at this moment."""
        begin: dict[TopicPartition, int] = await consumer.beginning_offsets(assigned)
        ends: dict[TopicPartition, int] = await consumer.end_offsets(assigned)
        now_ms = int(time.time() * 1000)
        back_s = {self._topics.emotions: LABELS_BACK_S, self._topics.counters: COUNTERS_BACK_S}
        times = {tp: now_ms - back_s[tp.topic] * 1000 for tp in assigned if tp.topic in back_s}
        found = await consumer.offsets_for_times(times)
        labels = sum(tp.topic == self._topics.emotions for tp in assigned)
        for tp in assigned:
            start = begin[tp]
            if tp in times:
                start = found[tp].offset if found.get(tp) else ends[tp]
            if tp.topic == self._topics.emotions:
                start = max(start, ends[tp] - LABELS_BACK // labels)
            known = self._positions.get(tp)
            consumer.seek(tp, known if known is not None and begin[tp] <= known <= ends[tp] else start)
        return ends

    async def _probe(self, consumer: AIOKafkaConsumer) -> None:
        """See that the broker answers, and how far behind we are."""
        labels = [tp for tp in consumer.assignment() if tp.topic == self._topics.emotions]
        ends: dict[TopicPartition, int] = await consumer.end_offsets(labels)
        behind = {tp: ends[tp] - await consumer.position(tp) for tp in labels}
        self.reach.behind = sum(behind.values())
        if self.reach.caught_up and self.reach.behind > SKIP_BEHIND:
            for tp in labels:
                target = max(await consumer.position(tp), ends[tp] - _CHUNK // len(labels))
                self.reach.skipped += target - await consumer.position(tp)
                consumer.seek(tp, target)

    async def _waiting(
        self, consumer: AIOKafkaConsumer, admin: AIOKafkaAdminClient, inputs: TopicWatch
    ) -> int | None:
        """Messages that the annotators' group has not committed; None where we may not or cannot know.

        Where it has committed nothing, as before annotators first run, those that it will begin with.
        """
        try:
            committed = await admin.list_consumer_group_offsets(self._settings.group_id)
            there = {name: view for name, view in (await inputs.look()).items() if name in self._inputs}
            places = [TopicPartition(name, n) for name in there for n in range(there[name].partitions)]
            if not places:
                return None
            begins: dict[TopicPartition, int] = await consumer.beginning_offsets(places)
            ends: dict[TopicPartition, int] = await consumer.end_offsets(places)
        except (KafkaError, BrokerSilentError):
            return None
        first = begins if self._settings.auto_offset_reset == "earliest" else ends
        known = {tp: one.offset for tp, one in committed.items() if one.offset >= 0}
        # What retention has removed waits no longer.
        waiting: int = sum(max(0, ends[tp] - max(known.get(tp, first[tp]), begins[tp])) for tp in places)
        return waiting

    def _take(self, record: "ConsumerRecord[bytes, bytes]") -> None:
        """Fold one record in. What is not what its topic holds is counted and passed over."""
        names, value = self._topics, record.value
        try:
            if record.topic == names.alerts:
                self._take_alert(record)
            elif value is None:
                return
            elif record.topic == names.emotions:
                self._take_labelled(record, value)
            elif record.topic == names.counters:
                self.history.take(WindowCounter.model_validate_json(value), record.timestamp / 1000)
                now, published_at = self.clock.now(), record.timestamp / 1000 + self.clock.ahead_s
                heard_at = now if self.reach.caught_up else min(published_at, now)
                self.reach.counters_at = max(self.reach.counters_at or 0.0, heard_at)
            else:
                self.queue.take_review(Review.model_validate_json(value))
        except ValueError:
            self._refuse(record)
        except Exception:  # whatever one record holds, the page goes on with the others
            self._refuse(record)
            _log.exception("a record could not be folded in")

    def _take_labelled(self, record: "ConsumerRecord[bytes, bytes]", value: bytes) -> None:
        clock, live = self.clock, self.reach.caught_up
        event = labelled(value, record.partition, clock.now(), live=live, ahead_s=clock.ahead_s)
        if event is None:
            self._refuse(record)
        else:
            self.flow.take(event)

    def _take_alert(self, record: "ConsumerRecord[bytes, bytes]") -> None:
        if record.value is None:
            self.queue.take_tombstone(*tombstone_of(record))
        else:
            self.queue.take_alert(Alert.model_validate_json(record.value), record.timestamp / 1000)

    def _refuse(self, record: "ConsumerRecord[bytes, bytes]") -> None:
        """Count it; of many of a topic, the 1st, 10th, 100th and so on are logged."""
        self.reach.refused += 1
        self._refused[record.topic] += 1
        so_far = self._refused[record.topic]
        if str(so_far).strip("0") == "1":
            place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            _log.warning("a record is not what its topic holds", **place, so_far=so_far)
