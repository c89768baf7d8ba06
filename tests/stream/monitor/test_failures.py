"""What happens to brokers and topics is seen and said: a dead broker, a topic made anew, one that grows."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog
from aiokafka.admin import NewTopic
from faust.types import TP

from stream.admin import add_partitions, configured, connected, create_topics, partition_counts
from stream.errors import RecordError, StalledError, TopicError
from stream.events import ALL_CHANNELS, CountDelta
from stream.lastresort import stop_limit_s
from stream.monitor.app import running
from stream.monitor.changelogs import changelog_of, prepare_changelogs
from stream.monitor.events import RuleKind
from stream.monitor.partitions import Partitions
from stream.monitor.state import DiskState
from stream.monitor.store import load_author
from stream.settings import Settings
from stream.topics import TopicSpec
from tests.brokers import ApacheKafka, Broker, free_port
from tests.records import Record, delete_topic, produce
from tests.stream.monitor.conftest import MonitorTopics
from tests.stream.monitor.factories import delta, signal
from tests.stream.monitor.test_app import delta_record, signal_record, two_channels, until
from tests.stream.monitor.test_crash import Slot
from tests.stream.monitor.test_delivery import alert, eventually, publish
from tests.stream.monitor.test_health import ends, get
from tests.stream.monitor.test_state import damage


@pytest.fixture(autouse=True)
def _real(broker: Broker) -> None:
    if broker.kind == "embedded":
        pytest.skip("the embedded broker gives topics no id and no new partitions: set KAFKA_HOME")


def on(partition: int, deltas: Iterable[CountDelta]) -> Iterator[Record]:
    return (replace(delta_record(one), partition=partition) for one in deltas)


async def recreate(settings: Settings, topic: str) -> None:
    await delete_topic(settings, topic)
    await create_topics(settings)


def settings_on(mortal: ApacheKafka, folder: Path, **options: Any) -> Settings:
    """Settings of a monitor on a broker of its own, which the test may kill."""
    return Settings(
        bootstrap_servers=mortal.bootstrap_servers,
        input_topic="messages",
        topic_prefix="emotions",
        state_dir=folder / "state",
        partitions=1,
        session_timeout_ms=6000,
        **options,
    )


@pytest.mark.timeout(120)
async def test_a_broker_that_is_killed_while_nothing_happens_makes_it_unready_and_then_ends_it_with_5(
    mortal: ApacheKafka, unique_name: str, tmp_path: Path, broker: Broker
) -> None:
    settings = settings_on(mortal, tmp_path, http_port=0, stall_timeout_s=20)
    await create_topics(settings)
    async with running(settings) as started:
        await eventually(lambda: started.monitor.ready)
        mortal.crash()
        began = time.monotonic()

        async def unready() -> bool:
            status, answer = await get(started, "/readyz")
            return status == 503 and "no broker has answered" in answer["reason"]

        await eventually(unready, timeout_s=30)
        error = await ends(started, timeout_s=60)
        assert (await get(started, "/healthz"))[0] == 503
    assert isinstance(error, StalledError)
    assert error.exit_code == 5
    assert time.monotonic() - began < 60


@pytest.mark.timeout(180)
async def test_a_monitor_that_is_told_to_end_while_its_only_broker_is_away_says_what_is_not_written(
    mortal: ApacheKafka, tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last checkpoint would wait for a broker for longer than there is time; the next start makes it."""
    settings = settings_on(
        mortal, tmp_path, monitor_group_id="m", checkpoint_interval_ms=10_000, revoke_timeout_s=2
    )
    port = free_port()
    monkeypatch.setenv("EMOTION_HTTP_PORT", str(port))
    await create_topics(settings)
    servers, topic = mortal.bootstrap_servers, settings.topics.counts
    slot = Slot(settings, broker, settings.state_dir)
    slot.start()
    await eventually(lambda: "partitions taken" in slot.log, timeout_s=40)
    await produce(servers, topic, map(delta_record, two_channels(10)))
    await until(settings, Counter({("support", "joy"): 10, (ALL_CHANNELS, "joy"): 10}))
    await produce(servers, topic, map(delta_record, two_channels(5, first=10)))

    async def taken() -> bool:
        async with aiohttp.request("GET", f"http://127.0.0.1:{port}/metrics") as answer:
            return "emotion_monitor_deltas_total 30.0" in await answer.text()

    await eventually(taken)
    mortal.crash()
    began = time.monotonic()
    await asyncio.to_thread(slot.terminate)
    assert time.monotonic() - began < stop_limit_s(settings.revoke_timeout_s)
    assert f"the next start does it again [stream.monitor.monitor] partitions=['{topic} 0']" in slot.log
    assert "Traceback" not in slot.log
    await asyncio.to_thread(mortal.start)
    async with running(settings):
        await until(settings, Counter({("support", "joy"): 15, (ALL_CHANNELS, "joy"): 15}), timeout_s=60)


