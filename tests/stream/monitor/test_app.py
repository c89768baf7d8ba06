"""The monitor on a real broker: counters and alerts come out, and nothing that was not committed counts."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable

import pytest
from aiokafka import AIOKafkaProducer

from stream.events import ALL_CHANNELS, CountDelta, DistressSignal
from stream.monitor.app import running
from stream.monitor.events import Alert, WindowCounter
from stream.settings import Settings
from stream.unpacking import bound_unpacking
from tests.records import CODECS, Record, produce, produce_batch, read_committed_all
from tests.stream.monitor.conftest import MonitorTopics
from tests.stream.monitor.factories import delta, signal


def delta_record(one: CountDelta) -> Record:
    return Record(one.model_dump_json().encode(), key=one.channel.encode())


def signal_record(one: DistressSignal) -> Record:
    return Record(one.model_dump_json().encode(), key=(one.author or "").encode())


async def latest(settings: Settings, topic: str) -> dict[bytes, bytes | None]:
    records = await read_committed_all(settings.bootstrap_servers or "", topic)
    return {record.key or b"": record.value for record in sorted(records, key=lambda r: r.timestamp)}


async def counted(settings: Settings, window_s: int = 60) -> Counter[tuple[str, str]]:
    """Messages by channel and label, over all windows of one length."""
    found: Counter[tuple[str, str]] = Counter()
    for value in (await latest(settings, settings.topics.counters)).values():
        counter = WindowCounter.model_validate_json(value or b"")
        if counter.window_s == window_s:
            found.update({(counter.channel, label): count for label, count in counter.labels.items()})
    return found


async def until(settings: Settings, expected: Counter[tuple[str, str]], timeout_s: float = 20) -> None:
    """Wait until the topic of the counters holds just these."""
    deadline = time.monotonic() + timeout_s
    while (found := await counted(settings)) != expected:
        assert time.monotonic() < deadline, f"{found} is not {expected}"
        await asyncio.sleep(0.1)


async def alerts_of(settings: Settings) -> list[Alert]:
    records = await latest(settings, settings.topics.alerts)
    return [Alert.model_validate_json(value) for value in records.values() if value is not None]


def two_channels(messages: int, *, first: int = 0) -> Iterable[CountDelta]:
    start = time.time() // 60 * 60
    for n in range(messages):
        for channel in ("support", ALL_CHANNELS):
            yield delta({start: {"joy": 1}}, first=first + n, channel=channel)


async def test_a_session_may_last_longer_than_a_request(monitor_topics: MonitorTopics) -> None:
    settings = await monitor_topics(session_timeout_ms=120_000)
    await produce(
        settings.bootstrap_servers or "", settings.topics.counts, map(delta_record, two_channels(5))
    )
    async with running(settings):
        await until(settings, Counter({("support", "joy"): 5, (ALL_CHANNELS, "joy"): 5}))


@pytest.mark.every_broker
async def test_counters_add_up_and_are_upserted(monitor_topics: MonitorTopics) -> None:
    settings = await monitor_topics()
    servers = settings.bootstrap_servers or ""
    await produce(servers, settings.topics.counts, map(delta_record, two_channels(50)))
    async with running(settings) as started:
        expected = Counter({("support", "joy"): 50, (ALL_CHANNELS, "joy"): 50})
        await until(settings, expected)
        await produce(servers, settings.topics.counts, map(delta_record, two_channels(10, first=50)))
        await until(settings, Counter(dict.fromkeys(expected, 60)))
        assert not started.monitor.board.counters(), "without a web server nobody asks for them"
    assert await counted(settings, 3600) == Counter(dict.fromkeys(expected, 60))


async def test_deltas_and_signals_in_batches_of_every_codec_are_taken(monitor_topics: MonitorTopics) -> None:
    settings = await monitor_topics(partitions=1)
    servers, names, now = settings.bootstrap_servers or "", settings.topics, time.time()
    for number, codec in enumerate(CODECS):
        deltas = list(map(delta_record, two_channels(4, first=4 * number)))
        await produce(servers, names.counts, deltas, codec=codec)
        signals = [signal(0.95, offset=2 * number + n, ts=now + 2 * number + n) for n in range(2)]
        await produce(servers, names.signals, map(signal_record, signals), codec=codec)
    async with running(settings):
        messages = 4 * len(CODECS)
        await until(settings, Counter({("support", "joy"): messages, (ALL_CHANNELS, "joy"): messages}))
        deadline = time.monotonic() + 20
        while not await alerts_of(settings):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)


async def test_a_key_that_is_not_utf8_does_not_end_the_monitor(monitor_topics: MonitorTopics) -> None:
    settings = await monitor_topics(partitions=1)
    servers = settings.bootstrap_servers or ""
    await produce(servers, settings.topics.signals, [Record(None, key=b"\xff")])
    await produce(servers, settings.topics.alerts, [Record(None, key=b"\xff")])
    await produce(servers, settings.topics.counts, map(delta_record, two_channels(5)))
    async with running(settings):
        await until(settings, Counter({("support", "joy"): 5, (ALL_CHANNELS, "joy"): 5}))


@pytest.mark.every_broker
async def test_an_author_alert_arises_and_is_published_once(monitor_topics: MonitorTopics) -> None:
    settings = await monitor_topics()
    now = time.time()
    signals = [signal(0.95, offset=n, ts=now + n) for n in range(8)]
    async with running(settings):
        await produce(settings.bootstrap_servers or "", settings.topics.signals, map(signal_record, signals))
        deadline = time.monotonic() + 20
        while len(alerts := await alerts_of(settings)) < 2:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
    assert {alert.rule for alert in alerts} == {"sustained-distress", "rapid-escalation"}
    assert [alert.status for alert in alerts] == ["firing", "firing"]


@pytest.mark.parametrize("store", ["rocksdb", "memory"])
async def test_a_monitor_that_lost_its_disk_goes_on_from_the_changelog(
    monitor_topics: MonitorTopics, store: str
) -> None:
    settings = await monitor_topics(state_store=store)
    servers = settings.bootstrap_servers or ""
    await produce(servers, settings.topics.counts, map(delta_record, two_channels(20)))
    async with running(settings):
        await until(settings, Counter({("support", "joy"): 20, (ALL_CHANNELS, "joy"): 20}))
    elsewhere = settings.model_copy(update={"state_dir": settings.state_dir / "elsewhere"})
    await produce(servers, settings.topics.counts, map(delta_record, two_channels(5, first=20)))
    async with running(elsewhere):
        await until(settings, Counter({("support", "joy"): 25, (ALL_CHANNELS, "joy"): 25}))


@pytest.mark.every_broker
async def test_what_a_transaction_aborted_does_not_count(monitor_topics: MonitorTopics) -> None:
    settings = await monitor_topics()
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, transactional_id="aborting")
    await producer.start()
    try:
        await producer.begin_transaction()
        for one in two_channels(30):
            await producer.send(
                settings.topics.counts, one.model_dump_json().encode(), key=one.channel.encode()
            )
        await producer.flush()
        await producer.abort_transaction()
        await producer.begin_transaction()
        for one in two_channels(7, first=30):
            await producer.send(
                settings.topics.counts, one.model_dump_json().encode(), key=one.channel.encode()
            )
        await producer.commit_transaction()
    finally:
        await producer.stop()
    async with running(settings):
        await until(settings, Counter({("support", "joy"): 7, (ALL_CHANNELS, "joy"): 7}))


@pytest.mark.usefixtures("unpacking_as_before")
async def test_what_is_no_delta_or_a_batch_too_large_to_unpack_is_passed_over(
    monitor_topics: MonitorTopics,
) -> None:
    settings = await monitor_topics(partitions=1)
    servers, counts = settings.bootstrap_servers or "", settings.topics.counts
    await produce(servers, counts, [Record(b"no delta", key=b"support"), Record(b"{}")])
    await produce_batch(servers, counts, [b"{}", bytes(300_000)], codec="zstd")
    await produce(servers, counts, map(delta_record, two_channels(3)))
    bound_unpacking(200_000)
    async with running(settings) as started:
        await until(settings, Counter({("support", "joy"): 3, (ALL_CHANNELS, "joy"): 3}))
        assert started.monitor.ready
        assert started.monitor.metrics.rejected.labels(counts)._value.get() == 3
