"""What a monitor takes over, gives up or is cut off from: nothing is counted twice, and nothing is missed."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from faust.types import TP

from stream.deadline import Deadline
from stream.events import ALL_CHANNELS
from stream.kafka import connection
from stream.limits import OutputLimits
from stream.monitor.app import running
from stream.monitor.driver import CommittedConsumer
from stream.monitor.owned import OwnedPartitions
from stream.records import LastOffsets, Output
from stream.settings import Settings
from stream.transactions import PublishError, Transactions, producer_arguments
from tests.records import produce
from tests.stream.monitor.conftest import MonitorTopics
from tests.stream.monitor.factories import delta
from tests.stream.monitor.test_app import counted, delta_record, two_channels, until
from tests.stream.monitor.test_delivery import eventually

RESTARTS = 3


async def feed(settings: Settings, stopped: asyncio.Event) -> int:
    """Produce deltas of one message each until told to stop; how many of each channel."""
    start, count = time.time() // 60 * 60, 0
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, enable_idempotence=True)
    async with producer:
        while not stopped.is_set():
            for channel in ("support", ALL_CHANNELS):
                record = delta_record(delta({start: {"joy": 1}}, first=count, channel=channel))
                await producer.send(settings.topics.counts, record.value, key=record.key)
            count += 1
            await asyncio.sleep(0.02)
    return count


@pytest.mark.timeout(180)
async def test_a_monitor_that_is_stopped_and_started_while_deltas_flow_misses_none(
    monitor_topics: MonitorTopics,
) -> None:
    settings = await monitor_topics()
    stopped = asyncio.Event()
    feeding = asyncio.create_task(feed(settings, stopped))
    for _ in range(RESTARTS):
        async with running(settings) as started:
            await eventually(lambda: started.monitor.partitions.taken > 0)  # awaited here
            await asyncio.sleep(0.2)
    stopped.set()
    count = await feeding
    async with running(settings):
        await until(
            settings, Counter({("support", "joy"): count, (ALL_CHANNELS, "joy"): count}), timeout_s=60
        )


async def test_a_monitor_whose_partition_was_taken_over_publishes_nothing_more(
    monitor_topics: MonitorTopics,
) -> None:
    settings = await monitor_topics(partitions=1)
    servers, topic = settings.bootstrap_servers or "", settings.topics.counts
    async with running(settings) as started:
        await produce(servers, topic, map(delta_record, two_channels(3)))
        expected = Counter({("support", "joy"): 3, (ALL_CHANNELS, "joy"): 3})
        await until(settings, expected)
        arguments = producer_arguments(connection(settings), settings.largest_record_bytes)
        successor = await Transactions.start(
            TopicPartition(topic, 0), settings.monitor_group_id, 10_000, arguments, OutputLimits()
        )
        try:
            await produce(servers, topic, map(delta_record, two_channels(2, first=3)))
            await eventually(lambda: bool(started.monitor.partitions.lost))
            assert await counted(settings) == expected
        finally:
            await successor.close(Deadline(5.0))


async def test_the_group_does_not_wait_for_a_partition_to_be_taken_over(
    monitor_topics: MonitorTopics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A monitor that took over within the rebalance held the others up until they were evicted."""
    settings = await monitor_topics()
    released = asyncio.Event()
    take_over = OwnedPartitions.take_over

    async def slow(owned: OwnedPartitions, assigned: Iterable[TP]) -> None:
        await released.wait()
        await take_over(owned, assigned)

    monkeypatch.setattr(OwnedPartitions, "take_over", slow)
    other = settings.model_copy(
        update={"state_dir": settings.state_dir / "other", "client_id": "other-monitor"}
    )
    await produce(
        settings.bootstrap_servers or "", settings.topics.counts, map(delta_record, two_channels(9))
    )
    async with running(settings) as first:
        await eventually(lambda: len(first.monitor.membership.assigned) == 4)
        async with running(other) as second:
            both = (first.monitor.membership, second.monitor.membership)
            await eventually(lambda: all(len(one.assigned) == 2 for one in both))
            assert not any(one.complete.is_set() for one in both)
            released.set()
            await eventually(lambda: all(one.complete.is_set() for one in both))
            await until(settings, Counter({("support", "joy"): 9, (ALL_CHANNELS, "joy"): 9}))


async def test_a_partition_is_drained_when_a_broker_has_no_more_of_it_and_all_was_taken(
    monitor_topics: MonitorTopics,
) -> None:
    settings = await monitor_topics(partitions=1)
    counts, signals = TP(settings.topics.counts, 0), TP(settings.topics.signals, 0)
    await produce(settings.bootstrap_servers or "", counts.topic, map(delta_record, two_channels(5)))
    began = time.time()
    async with running(settings) as started:
        consumer, partitions = started.monitor._app.committed_consumer, started.monitor.partitions

        def drained_at(tp: TP, next_offset: int = 0) -> float:
            return consumer.drained_at(tp, next_offset) or 0.0

        await eventually(lambda: drained_at(signals) >= began and partitions.taken == 10)
        next_offset = partitions.counts[0].checkpoint.offset + 1
        await eventually(lambda: drained_at(counts, next_offset) >= began)
        assert not drained_at(counts, next_offset - 1)
        later = time.time()
        await eventually(lambda: drained_at(counts, next_offset) >= later)


async def test_a_partition_that_is_taken_over_again_misses_nothing_of_what_was_handed_out_before(
    monitor_topics: MonitorTopics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one fetch of a backlog, some was taken and not committed when the partition was lost; the rest comes
    once it was taken over again, before what is read anew.
    """
    settings = await monitor_topics(partitions=1)
    counts, total = TP(settings.topics.counts, 0), 1000
    await produce(settings.bootstrap_servers or "", counts.topic, map(delta_record, two_channels(total)))
    half_way, released, failing = asyncio.Event(), asyncio.Event(), True
    getmany, commit = CommittedConsumer.getmany, Transactions.commit

    async def held(consumer: CommittedConsumer, timeout: float) -> AsyncIterator[Any]:
        async for tp, message in getmany(consumer, timeout):
            if message.offset == total // 2:
                half_way.set()
                await released.wait()
            yield tp, message

    async def refused(transactions: Transactions, output: Output, next_offset: int) -> LastOffsets:
        if failing:
            raise PublishError("the coordinator has moved")
        return await commit(transactions, output, next_offset)

    monkeypatch.setattr(CommittedConsumer, "getmany", held)
    monkeypatch.setattr(Transactions, "commit", refused)
    async with running(settings) as started:
        lost = started.monitor.partitions.lost
        await eventually(lambda: half_way.is_set() and counts in lost)
        failing = False
        await eventually(lambda: counts not in lost)
        assert started.monitor.partitions.offset(counts) == -1
        released.set()
        await until(
            settings, Counter({("support", "joy"): total, (ALL_CHANNELS, "joy"): total}), timeout_s=60
        )