@pytest.mark.timeout(120)
async def test_a_monitor_with_nothing_to_write_that_is_told_to_end_while_its_broker_is_away_just_ends(
    mortal: ApacheKafka, tmp_path: Path, broker: Broker
) -> None:
    settings = settings_on(mortal, tmp_path, monitor_group_id="m")
    await create_topics(settings)
    slot = Slot(settings, broker, settings.state_dir)
    slot.start()
    await eventually(lambda: "partitions taken" in slot.log, timeout_s=40)
    mortal.crash()
    await asyncio.to_thread(slot.terminate)
    assert "Traceback" not in slot.log
    assert "written before the end" not in slot.log


async def test_a_counts_topic_made_anew_ends_the_monitor_and_its_lower_offsets_count(
    monitor_topics: MonitorTopics,
) -> None:
    settings = await monitor_topics(partitions=1)
    servers, topic = settings.bootstrap_servers or "", settings.topics.counts
    await produce(servers, topic, map(delta_record, two_channels(30)))
    async with running(settings) as started:
        await until(settings, Counter({("support", "joy"): 30, (ALL_CHANNELS, "joy"): 30}))
        await recreate(settings, topic)
        error = await ends(started)
        assert isinstance(error, TopicError)
        assert "made anew" in str(error)
    await produce(servers, topic, map(delta_record, two_channels(12, first=30)))
    async with running(settings):
        await until(settings, Counter({("support", "joy"): 42, (ALL_CHANNELS, "joy"): 42}))


async def test_alerts_of_partitions_that_a_topic_made_anew_no_longer_has_end(
    monitor_topics: MonitorTopics,
) -> None:
    settings = await monitor_topics(partitions=2)
    old = datetime.now(UTC) - timedelta(days=2)
    kinds: tuple[RuleKind, ...] = ("author", "channel")
    rules = {"author": "sustained-distress", "channel": "anger-surge"}
    left = [
        alert(id=kind, kind=kind, rule=rules[kind], shard=6, starts_at=old, updated_at=old) for kind in kinds
    ]
    await publish(settings, *left)
    async with running(settings) as started:
        board = started.monitor.board
        await eventually(lambda: [one.status for one in board.alerts.values()] == ["resolved"] * 2)


async def test_an_input_topic_made_anew_is_counted_from_its_offset_0(monitor_topics: MonitorTopics) -> None:
    settings = await monitor_topics(partitions=1)
    servers, topic = settings.bootstrap_servers or "", settings.topics.counts

    def of(epoch: str, messages: int) -> Iterator[Record]:
        for one in two_channels(messages):
            yield delta_record(
                one.model_copy(update={"source": one.source.model_copy(update={"epoch": epoch})})
            )

    await produce(servers, topic, of("first", 20))
    await produce(servers, topic, of("second", 15))
    await produce(servers, topic, of("second", 15))
    async with running(settings):
        await until(settings, Counter({("support", "joy"): 35, (ALL_CHANNELS, "joy"): 35}))


