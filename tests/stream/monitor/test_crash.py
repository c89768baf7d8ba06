"""Monitors are killed at random moments while a known input flows: counters exact, each alert once."""

import asyncio
import os
import signal as signals
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import pytest
from aiokafka import AIOKafkaProducer

from stream.events import ALL_CHANNELS, CountDelta, DistressSignal
from stream.monitor.events import Alert, WindowCounter
from stream.monitor.rulesfile import RulesFile
from stream.monitor.signalling import SignalPartition
from stream.settings import Settings
from tests.brokers import Broker
from tests.records import read_committed_all
from tests.stream.monitor.conftest import MonitorTopics
from tests.stream.monitor.factories import delta, signal
from tests.stream.monitor.test_app import alerts_of, latest

KILLS = 5
FREEZES = 2
ROUNDS = 400
INPUT_PARTITIONS = 3
CHANNELS = ("support", "sales", "community")

Key = tuple[str, int, int, str]
"""(channel, window length, window start, label)"""


@pytest.fixture(autouse=True)
def _broker_that_evicts(broker: Broker) -> None:
    """The embedded broker keeps a killed member's partitions for ever, so nobody takes them over there."""
    if broker.kind == "embedded":
        pytest.skip("needs a broker that gives a killed monitor's partitions away: set KAFKA_HOME")


