"""Never stuck in silence: what stands still, is lost, or is another topic than before is told."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import RecordsToDelete
from aiokafka.structs import TopicPartition

from model.fake import FakeClassifier
from stream.admin import add_partitions, connected, create_topics
from stream.annotate.app import Annotator
from stream.annotate.pipeline import Pipeline
from stream.errors import StalledError
from stream.lastresort import LastResort
from stream.settings import Settings
from stream.transactions import PublishError
from tests.brokers import ApacheKafka, Broker
from tests.conftest import Topics
from tests.crash.annotators import TAKEN_OVER, annotators_of
from tests.records import Record, delete_topic, produce, read_committed_until
from tests.stream.annotate.test_annotator import annotate_all, annotating, events, message, until


def needs_kafka(broker: Broker, why: str) -> None:
    if not isinstance(broker, ApacheKafka):
        pytest.skip(f"the embedded broker {why}: set KAFKA_HOME")


async def send(settings: Settings, texts: list[str], partition: int | None = None) -> None:
    records = [Record(message(text), partition=partition) for text in texts]
    await produce(str(settings.bootstrap_servers), settings.input_topic, records)


def joys(count: int) -> list[str]:
    return [f"joy: number {number}" for number in range(count)]


def value(annotator: Annotator, name: str, **labels: str) -> float | None:
    return annotator.metrics.registry.get_sample_value(name, labels)


def at_rest(annotator: Annotator, partitions: int) -> bool:
    """Whether it has so many partitions, and nothing waits in them."""
    lags = annotator.progress.lag_messages.values()
    return annotator.unready() is None and list(lags) == [0] * partitions


async def test_a_dead_letter_that_cannot_be_written_ends_it_though_other_partitions_move(
    topics: Topics, broker: Broker, tmp_path: Path
) -> None:
    settings = await topics(
        partitions=2, stall_timeout_s=8, transaction_timeout_ms=3000, revoke_timeout_s=1, log_format="json"
    )
    with annotators_of(settings, broker, tmp_path) as started:
        process = started.start()
        await asyncio.to_thread(process.wait_until_it_says, TAKEN_OVER)
        await delete_topic(settings, settings.topics.dlq)
        bad = Record(b"{oops", partition=1)
        await produce(str(settings.bootstrap_servers), settings.input_topic, [bad])
        async with asyncio.timeout(60):
            while process.running:
                await send(settings, joys(5), partition=0)
                await asyncio.sleep(0.3)
        assert process.process.returncode == 5
        assert "partition 1: 1 messages wait and none was finished" in process.tail()
    assert len(await events(settings)) > 0, "the other partition was labelled meanwhile"


async def test_a_topic_that_goes_while_the_group_is_joined_again_for_another_reason_is_waited_for(
    topics: Topics, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_kafka(broker, "makes topics when they are asked for")
    settings = await topics(partitions=1, stall_timeout_s=3)
    annotator = Annotator(settings, FakeClassifier())

    async def loses_its_brokers(*_: object) -> None:
        annotator.progress.assigned(time.monotonic(), frozenset({(settings.input_topic, 0)}))
        await delete_topic(settings, settings.input_topic)
        raise PublishError("the brokers did not answer in time")

    monkeypatch.setattr(Annotator, "_member", loses_its_brokers)
    running = asyncio.create_task(annotator.run())
    await until(lambda: "do not exist any more" in (annotator.unready() or ""))
    await asyncio.wait({running}, timeout=6)
    assert not running.done(), "a restart would not bring the topic back"
    assert annotator.unhealthy() is None
    annotator.stop()
    await running


async def test_what_could_not_be_published_of_one_partition_goes_with_the_others_again_once_it_can(
    topics: Topics, broker: Broker
) -> None:
    needs_kafka(broker, "makes a topic anew as soon as anybody writes to it")
    settings = await topics(partitions=2, transaction_timeout_ms=2000, revoke_timeout_s=1)
    async with annotating(settings) as annotator:
        await until(lambda: annotator.unready() is None)
        await delete_topic(settings, settings.topics.dlq)
        await produce(str(settings.bootstrap_servers), settings.input_topic, [Record(b"{oops", partition=1)])
        await until(lambda: value(annotator, "emotion_transactions_total", result="aborted") == 1)
        await send(settings, joys(20), partition=0)
        await until(lambda: annotator.progress.finished_messages == 20)
        assert annotator._suspects == {TopicPartition(settings.input_topic, 1)}
        await create_topics(settings)
        await until(lambda: not annotator._suspects)
        assert annotator.progress.finished_messages == 21
        await send(settings, joys(10), partition=1)
        await until(lambda: annotator.progress.finished_messages == 31)
    assert len(await events(settings)) == 30
    letters = await read_committed_until(str(settings.bootstrap_servers), settings.topics.dlq, 1)
    assert len(letters) == 1


async def test_a_topic_made_anew_is_told_and_its_ids_do_not_repeat(topics: Topics, broker: Broker) -> None:
    needs_kafka(broker, "makes a topic anew as soon as anybody asks for it, and gives topics no id")
    settings = await topics(partitions=1)
    async with annotating(settings) as annotator:
        await send(settings, joys(30))
        await until(lambda: annotator.progress.finished_messages == 30)
        await delete_topic(settings, settings.input_topic)
        await until(lambda: "do not exist" in (annotator.unready() or ""))
        assert value(annotator, "emotion_input_topic_exists", topic=settings.input_topic) == 0
        await create_topics(settings)
        await send(settings, joys(20))
        await until(lambda: annotator.progress.finished_messages == 50)
        assert annotator.unready() is None
    labelled = await events(settings)
    assert [event.source.offset for event in labelled] == [*range(30), *range(20)]
    assert len({event.id for event in labelled}) == 50
    assert len({event.source.epoch for event in labelled}) == 2


async def test_a_topic_made_anew_while_nobody_ran_is_read_from_its_beginning(
    topics: Topics, broker: Broker
) -> None:
    """Also where an offset of the earlier topic is still committed, and lies within the new one."""
    needs_kafka(broker, "gives topics no id")
    settings = await topics(partitions=1, auto_offset_reset="latest")
    async with annotating(settings) as annotator:
        await until(lambda: annotator.unready() is None)
        await send(settings, joys(10))
        await until(lambda: annotator.progress.finished_messages == 10)
        note = await committed_note(settings)
    await delete_topic(settings, settings.input_topic)
    await create_topics(settings)
    await send(settings, joys(20))
    await commit_offset(settings, 10, note)
    await annotate_all(settings)
    assert [event.source.offset for event in await events(settings)] == [*range(10), *range(20)]


async def test_messages_that_retention_removed_unread_are_counted(topics: Topics, broker: Broker) -> None:
    needs_kafka(broker, "deletes no records")
    settings = await topics(partitions=1)
    await send(settings, joys(10))
    await annotate_all(settings)
    await send(settings, joys(50))
    async with connected(settings) as admin:
        await admin.delete_records({TopicPartition(settings.input_topic, 0): RecordsToDelete(40)})
    annotator = await annotate_all(settings)
    assert [event.source.offset for event in await events(settings)] == [*range(10), *range(40, 60)]
    assert value(annotator, "emotion_unread_expired_total", topic=settings.input_topic, partition="0") == 30


async def test_a_group_that_starts_at_the_latest_reads_what_came_during_its_restart(topics: Topics) -> None:
    settings = await topics(auto_offset_reset="latest")
    await send(settings, joys(10))
    async with annotating(settings) as annotator:
        await until(lambda: value(annotator, "emotion_assigned_partitions") == 4)
        await until(lambda: at_rest(annotator, partitions=4))
    await send(settings, joys(7))
    await annotate_all(settings)
    assert len(await events(settings)) == 7


@pytest.mark.parametrize("reset", ["earliest", "latest"])
async def test_added_partitions_are_read_within_seconds(topics: Topics, broker: Broker, reset: str) -> None:
    needs_kafka(broker, "adds no partitions")
    settings = await topics(partitions=1, auto_offset_reset=reset)
    async with annotating(settings) as annotator:
        await until(lambda: at_rest(annotator, partitions=1))
        await add_partitions(settings, settings.input_topic, 3)
        for partition in range(3):
            await send(settings, joys(10), partition=partition)
        await until(lambda: annotator.progress.finished_messages == 30, timeout_s=15)
    found = {(event.source.partition, event.source.offset) for event in await events(settings)}
    assert found == {(partition, offset) for partition in range(3) for offset in range(10)}


@pytest.mark.timeout(240)  # it starts a broker twice
async def test_a_broker_that_dies_is_told_and_with_messages_that_wait_the_process_ends_with_5(
    mortal: ApacheKafka, topics: Topics, tmp_path: Path
) -> None:
    servers = mortal.bootstrap_servers
    idle = await topics(bootstrap_servers=servers, partitions=1, stall_timeout_s=20)
    async with annotating(idle) as annotator:
        await until(lambda: at_rest(annotator, partitions=1))
        await asyncio.to_thread(mortal.crash)
        await until(
            lambda: re.search(r"no broker has answered for \d+ s: \S", annotator.unready() or "") is not None,
            timeout_s=15,
        )
        assert annotator.unhealthy() is None, "nothing waits, and a restart would not help"
        assert value(annotator, "emotion_broker_answers") == 0
        await asyncio.to_thread(mortal.start)
        await until(lambda: annotator.unready() is None, timeout_s=30)
        await send(idle, joys(190))
        await until(lambda: annotator.progress.finished_messages == 190)

    slow = await topics(
        bootstrap_servers=servers,
        partitions=1,
        stall_timeout_s=6,
        group_id="slow",
        model="fake?delay_ms=200",
        max_batch_tokens=64,
        log_format="json",
    )
    with annotators_of(slow, mortal, tmp_path) as started:
        process = started.start()
        await read_committed_until(servers, slow.topics.emotions, 191)
        await asyncio.to_thread(mortal.crash)
        assert await asyncio.to_thread(process.wait, 60) == 5
        assert "messages wait and none was finished" in process.tail()


async def for_ever(*_: object) -> None:
    await asyncio.Event().wait()


async def test_an_annotator_without_a_partition_that_hangs_ends(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = await topics(partitions=1)
    both = [Annotator(settings, FakeClassifier()) for _ in range(2)]
    running = [asyncio.create_task(annotator.run()) for annotator in both]

    def assigned() -> list[float | None]:
        return [value(annotator, "emotion_assigned_partitions") for annotator in both]

    await until(lambda: sorted(assigned()) == [0, 1] and not any(one.unready() for one in both))
    idle = assigned().index(0)
    both[idle].progress.stall_timeout_s = both[idle].progress.session_timeout_s = 0.5
    monkeypatch.setattr(both[idle]._pipeline, "_poll", for_ever)
    with pytest.raises(StalledError, match="not been polled as a member of its group"):
        await running[idle]
    both[1 - idle].stop()
    await running[1 - idle]


async def test_an_annotator_that_gets_nothing_back_from_the_group_is_not_ready_and_ends(
    topics: Topics,
) -> None:
    settings = await topics(partitions=1)
    annotator = Annotator(settings, FakeClassifier())
    running = asyncio.create_task(annotator.run())
    await until(lambda: at_rest(annotator, partitions=1))
    annotator.progress.stall_timeout_s = annotator.progress.session_timeout_s = 0.5
    assert annotator._pipeline is not None
    await annotator._pipeline.on_partitions_revoked(list(annotator._pipeline.partitions))
    assert annotator.unready() == "not in the consumer group"
    with pytest.raises(StalledError, match="not been polled as a member of its group"):
        await running


async def test_an_annotator_that_hangs_in_its_end_is_ended(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = await topics(partitions=1)
    exit_codes: list[int] = []
    annotator = Annotator(settings, FakeClassifier(), last_resort=LastResort(0.2, exit_codes.append))
    running = asyncio.create_task(annotator.run())
    await until(lambda: at_rest(annotator, partitions=1))
    with monkeypatch.context() as hanging:
        hanging.setattr(Pipeline, "_give_up", for_ever)
        annotator.stop()
        await until(lambda: exit_codes == [1])
        assert not running.done()
    running.cancel()
    await asyncio.wait({running})


@contextlib.asynccontextmanager
async def group_consumer(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers,
        group_id=settings.group_id,
        enable_auto_commit=False,  # at its end it would commit its position, without a note
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(settings.input_topic, 0)])
        yield consumer
    finally:
        await consumer.stop()


async def committed_note(settings: Settings) -> str:
    async with connected(settings) as admin:
        [kept] = (await admin.list_consumer_group_offsets(settings.group_id)).values()
    return str(kept.metadata)


async def commit_offset(settings: Settings, offset: int, note: str) -> None:
    async with group_consumer(settings) as consumer:
        await consumer.commit({TopicPartition(settings.input_topic, 0): (offset, note)})
