"""The annotator against a broker: one outcome for each message, whatever the message."""

import asyncio
import contextlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import partial

import aiohttp
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from model.contract import Encoded, Logits
from model.fake import FakeClassifier
from stream.annotate import ownership
from stream.annotate.app import Annotator
from stream.annotate.inference import ModelBrokenError
from stream.deadletters import decode_dead_letter
from stream.errors import BrokerError, SettingsError, StalledError, TopicError
from stream.events import CountDelta, EmotionEvent
from stream.settings import Settings
from tests.conftest import MakeSettings, Topics
from tests.deployed import asked, served
from tests.records import Record, produce, read_committed_all, read_committed_until


def message(text: str, **fields: object) -> bytes:
    return orjson.dumps({"text": text, **fields})


async def annotate_all(settings: Settings, model: FakeClassifier | None = None) -> Annotator:
    """Label everything that is in the input topic."""
    annotator = Annotator(settings.model_copy(update={"drain": True}), model or FakeClassifier())
    await annotator.run()
    return annotator


@contextlib.asynccontextmanager
async def annotating(settings: Settings, model: FakeClassifier | None = None) -> AsyncIterator[Annotator]:
    """An annotator that labels until the block is left."""
    annotator = Annotator(settings, model or FakeClassifier())
    running = asyncio.create_task(annotator.run())
    try:
        yield annotator
    finally:
        annotator.stop()
        await running


async def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.02)


async def events(settings: Settings) -> list[EmotionEvent]:
    records = await read_committed_all(str(settings.bootstrap_servers), settings.topics.emotions)
    return [EmotionEvent.model_validate_json(record.value or b"") for record in records]


