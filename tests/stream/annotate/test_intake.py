"""What was polled is read a slice at a time: nothing of it is passed over, and the event loop goes on."""

import asyncio
import itertools
import random
import threading
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata

from model.contract import Encoded, Logits, Model
from model.fake import FakeClassifier
from stream.annotate.admission import Admission
from stream.annotate.assigned import AssignedPartition, PartitionContext
from stream.annotate.inputtopics import Incarnation
from stream.annotate.intake import Intake
from stream.annotate.ledger import Entry
from stream.annotate.pipeline import Pipeline
from stream.annotate.progress import Progress
from stream.annotate.publish import Finished
from stream.annotate.tracing import NoTracing
from stream.annotate.worker import Worker
from stream.deadline import Deadline
from stream.membership import Membership
from stream.metrics import Metrics
from stream.privacy import OptOut, Pseudonyms
from stream.settings import Settings
from stream.transactions import PublishError
from tests.stream.annotate.test_annotator import until
from tests.stream.annotate.test_outcomes import TOPICS, encoder

TOPIC = "messages"
PLACES = [TopicPartition(TOPIC, number) for number in range(6)]
OUTCOMES = {TOPICS.emotions, TOPICS.dlq}
UNREADABLE, READABLE = b"{oops", b'{"text": "joy"}'
LARGE = b'{"text": "%s"}' % (b"joy" * 1000)


@pytest.fixture(autouse=True)
def a_record_a_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.annotate.intake.SLICE_S", -1.0)