async def test_added_partitions_are_read_within_seconds_and_the_changelog_grows_with_them(
    monitor_topics: MonitorTopics,
) -> None:
    settings = await monitor_topics(partitions=1, http_port=0)
    servers, topic = settings.bootstrap_servers or "", settings.topics.counts
    await produce(servers, topic, map(delta_record, two_channels(10)))
    async with running(settings) as started:
        await until(settings, Counter({("support", "joy"): 10, (ALL_CHANNELS, "joy"): 10}))
        await add_partitions(settings, topic, 3)
        began = time.monotonic()
        await eventually(lambda: set(started.monitor.partitions.counts) == {0, 1, 2}, timeout_s=40)
        assert time.monotonic() - began < 40
        changelog = changelog_of(settings, topic)
        assert (await partition_counts(settings, [changelog]))[changelog] == 3
        start = time.time() // 60 * 60
        moved = [delta({start: {"joy": 1}}, first=100 + n, channel="support") for n in range(7)]
        await produce(servers, topic, on(2, moved))
        await until(settings, Counter({("support", "joy"): 17, (ALL_CHANNELS, "joy"): 10}))

        def shown() -> int:
            counters = started.monitor.board.counters("support", 3600)
            return sum(counter.messages for counter in counters)

        await eventually(lambda: shown() == 17)