async def committed_total(settings: Settings) -> int:
    """Sum of the group's committed offsets."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, group_id=settings.group_id)
    await consumer.start()
    try:
        places = [TopicPartition(settings.input_topic, number) for number in range(settings.partitions)]
        return sum([await consumer.committed(place) or 0 for place in places])
    finally:
        await consumer.stop()


async def lag_of_group(group: AIOKafkaConsumer, places: list[TopicPartition]) -> int:
    """As tools count it: ends of the log less committed offsets."""
    ends = await group.end_offsets(places)
    return sum([end - (await group.committed(place) or 0) for place, end in ends.items()])


@pytest.fixture(params=["exactly_once", "at_least_once"])
def guarantee(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.every_broker
async def test_every_message_is_labelled_and_its_offset_committed(topics: Topics, guarantee: str) -> None:
    settings = await topics(guarantee=guarantee)
    texts = [f"{label}: number {number}" for number in range(50) for label in ("joy", "anger", "neutral")]
    await produce(
        str(settings.bootstrap_servers), settings.input_topic, [message(text, channel="c") for text in texts]
    )
    await annotate_all(settings)
    labelled = await events(settings)
    assert Counter(event.label for event in labelled) == {"joy": 50, "anger": 50, "neutral": 50}
    assert len({event.id for event in labelled}) == 150
    assert await committed_total(settings) == 150


@pytest.mark.every_broker
async def test_a_second_start_goes_on_where_the_first_ended(topics: Topics, guarantee: str) -> None:
    settings = await topics(guarantee=guarantee)
    for half in range(2):
        values = [message(f"joy: half {half}, number {number}") for number in range(20)]
        await produce(str(settings.bootstrap_servers), settings.input_topic, values)
        await annotate_all(settings)
    assert len(await events(settings)) == 40


BAD_INPUT = {
    "not_json": b"{oops",
    "not_utf8": b"\xff\xfe\xfa",
    "no_text": b'{"author": "kim"}',
    "wrong_type": b'{"text": 17}',
    "empty_text": b'{"text": "   "}',
    "too_large": message("x" * 5000),
    "model_failed": message("joy: but poison"),
    "bad_cloudevent": b'{"data": "x"}',
}


@pytest.mark.every_broker
async def test_bad_input_goes_to_the_dead_letters_and_its_neighbours_are_labelled(
    topics: Topics, guarantee: str
) -> None:
    settings = await topics(guarantee=guarantee, partitions=1, max_message_bytes=4096)
    sent: list[Record] = [Record(None, key=b"tombstone")]
    for cause, value in BAD_INPUT.items():
        kind = b"application/cloudevents+json" if cause == "bad_cloudevent" else b"x"
        sent.append(Record(message(f"joy: before {cause}")))
        sent.append(Record(value, key=cause.encode(), headers=[("content-type", kind), ("tenant", b"7")]))
    await produce(str(settings.bootstrap_servers), settings.input_topic, sent)
    annotator = await annotate_all(settings, FakeClassifier(fail_on=["poison"]))

    assert len(await events(settings)) == len(BAD_INPUT)
    dead = await read_committed_all(str(settings.bootstrap_servers), settings.topics.dlq)
    assert len(dead) == len(BAD_INPUT)
    for record in dead:
        letter, headers = decode_dead_letter(record.headers)
        assert record.key == letter.cause.encode()
        assert record.value == BAD_INPUT[letter.cause]
        assert ("tenant", b"7") in headers
        assert sent[letter.source.offset].value == record.value
    count = annotator.metrics.registry.get_sample_value
    assert count("emotion_messages_total", {"outcome": "tombstone"}) == 1
    assert count("emotion_messages_total", {"outcome": "dead_letter"}) == len(BAD_INPUT)


@pytest.mark.every_broker
async def test_count_deltas_add_up_and_their_offsets_never_overlap(topics: Topics) -> None:
    settings = await topics(commit_interval_ms=10)
    good = [message(f"joy: {number}", channel=f"c{number % 3}") for number in range(400)]
    values: list[Record | bytes | None] = [*good, b"{oops", Record(None, key=b"gone")]
    await produce(str(settings.bootstrap_servers), settings.input_topic, values)
    await annotate_all(settings)
    records = await read_committed_all(str(settings.bootstrap_servers), settings.topics.counts)
    deltas = [CountDelta.model_validate_json(record.value or b"") for record in records]
    totals: Counter[str] = Counter()
    for delta in deltas:
        for window in delta.windows:
            totals[delta.channel] += sum(window.labels.values())
            totals["dead letters"] += window.dead_lettered
            totals["tombstones"] += window.tombstones
    assert totals["*"] == 400
    assert totals["c0"] + totals["c1"] + totals["c2"] == 400
    assert (totals["dead letters"], totals["tombstones"]) == (1, 1)
    for partition in range(settings.partitions):
        ranges = sorted(
            (delta.source.first_offset, delta.source.last_offset)
            for delta in deltas
            if delta.channel == "*" and delta.source.partition == partition
        )
        assert all(later[0] > earlier[1] for earlier, later in itertools.pairwise(ranges))


@pytest.mark.parametrize(("parts", "label"), [("new", "anger"), ("all", "joy")])
async def test_quoted_mail_is_read_only_where_that_is_asked_for(
    topics: Topics, parts: str, label: str
) -> None:
    settings = await topics(text_parts=parts, include_text=True, partitions=1)
    text = "> joy: it works\n\nanger: &#105;t does not\n"
    await produce(str(settings.bootstrap_servers), settings.input_topic, [message(text)])
    await annotate_all(settings)
    (event,) = await events(settings)
    assert event.label == label
    assert event.text == text, "published as it was written"


async def test_a_slow_trickle_leaves_on_time(topics: Topics) -> None:
    """One message every 0.9 of the deadline: the deadline counts from the oldest, so batches stay small."""
    settings = await topics(partitions=1, max_wait_ms=200, commit_interval_ms=10, guarantee="at_least_once")
    servers = str(settings.bootstrap_servers)
    async with annotating(settings) as annotator:
        await until(lambda: annotator.unready() is None)
        async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
            for number in range(12):
                await producer.send_and_wait(settings.input_topic, message(f"joy: {number}"))
                await asyncio.sleep(0.180)
        await until(lambda: annotator.progress.finished_messages == 12)
    batches = annotator.metrics.registry.get_sample_value("emotion_batch_messages_count")
    assert batches is not None
    assert batches >= 5, "messages waited for later ones instead of leaving at their own deadline"


class BrokenClassifier(FakeClassifier):
    """Works until it does not, as a model whose device has gone."""

    def forward(self, batch: object) -> Logits:
        raise RuntimeError("device lost")


async def test_a_broken_model_ends_the_annotator_and_loses_nothing(topics: Topics) -> None:
    settings = await topics()
    await produce(str(settings.bootstrap_servers), settings.input_topic, [message("joy: x")] * 20)
    with pytest.raises(ModelBrokenError, match="no message was lost"):
        await annotate_all(settings, BrokenClassifier())
    assert await events(settings) == []
    await annotate_all(settings)
    assert len(await events(settings)) == 20


class HangingClassifier(FakeClassifier):
    """Does not come back, as a driver that hangs."""

    def forward(self, batch: object) -> Logits:
        time.sleep(3600)
        raise AssertionError


async def test_no_progress_with_lag_ends_the_annotator(topics: Topics) -> None:
    settings = await topics(stall_timeout_s=2, revoke_timeout_s=0.5, http_port=0)
    await produce(str(settings.bootstrap_servers), settings.input_topic, [message("joy: x")])
    annotator = Annotator(settings, HangingClassifier())
    with pytest.raises(StalledError, match="1 messages wait and none was finished"):
        await annotator.run()
    assert annotator.unhealthy() is not None


async def test_transaction_markers_at_the_end_are_no_lag(topics: Topics) -> None:
    """A transactional producer leaves markers behind its messages, which nobody ever reads."""
    settings = await topics(partitions=1, stall_timeout_s=2.5)
    servers = str(settings.bootstrap_servers)
    async with (
        annotating(settings) as annotator,
        AIOKafkaProducer(bootstrap_servers=servers, transactional_id=settings.group_id + "-in") as producer,
    ):
        for number in range(3):
            async with producer.transaction():
                await producer.send_and_wait(settings.input_topic, message(f"joy: {number}"))
        await until(lambda: annotator.progress.finished_messages == 3)
        await asyncio.sleep(3.0)
        assert list(annotator.progress.lag_messages.values()) == [0]
    await annotate_all(settings)
    assert len(await events(settings)) == 3


@pytest.mark.every_broker
async def test_what_is_committed_lies_behind_markers_and_what_was_aborted(
    topics: Topics, guarantee: str
) -> None:
    """Else it would count as lag for ever, on every tool that takes offsets from ends."""
    settings = await topics(partitions=3, guarantee=guarantee)
    servers, topic = str(settings.bootstrap_servers), settings.input_topic
    places = [TopicPartition(topic, number) for number in range(3)]
    async with (
        annotating(settings) as annotator,
        AIOKafkaConsumer(bootstrap_servers=servers, group_id=settings.group_id) as group,
        AIOKafkaProducer(bootstrap_servers=servers, transactional_id=settings.group_id + "-in") as producer,
    ):
        for aborted in (0, 2):
            async with producer.transaction():
                for number in range(2):
                    await producer.send_and_wait(topic, message("joy: x"), partition=number)
            await producer.begin_transaction()
            for number in range(aborted):
                await producer.send_and_wait(topic, message("fear: x"), partition=number + 1)
            await producer.abort_transaction()
            await until(lambda more=aborted: annotator.progress.finished_messages == 2 + more)  # type: ignore[misc]
            async with asyncio.timeout(20):
                while await lag_of_group(group, places):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
    await annotate_all(settings)
    assert [event.label for event in await events(settings)] == ["joy"] * 4


async def test_the_commit_interval_lies_between_commits_and_a_stop_cuts_it_short(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownership, "_COMMITS_APART", 1e6)  # however quick commits are
    settings = await topics(partitions=1, commit_interval_ms=60_000)
    async with annotating(settings) as annotator:
        await produce(str(settings.bootstrap_servers), settings.input_topic, [message("joy: alone")])
        await until(lambda: annotator.progress.finished_messages == 1)
        await produce(str(settings.bootstrap_servers), settings.input_topic, [message("joy: soon after")])
        value = annotator.metrics.registry.get_sample_value
        await until(lambda: value("emotion_in_flight_messages") == 1)
        assert annotator.progress.finished_messages == 1
    assert len(await events(settings)) == 2


async def test_what_is_in_flight_is_bounded_and_partitions_are_paused(topics: Topics) -> None:
    settings = await topics(partitions=2, max_in_flight_messages=100, commit_interval_ms=20)
    values = [message(f"joy: {number}") for number in range(5000)]
    await produce(str(settings.bootstrap_servers), settings.input_topic, values)
    seen: list[float] = []
    async with annotating(settings, FakeClassifier(delay_ms=2)) as annotator:
        while annotator.progress.finished_messages < 5000:
            await asyncio.sleep(0.05)
            seen.append(annotator.metrics.registry.get_sample_value("emotion_in_flight_messages") or 0.0)
    assert max(seen) <= 100 + 2 * 1000, "the bound plus what one poll brings"
    assert len(await events(settings)) == 5000


@pytest.mark.every_broker
async def test_a_second_annotator_takes_its_share_and_gives_it_back(topics: Topics) -> None:
    settings = await topics(commit_interval_ms=20)
    servers = str(settings.bootstrap_servers)
    async with annotating(settings) as first:
        await until(lambda: first.metrics.registry.get_sample_value("emotion_assigned_partitions") == 4)
        async with annotating(settings) as second:
            await until(lambda: second.metrics.registry.get_sample_value("emotion_assigned_partitions") == 2)
            values = [message(f"joy: {number}") for number in range(1000)]
            await produce(servers, settings.input_topic, values)
            await until(lambda: first.progress.finished_messages + second.progress.finished_messages == 1000)
            assert second.progress.finished_messages > 0
        await until(lambda: first.metrics.registry.get_sample_value("emotion_assigned_partitions") == 4)
        await produce(servers, settings.input_topic, [message("joy: again")] * 100)
        await until(lambda: first.progress.finished_messages + second.progress.finished_messages == 1100)
    assert len({event.id for event in await events(settings)}) == len(await events(settings)) == 1100


async def test_a_group_that_starts_at_the_latest_leaves_old_messages_alone(topics: Topics) -> None:
    settings = await topics(auto_offset_reset="latest")
    servers = str(settings.bootstrap_servers)
    await produce(servers, settings.input_topic, [message("joy: old")] * 10)
    async with annotating(settings) as annotator:
        await until(lambda: annotator.metrics.registry.get_sample_value("emotion_assigned_partitions") == 4)
        await asyncio.sleep(1.0)
        await produce(servers, settings.input_topic, [message("joy: new")] * 10)
        await until(lambda: annotator.progress.finished_messages == 10)
    assert len(await events(settings)) == 10


async def test_a_long_text_is_read_in_windows(topics: Topics) -> None:
    settings = await topics()
    await produce(str(settings.bootstrap_servers), settings.input_topic, [message("joy: " + "word " * 3000)])
    await annotate_all(settings)
    [event] = await events(settings)
    assert event.windows > 1


async def test_health_and_metrics_are_served(topics: Topics) -> None:
    settings = await topics(http_port=0)
    ports: list[int] = []
    async with annotating(settings) as annotator, aiohttp.ClientSession() as session:
        await until(lambda: annotator.http_port is not None)
        ports.append(annotator.http_port or 0)
        await until(lambda: annotator.unready() is None)
        for path in ("healthz", "readyz"):
            async with session.get(f"http://127.0.0.1:{ports[0]}/{path}") as answer:
                assert (answer.status, await answer.json()) == (200, {"status": "ok"})
        async with session.get(f"http://127.0.0.1:{ports[0]}/metrics") as answer:
            metrics = await answer.text()
        assert 'emotion_model_info{device="cpu",name="fake"' in metrics
        assert asked("annotator") <= served(metrics)


async def test_missing_topics_are_said_in_one_line(make_settings: MakeSettings) -> None:
    with pytest.raises(TopicError, match="emotion-stream topics create"):
        await annotate_all(make_settings())


async def test_an_unreachable_cluster_is_said_in_one_line(make_settings: MakeSettings) -> None:
    with pytest.raises(BrokerError, match=r"127\.0\.0\.1:1"):
        await annotate_all(make_settings(bootstrap_servers="127.0.0.1:1", start_timeout_s=0))


@pytest.mark.every_broker
async def test_labels_are_readable_while_the_annotator_runs(topics: Topics) -> None:
    settings = await topics()
    servers = str(settings.bootstrap_servers)
    async with annotating(settings):
        await produce(servers, settings.input_topic, [message("love: the new theme")])
        [record, *_] = await read_committed_until(servers, settings.topics.emotions, 1)
    assert EmotionEvent.model_validate_json(record.value or b"").label == "love"


class CountingClassifier(FakeClassifier):
    """Notes how many texts each batch has."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def forward(self, batch: object) -> Logits:
        assert isinstance(batch, list)
        self.sizes.append(len(batch))
        encoded: list[Encoded] = batch
        return super().forward(encoded)