class Slot:
    """A place for a monitor process, with a state folder that outlives it."""

    def __init__(self, settings: Settings, broker: Broker, folder: Path) -> None:
        self._group_id = settings.monitor_group_id
        self._broker = broker
        names = ("bootstrap_servers", "input_topic", "topic_prefix", "monitor_group_id")
        intervals = ("checkpoint_interval_ms", "session_timeout_ms", "judge_delay_s", "revoke_timeout_s")
        values = {name: str(getattr(settings, name)) for name in (*names, *intervals)}
        values |= {"state_dir": str(folder), "client_id": folder.name}
        self._environment = os.environ | {f"EMOTION_{name.upper()}": value for name, value in values.items()}
        self._log = folder.with_suffix(".log")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stream.cli", "monitor"],
                cwd=Path(__file__).parents[3],
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """SIGKILL: it gets to do nothing more."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self._broker.member_died(self._group_id, self._log.stem)

    def terminate(self) -> None:
        """SIGTERM: it writes a last checkpoint and leaves the group."""
        assert self.process is not None
        self.process.terminate()
        assert self.process.wait(20) == 0, self.log

    def pause(self) -> None:
        """SIGSTOP: the group gives its partitions away meanwhile."""
        assert self.process is not None
        self.process.send_signal(signals.SIGSTOP)
        self._broker.member_died(self._group_id, self._log.stem)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signals.SIGCONT)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def started(self) -> bool:
        return self.alive and "monitor started" in self.log

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")


async def hurried(monitor_topics: MonitorTopics, broker: Broker) -> Settings:
    """Settings with which partitions move within seconds, and checkpoints are frequent."""
    return await monitor_topics(
        partitions=4,
        session_timeout_ms=max(2000, broker.min_session_timeout_ms),
        checkpoint_interval_ms=100,
        revoke_timeout_s=1,
    )


def make_input(random: Random) -> tuple[list[CountDelta], list[DistressSignal], Counter[Key], set[str]]:
    """Deltas and signals, and what must come of them: counts by window, and the authors with an alert."""
    start = int(time.time()) // 60 * 60 - 600
    expected: Counter[Key] = Counter()
    deltas: list[CountDelta] = []
    sent: list[DistressSignal] = []
    offsets = [0] * INPUT_PARTITIONS
    distressed = {f"author-{n}" for n in range(0, 40, 4)}
    for turn in range(ROUNDS):
        partition = random.randrange(INPUT_PARTITIONS)
        minute = start + 60 * (turn // 40)
        labels = {random.choice(["joy", "anger", "fear"]): random.randint(1, 4)}
        messages = sum(labels.values())
        for channel in (random.choice(CHANNELS), ALL_CHANNELS):
            deltas.append(
                delta({minute: labels}, first=offsets[partition], partition=partition, channel=channel)
            )
            for label, count in labels.items():
                for length in (60, 300, 3600):
                    expected[channel, length, minute // length * length, label] += count
        author = f"author-{turn % 40}"
        score = 0.95 if author in distressed else 0.1
        sent.append(
            signal(
                score, author=author, offset=offsets[partition], partition=partition, ts=minute + turn % 40
            )
        )
        offsets[partition] += messages
    return deltas, sent, expected, distressed


async def published(settings: Settings) -> Counter[Key]:
    found: Counter[Key] = Counter()
    for value in (await latest(settings, settings.topics.counters)).values():
        counter = WindowCounter.model_validate_json(value or b"")
        for label, count in counter.labels.items():
            key = (counter.channel, counter.window_s, int(counter.start.timestamp()), label)
            found[key] = count
    return found


async def feed(
    settings: Settings, deltas: list[CountDelta], sent: list[DistressSignal], over_s: float
) -> None:
    """Produce the input in transactions, some of which are aborted, over some seconds."""
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers, transactional_id=f"{settings.topic_prefix}.feed"
    )
    names = settings.topics
    async with producer:
        for turn, one in enumerate(sent):
            for abort in (True, False) if turn % 50 == 0 else (False,):
                await producer.begin_transaction()
                for change in deltas[2 * turn : 2 * turn + 2]:
                    body = change.model_dump_json().encode()
                    await producer.send(names.counts, body, key=change.channel.encode())
                body = one.model_dump_json().encode()
                await producer.send(names.signals, body, key=(one.author or "").encode())
                await (producer.abort_transaction() if abort else producer.commit_transaction())
            await asyncio.sleep(over_s / len(sent))


async def holds(settings: Settings, expected: Counter[Key]) -> str | None:
    """What the counters lack or have too much; None where they are as expected."""
    found = await published(settings)
    return None if found == expected else f"too many: {found - expected}, too few: {expected - found}"


def batch_of_alerts(sent: list[DistressSignal]) -> list[tuple[str, int]]:
    """Id and revision of every alert record that the rules make of the signals, read once and in order."""
    partition = SignalPartition(0, RulesFile(None, base_s=60).rules, lambda _: None)
    return [
        (alert.id, alert.revision)
        for offset, one in enumerate(sent)
        for alert in partition.apply(one, offset)
    ]


async def alert_changes(settings: Settings) -> Counter[tuple[str, int]]:
    """Every alert record that was published, by id and revision."""
    records = await read_committed_all(settings.bootstrap_servers or "", settings.topics.alerts)
    alerts = (Alert.model_validate_json(record.value or b"") for record in records)
    return Counter((alert.id, alert.revision) for alert in alerts)


async def alerted(settings: Settings, authors: set[str]) -> str | None:
    found = {alert.author for alert in await alerts_of(settings)}
    return None if found >= authors else f"no alert of {authors - found}"


async def until(wrong: Callable[[], Awaitable[str | None]], timeout_s: float, slots: list[Slot]) -> None:
    """Wait; a monitor that has ended by itself is started again, as an orchestrator does."""
    deadline = time.monotonic() + timeout_s
    while (what := await wrong()) is not None:
        if not any(slot.alive for slot in slots):
            slots[0].start()
        assert time.monotonic() < deadline, "\n".join([what, *(slot.log for slot in slots)])
        await asyncio.sleep(0.5)


@pytest.mark.crash
@pytest.mark.timeout(300)
async def test_killed_monitors_count_exactly_and_raise_each_alert_once(
    monitor_topics: MonitorTopics, broker: Broker, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    random = Random(pytestconfig.getoption("--crash-seed"))
    settings = await hurried(monitor_topics, broker)
    deltas, sent, expected, distressed = make_input(random)
    slots = [Slot(settings, broker, tmp_path / f"slot-{number}") for number in range(2)]
    feeding = asyncio.create_task(feed(settings, deltas, sent, over_s=15))
    try:
        slots[0].start()
        kills = 0
        while kills < KILLS:
            await asyncio.sleep(random.uniform(0.5, 4.0))
            slot = random.choice(slots)
            if not slot.alive:
                slot.start()
            elif kills % 4 == 3 and slot.started and random.random() < 0.5:
                await asyncio.to_thread(slot.terminate)
            else:
                await asyncio.to_thread(slot.kill)
                kills += 1
            if not any(slot.alive for slot in slots):
                random.choice(slots).start()
        await feeding
        await until(lambda: holds(settings, expected), 120, slots)
        await until(lambda: alerted(settings, distressed), 10, slots)
    finally:
        feeding.cancel()
        for slot in slots:
            if slot.alive:
                slot.kill()

    assert await alert_changes(settings) == Counter(batch_of_alerts(sent))


@pytest.mark.crash
@pytest.mark.timeout(300)
async def test_a_monitor_that_was_frozen_while_its_partitions_moved_does_no_harm(
    monitor_topics: MonitorTopics, broker: Broker, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    random = Random(pytestconfig.getoption("--crash-seed"))
    settings = await hurried(monitor_topics, broker)
    deltas, sent, expected, distressed = make_input(random)
    slots = [Slot(settings, broker, tmp_path / f"slot-{number}") for number in range(2)]
    try:
        for slot in slots:
            slot.start()
        await asyncio.to_thread(wait_until_started, slots)
        feeding = asyncio.create_task(feed(settings, deltas, sent, over_s=12))
        for turn in range(FREEZES):
            await asyncio.sleep(random.uniform(1.0, 2.0))
            await asyncio.to_thread(slots[turn % 2].pause)
            await asyncio.sleep(2 * settings.session_timeout_ms / 1000)
            slots[turn % 2].resume()
        await feeding
        await until(lambda: holds(settings, expected), 45, slots)
        await until(lambda: alerted(settings, distressed), 10, slots)
    finally:
        for slot in slots:
            if slot.alive:
                slot.resume()
                slot.kill()
    assert await alert_changes(settings) == Counter(batch_of_alerts(sent))


def wait_until_started(slots: list[Slot]) -> None:
    deadline = time.monotonic() + 60
    while not all("partitions taken" in slot.log for slot in slots):
        assert time.monotonic() < deadline, "\n".join(slot.log for slot in slots)
        time.sleep(0.2)