class Consumer:
    """A consumer of logs in memory, which start at offset 0 and end where their records do.

    None stands for what is nobody's: a marker of a transaction, or what compaction has removed.
    """

    def __init__(self, logs: Mapping[TopicPartition, Sequence[bytes | None]]) -> None:
        self.logs: dict[TopicPartition, list[Any]] = {place: [] for place in logs}
        for place, values in logs.items():
            self.append(place, values)
        self.positions = dict.fromkeys(logs, 0)
        self.first = dict.fromkeys(logs, 0)
        self.paused: set[TopicPartition] = set()
        self.polls = 0
        self.assigning: asyncio.Task[None] | None = None
        self._fetcher = SimpleNamespace(_fetch_min_bytes=1, _fetch_max_wait_ms=500, _records={})
        self._coordinator = SimpleNamespace(group_id="group", member_id="member", generation=1)

    def append(self, place: TopicPartition, values: Sequence[bytes | None]) -> None:
        log = self.logs[place]
        log += [
            None if value is None else record(place, offset, value)
            for offset, value in enumerate(values, start=len(log))
        ]

    def assignment(self) -> Collection[TopicPartition]:
        return self.logs.keys()

    def subscribe(self, topics: Collection[str], listener: Pipeline) -> None:
        self.assigning = asyncio.create_task(listener.on_partitions_assigned(list(self.logs)))

    def pause(self, *places: TopicPartition) -> None:
        self.paused.update(places)

    def resume(self, *places: TopicPartition) -> None:
        self.paused.difference_update(places)

    def seek(self, place: TopicPartition, offset: int) -> None:
        self.positions[place] = offset

    async def position(self, place: TopicPartition) -> int:
        return self.positions[place]

    async def beginning_offsets(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return {place: self.first[place] for place in places}

    async def end_offsets(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return {place: len(self.logs[place]) for place in places}

    async def poll(self, *_: Any, max_records: int, **__: Any) -> dict[TopicPartition, list[Any]]:
        """As ``stream.annotate.polling.poll``; at most so many records of each partition."""
        await asyncio.sleep(0.001)
        self.polls += 1
        found = {}
        for place in self.logs.keys() - self.paused:
            start = self.positions[place]
            read = self.logs[place][start : start + max_records]
            self.positions[place] = start + len(read)
            if records := [one for one in read if one is not None]:
                found[place] = records
        return found

    async def polled(self, times: int) -> None:
        """Wait until it was polled so often."""
        most = self.polls + times
        await until(lambda: self.polls > most)


class Published:
    """A publisher that notes which offsets have an outcome."""

    owner: str | None = "owner"

    def __init__(self) -> None:
        self.offsets: dict[TopicPartition, list[int]] = {place: [] for place in PLACES}
        self.committed = dict.fromkeys(PLACES, 0)

    async def take_over(
        self, places: Collection[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata | None]:
        return {place: OffsetAndMetadata(self.committed[place], "") for place in places}

    async def claim(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        await asyncio.sleep(0.001)
        self.committed |= {place: at.offset for place, at in offsets.items()}

    async def commit(self, finished: Sequence[Finished]) -> None:
        for part in finished:
            outcomes = (found for place, found in part.output.items() if place[0] in OUTCOMES)
            self.offsets[part.partition] += sorted(one.offset for one in itertools.chain(*outcomes))
            self.committed[part.partition] = part.next_offset.offset

    async def close(self, deadline: Deadline) -> None: ...


class Held(FakeClassifier):
    """Neither reads nor labels but while it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.reads, self.labels = threading.Event(), threading.Event()

    def tokenize(self, texts: Sequence[str]) -> list[Encoded]:
        self.reads.wait(30)
        return super().tokenize(texts)

    def forward(self, batch: Sequence[Encoded]) -> Logits:
        self.labels.wait(30)
        return super().forward(batch)


class SilentRegistry:
    """A schema registry that does not answer."""

    def missing(self, _: bytes) -> int:
        return 1

    def ask(self, number: int) -> None: ...

    async def fetch(self, number: int) -> None:
        await asyncio.Event().wait()


def record(place: TopicPartition, offset: int, value: bytes) -> ConsumerRecord[Any, Any]:
    return ConsumerRecord(*place, offset, 1_700_000_000_000, 0, None, value, None, 0, len(value), ())


@asynccontextmanager
async def running(
    consumer: Any, publisher: Published, settings: Settings, model: Model, registry: Any = None
) -> AsyncIterator[Pipeline]:
    """A pipeline that labels what the consumer has."""
    threads, asks, stop = (Worker("tokenize"), Worker("model")), context(consumer, publisher), asyncio.Event()
    pipeline = Pipeline(settings, model, admission(), asks, asks.metrics, threads, registry)
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(pipeline.run(stop))
        yield pipeline
        stop.set()
    for thread in threads:
        thread.stop()


def context(consumer: Any, publisher: Published) -> PartitionContext:
    async def open_publisher(membership: Membership, number: int) -> Published:
        return publisher

    return PartitionContext(
        consumer=consumer,
        open_publisher=open_publisher,
        encoders={TOPIC: encoder()},
        metrics=Metrics(),
        tracing=NoTracing(),
        commit_interval_s=0.0,
        incarnations={TOPIC: Incarnation(None, 0)},
        starts_at_latest=False,
        progress=Progress(60.0),
        suspects=set(),
    )


def admission() -> Admission:
    pseudonyms = Pseudonyms(b"key")
    return Admission(
        input_format="json",
        max_message_bytes=1_000_000,
        max_ahead_s=300,
        pseudonyms=pseudonyms,
        optout=OptOut(pseudonyms),
        phrases=None,
    )


async def test_a_rest_that_waits_to_be_handed_over_is_not_passed_over_by_what_comes_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its partition is full meanwhile, and then has room again: what is labelled was there before it."""
    one, other = PLACES[:2]
    consumer, publisher, model = Consumer({one: [READABLE] * 8, other: []}), Published(), Held()
    monkeypatch.setattr("stream.annotate.pipeline.poll", consumer.poll)
    monkeypatch.setattr("stream.annotate.pipeline._POLL_MESSAGES", 20)
    settings = Settings(max_in_flight_messages=20, max_wait_ms=1)
    async with running(consumer, publisher, settings, model) as pipeline:
        model.reads.set()
        await until(lambda: pipeline.in_flight == 8 and not pipeline._to_tokenize.qsize())
        model.reads.clear()
        consumer.append(other, [READABLE] * 9)  # one is read, and the others fill the queue
        await until(pipeline._to_tokenize.full)
        consumer.append(one, [UNREADABLE, READABLE])
        await until(lambda: pipeline.in_flight == 8 + 9 + 2)
        await consumer.polled(3)
        model.labels.set()
        await until(lambda: pipeline.in_flight == 9 + 1)
        await consumer.polled(3)
        consumer.append(one, [UNREADABLE] * 60)
        await consumer.polled(3)
        model.reads.set()
        await until(lambda: consumer.positions[one] == len(consumer.logs[one]) and not pipeline.in_flight)
    assert publisher.offsets[one] == list(range(len(consumer.logs[one])))


async def test_a_partition_that_was_given_away_is_shown_neither_as_waiting_nor_as_assigned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [place] = PLACES[:1]
    consumer = Consumer({place: [READABLE]})
    monkeypatch.setattr("stream.annotate.pipeline.poll", consumer.poll)
    async with running(consumer, Published(), Settings(), FakeClassifier(), SilentRegistry()) as pipeline:

        def shown(name: str) -> float | None:
            return pipeline._metrics.registry.get_sample_value(f"emotion_{name}_partitions")

        await until(lambda: shown("waiting") == shown("assigned") == 1)
        await pipeline.on_partitions_revoked([place])
        await pipeline.on_partitions_assigned([])
        await consumer.polled(2)
        assert [shown(name) for name in ("assigned", "paused", "waiting")] == [0, 0, 0]


@pytest.mark.parametrize("seed", range(3))
async def test_every_message_is_published_once_in_whatever_sizes_and_polls_it_comes(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    kinds = [UNREADABLE, READABLE, LARGE]
    consumer, publisher = Consumer({place: chance.choices(kinds, k=150) for place in PLACES}), Published()
    monkeypatch.setattr("stream.annotate.pipeline.poll", consumer.poll)
    monkeypatch.setattr("stream.annotate.pipeline._POLL_MESSAGES", chance.randint(2, 30))
    settings = Settings(max_in_flight_messages=40, max_in_flight_bytes=40_000, max_wait_ms=1)
    async with running(consumer, publisher, settings, FakeClassifier(delay_ms=1)):
        await until(lambda: sum(map(len, publisher.offsets.values())) >= 150 * len(PLACES))
    assert publisher.offsets == {place: list(range(150)) for place in PLACES}


@pytest.mark.parametrize("seed", range(4))
async def test_an_offset_that_is_committed_passes_markers_and_no_message(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Whatever waits to be read or labelled meanwhile, and whenever the partitions are given away."""
    chance = random.Random(seed)
    kinds = [UNREADABLE, READABLE, None, LARGE, None]
    consumer, publisher = Consumer({place: chance.choices(kinds, k=80) for place in PLACES}), Published()
    messages = {place: [one.offset for one in log if one] for place, log in consumer.logs.items()}

    def passed_over() -> dict[TopicPartition, list[int]]:
        return {
            place: left
            for place, committed in publisher.committed.items()
            if (
                left := [
                    one for one in messages[place] if one < committed and one not in publisher.offsets[place]
                ]
            )
        }

    async def poll(*_: Any, max_records: int, **__: Any) -> dict[TopicPartition, list[Any]]:
        assert not passed_over()
        return await consumer.poll(max_records=chance.randint(1, max_records))

    monkeypatch.setattr("stream.annotate.pipeline.poll", poll)
    monkeypatch.setattr("stream.annotate.pipeline._POLL_MESSAGES", chance.randint(2, 30))
    monkeypatch.setattr("stream.annotate.ownership._CLAIMS_APART_S", 0.005)
    settings = Settings(max_in_flight_messages=40, max_wait_ms=1)
    async with running(consumer, publisher, settings, FakeClassifier(delay_ms=1)) as pipeline:
        for _ in range(6):
            await consumer.polled(chance.randint(1, 20))
            await pipeline._give_up(Deadline(chance.choice((0.0, 0.01, 1.0))))
            assert not passed_over()
            await pipeline.on_partitions_assigned(PLACES)
        await until(lambda: publisher.committed == dict.fromkeys(PLACES, 80))
    assert publisher.offsets == messages


async def test_a_slice_at_a_time_keeps_the_event_loop_however_many_partitions_have_rests() -> None:
    consumer: Any = Consumer({place: [UNREADABLE] * 5 for place in PLACES})
    asks = context(consumer, Published())
    partitions = [AssignedPartition(place, asks, lambda: None) for place in PLACES]
    for partition in partitions:
        partition.begin(0)

    async def nowhere(_: list[Entry]) -> None: ...

    intake = Intake(admission(), consumer, NoTracing(), None, nowhere, lambda _: False)
    entered = [0]

    async def look_on() -> None:
        while entered[-1] < 5 * len(PLACES):
            entered.append(sum(len(partition.ledger) for partition in partitions))
            await asyncio.sleep(0)

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(look_on())
        await intake.take([(one, consumer.logs[one.tp]) for one in partitions], tasks)
    assert max(after - before for before, after in itertools.pairwise(entered)) <= 2
    assert consumer.paused == set()


def held_partition(consumer: Any) -> AssignedPartition:
    """Of eight records that were polled, three are in the ledger."""
    [place] = PLACES[:1]
    partition = AssignedPartition(place, context(consumer, Published()), lambda: None)
    partition.begin(0)
    consumer.positions[place], partition.held = 8, 5
    for one in consumer.logs[place][:3]:
        partition.ledger.enter(admission().admit(one))
    return partition


async def test_what_was_fetched_before_retention_removed_it_is_still_read() -> None:
    consumer = Consumer({PLACES[0]: [UNREADABLE] * 20})
    partition = held_partition(consumer)
    consumer.first[PLACES[0]] = 12
    await partition.out_of_range(8)
    assert consumer.positions[PLACES[0]] == 12
    assert all(partition.ledger.enter(admission().admit(one)) for one in consumer.logs[PLACES[0]][3:8])


async def test_a_partition_that_is_cut_back_before_what_waits_to_be_read_starts_over() -> None:
    consumer = Consumer({PLACES[0]: [UNREADABLE] * 20})
    partition = held_partition(consumer)
    partition.ledger.release(3)
    consumer.logs[PLACES[0]] = consumer.logs[PLACES[0]][:2]
    with pytest.raises(PublishError):
        await partition.out_of_range(8)