async def test_batches_are_filled_across_partitions(topics: Topics) -> None:
    settings = await topics(max_wait_ms=300)
    values = [Record(message("joy: x"), partition=number % 4) for number in range(40)]
    await produce(str(settings.bootstrap_servers), settings.input_topic, values)
    model = CountingClassifier()
    await annotate_all(settings, model)
    assert max(model.sizes) > 10, "one partition alone has only 10"


class BlockedClassifier(CountingClassifier):
    """Reads its first batch only when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()

    def forward(self, batch: object) -> Logits:
        self.go_on.wait(30)
        return super().forward(batch)


async def test_what_comes_while_the_model_is_at_work_joins_the_next_batch(topics: Topics) -> None:
    settings = await topics(partitions=1, max_wait_ms=1)
    servers, model = str(settings.bootstrap_servers), BlockedClassifier()
    async with annotating(settings, model) as annotator:
        await until(lambda: annotator.unready() is None)

        def wait(messages: int) -> bool:
            assert annotator._pipeline is not None
            return len(annotator._pipeline._generations.oldest.batcher) == messages

        await produce(servers, settings.input_topic, [message("joy: first")])
        await until(lambda: annotator._pipeline is not None and annotator._pipeline.in_flight == 1)
        await until(partial(wait, 0))
        for several in (5, 10):
            await produce(servers, settings.input_topic, [message("joy: x")] * 5)
            await until(partial(wait, several))
            await asyncio.sleep(0.1)
        model.go_on.set()
        await until(lambda: annotator.progress.finished_messages == 11)
    assert model.sizes == [1, 10]


async def test_a_session_timeout_that_the_broker_refuses_is_said_in_one_line(topics: Topics) -> None:
    settings = await topics(session_timeout_ms=20)
    with pytest.raises(SettingsError, match="session_timeout_ms"):
        await annotate_all(settings)


async def test_text_that_grows_when_published_does_not_stop_its_partition(topics: Topics) -> None:
    """JSON writes each control character as six bytes, so the event is longer than the message was."""
    settings = await topics(partitions=1, input_format="text", include_text=True)
    grows = b"x" + b"\x01" * (settings.max_message_bytes - 1)
    await produce(str(settings.bootstrap_servers), settings.input_topic, [grows, b"joy: short"])
    await annotate_all(settings)
    assert [len(event.text or "") for event in await events(settings)] == [settings.max_message_bytes, 10]