async def test_one_partition_that_stands_still_while_the_others_move_ends_the_monitor(
    monitor_topics: MonitorTopics, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = await monitor_topics(stall_timeout_s=8, http_port=0)
    servers, topic = settings.bootstrap_servers or "", settings.topics.counts
    take = Partitions.take_delta

    def stuck_on_0(partitions: Partitions, event: object) -> None:
        if event.message.partition != 0:  # type: ignore[attr-defined]
            take(partitions, event)  # type: ignore[arg-type]

    monkeypatch.setattr(Partitions, "take_delta", stuck_on_0)
    async with running(settings) as started:
        await eventually(lambda: started.monitor.ready)
        await produce(servers, topic, on(0, two_channels(3)))
        ending = asyncio.create_task(ends(started, timeout_s=40))
        first = 10
        while not ending.done():
            await produce(servers, topic, on(1, two_channels(1, first=first)))
            first += 1
            await asyncio.sleep(0.3)
        error = await ending
    assert isinstance(error, StalledError)
    assert "partition 0 stands still" in str(error)


@pytest.mark.timeout(180)
async def test_a_broker_that_is_killed_at_work_costs_the_monitor_nothing_but_time(
    mortal: ApacheKafka, tmp_path: Path, broker: Broker
) -> None:
    settings = settings_on(mortal, tmp_path, checkpoint_interval_ms=50, transaction_timeout_ms=2000)
    await create_topics(settings)
    servers, topic = mortal.bootstrap_servers, settings.topics.counts
    async with running(settings) as started:
        await produce(servers, topic, map(delta_record, two_channels(10)))
        await until(settings, Counter({("support", "joy"): 10, (ALL_CHANNELS, "joy"): 10}))
        mortal.crash()
        # Taken, and never committed: the transaction that would say so finds no broker until it is too late.
        started.monitor.partitions.counts[0].apply(next(iter(two_channels(1, first=10))), 10_000)
        await eventually(lambda: bool(started.monitor.partitions.lost), timeout_s=30)
        assert "checkpoint failed" in (started.monitor.not_ready_because or "")
        await asyncio.to_thread(mortal.start)
        await produce(servers, topic, map(delta_record, two_channels(5, first=10)))
        await until(settings, Counter({("support", "joy"): 15, (ALL_CHANNELS, "joy"): 15}), timeout_s=60)
        await eventually(lambda: started.monitor.ready, timeout_s=30)
        assert started.monitor.failure is None


async def test_a_store_that_is_damaged_on_the_disk_is_read_anew_and_skews_no_count(
    monitor_topics: MonitorTopics,
) -> None:
    """Of the counts, all is read at the start; of the authors, each when a signal of theirs comes."""
    settings = await monitor_topics(partitions=1)
    servers, names = settings.bootstrap_servers or "", settings.topics
    channels = [f"channel-{n:03}" for n in range(150)]
    start = time.time() // 60 * 60

    async def one_more(offset: int) -> None:
        deltas = [delta({start: {"joy": 1}}, first=offset, channel=channel) for channel in channels]
        signals = [signal(0.1, author=channel, offset=offset + n) for n, channel in enumerate(channels)]
        await produce(servers, names.counts, map(delta_record, deltas))
        await produce(servers, names.signals, map(signal_record, signals))

    async with running(settings) as started:
        await one_more(0)
        await until(settings, Counter(dict.fromkeys(((channel, "joy") for channel in channels), 1)))
        await eventually(lambda: started.monitor.metrics.signals._value.get() == len(channels))
    for topic in (names.counts, names.signals):
        folder = settings.state_dir / changelog_of(settings, topic) / "0"
        state = DiskState(folder)
        assert len(list(state.items())) > len(channels)
        state._db.flush()
        state._db.compact_range(None, None)
        state.close()
        damage(folder, "*.sst", 0.5)
    async with running(settings) as started:
        await one_more(1000)
        await until(settings, Counter(dict.fromkeys(((channel, "joy") for channel in channels), 2)))
        monitor = started.monitor

        def remembered() -> bool:
            if not monitor.ready or 0 not in monitor.partitions.signals:
                return False
            author = load_author(monitor.membership._owned.state(TP(names.signals, 0)), channels[75])
            return author is not None and len(author.seen) == 2

        await eventually(remembered)
        assert monitor.failure is None


async def test_a_changelog_that_loses_state_by_a_retention_is_spoken_of_at_the_start(
    monitor_topics: MonitorTopics,
) -> None:
    settings = await monitor_topics(partitions=1)
    name = changelog_of(settings, settings.topics.signals)
    config = {"cleanup.policy": "compact,delete", "retention.ms": "1000000"}
    async with connected(settings) as admin:
        await admin.create_topics([NewTopic(name, 1, 1, topic_configs=config)])

    async def visible() -> bool:
        return name in await partition_counts(settings, [name])

    await eventually(visible)
    with structlog.testing.capture_logs() as logs:
        async with running(settings):
            pass
    (warning,) = [line for line in logs if "retention" in line["event"]]
    assert (warning["topic"], f"--entity-name {name}" in warning["event"]) == (name, True)


async def test_a_record_that_its_changelog_has_no_room_for_ends_the_monitor_with_7(
    monitor_topics: MonitorTopics,
) -> None:
    settings = await monitor_topics(partitions=1)
    topic = settings.topics.counts
    name = changelog_of(settings, topic)
    await create_topics(settings, [TopicSpec(name, "state", 1, -1, "compact", max_message_bytes=20_000)])
    named_oddly = "\x01" * 16_000  # each takes six bytes in JSON
    large = delta_record(delta({time.time() // 60 * 60: {"joy": 1}}, channel=named_oddly))
    await produce(settings.bootstrap_servers or "", topic, [large])
    async with running(settings) as started:
        error = await ends(started, timeout_s=40)
    assert isinstance(error, RecordError)
    assert error.exit_code == 7
    assert f"topic {name}" in str(error)
    assert f"the outcome of topic {topic}, partition 0: raise max.message.bytes" in str(error)


async def test_a_changelog_takes_as_large_a_record_as_what_it_follows_from(
    monitor_topics: MonitorTopics,
) -> None:
    settings = await monitor_topics(partitions=1)
    topic = settings.topics.counts
    await prepare_changelogs(settings, {topic: 1})
    told = await configured(settings, [topic, changelog_of(settings, topic)], "max.message.bytes")
    assert set(told.values()) == {str(settings.published_bytes)}
