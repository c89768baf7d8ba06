"""Count deltas and distress signals a second through one monitor, and the messages that this stands for.

    KAFKA_HOME=/opt/kafka python -m benchmarks.monitor
    python -m benchmarks.monitor --channels 200 --authors 20000 --kafka embedded

The topics are filled first; then one monitor, a process of its own, reads them from the start. Its speed is
read from the offsets that its group commits, from the first commit seen to the last, so that start-up does
not count. Counters, alerts and state are written meanwhile, as always. A delta stands for all messages of
one channel in one commit of one annotator: --messages-a-delta says how many that are.
"""

import asyncio
import logging
import os
import platform
import random
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

import click
import numpy as np
import psutil
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError
from rich.console import Console
from rich.table import Table

from model.labels import LABELS
from stream.admin import connected, create_topics
from stream.cloudevents import to_json, utc
from stream.settings import Settings
from stream.topics import partition_of
from tests.brokers import Broker, broker_of_kind

PARTITIONS: Final = 4
SPREAD_S: Final = 1800
"""Event time that the records are spread over."""

TIMEOUT_S: Final = 300.0


def deltas(count: int, channels: int, messages: int) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of deltas: each for ``messages`` messages of one channel and one minute."""
    start_s, offset = int(time.time()) // 60 * 60 - SPREAD_S, 0
    draw = np.random.default_rng(7)
    for n in range(count):
        channel = f"channel-{draw.integers(channels)}"
        counts = draw.multinomial(messages, [1 / len(LABELS)] * len(LABELS))
        window = {
            "start": utc((start_s + SPREAD_S * n // count // 60 * 60) * 1000),
            "labels": {label: int(count) for label, count in zip(LABELS, counts, strict=True) if count},
            "confidence_sum": 0.8 * messages,
        }
        source = {"topic": "messages", "partition": n % PARTITIONS}
        source |= {"first_offset": offset, "last_offset": offset + messages - 1}
        offset += messages
        yield (
            channel.encode(),
            to_json({"id": str(n), "channel": channel, "source": source, "windows": [window]}),
        )


def signals(count: int, authors: int) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of signals: one message of one author each; most are calm."""
    start_s = time.time() - SPREAD_S
    for n in range(count):
        author = f"{random.randrange(authors):032x}"
        value = {
            "id": f"messages-0-{n}",
            "author": author,
            "channel": "support",
            "label": "neutral",
            "confidence": 0.8,
            "distress": {"score": random.betavariate(1, 6), "level": "none"},
            "ts": utc(int(1000 * (start_s + SPREAD_S * n / count))),
            "model": {"name": "bench", "revision": "1"},
            "source": {"topic": "messages", "partition": 0, "offset": n},
        }
        yield author.encode(), to_json(value)


async def fill(settings: Settings, topic: str, records: Iterator[tuple[bytes, bytes]]) -> int:
    """Write the records as an annotator would; how many they were."""
    sent = 0
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, linger_ms=20) as producer:
        for key, value in records:
            await producer.send(topic, value, key=key, partition=partition_of(key, PARTITIONS))
            sent += 1
    return sent


class Speed(NamedTuple):
    """How fast one monitor took records, and the CPU time that one of them cost it."""

    records_a_second: float
    cpu_us: float


async def speed(admin: AIOKafkaAdminClient, process: Process, group: str, topic: str, total: int) -> Speed:
    """Speed on a topic, from the offsets that the group commits."""
    places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    first: tuple[int, float, float] | None = None
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline and process.returncode is None:
        try:
            offsets = await admin.list_consumer_group_offsets(group, partitions=places)
        except GroupCoordinatorNotAvailableError:  # a fresh broker makes its offsets topic on first use
            await asyncio.sleep(0.2)
            continue
        done = sum(max(0, offset.offset) for offset in offsets.values())
        now, used = time.monotonic(), psutil.Process(process.pid).cpu_times()
        cpu_s = used.user + used.system
        if done and first is None:
            first = done, now, cpu_s
        if first is not None and done >= total:
            records = total - first[0]
            return Speed(records / max(now - first[1], 1e-9), 1e6 * (cpu_s - first[2]) / max(records, 1))
        await asyncio.sleep(0.05)
    raise click.ClickException(f"{topic} was not read within {TIMEOUT_S:.0f} s, or the monitor ended")


@asynccontextmanager
async def monitor(settings: Settings, folder: Path) -> AsyncIterator[Process]:
    """One monitor as a process of its own; what it warns of goes to stderr."""
    environment = os.environ | {
        "EMOTION_BOOTSTRAP_SERVERS": settings.bootstrap_servers or "",
        "EMOTION_TOPIC_PREFIX": settings.topic_prefix,
        "EMOTION_INPUT_TOPIC": settings.input_topic,
        "EMOTION_MONITOR_GROUP_ID": settings.monitor_group_id,
        "EMOTION_STATE_DIR": str(folder / "state"),
        "EMOTION_LOG_LEVEL": "warning",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "stream.cli", "monitor", env=environment
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def measure(broker: Broker, folder: Path, kind: str, records: Iterator[tuple[bytes, bytes]]) -> Speed:
    """Speed on one kind of records (counts or signals)."""
    settings = Settings(
        bootstrap_servers=broker.bootstrap_servers,
        input_topic=f"bench.{kind}.messages",
        topic_prefix=f"bench.{kind}",
        monitor_group_id=f"bench-{kind}",
        partitions=PARTITIONS,
    )
    await create_topics(settings)
    topic = getattr(settings.topics, kind)
    total = await fill(settings, topic, records)
    async with monitor(settings, folder / kind) as process, connected(settings) as admin:
        return await speed(admin, process, settings.monitor_group_id, topic, total)


@click.command()
@click.option("--deltas", "delta_count", default=100_000, show_default=True)
@click.option("--signals", "signal_count", default=100_000, show_default=True)
@click.option("--channels", default=100, show_default=True)
@click.option("--authors", default=10_000, show_default=True)
@click.option("--messages-a-delta", default=50, show_default=True, help="Of one channel, in one commit.")
@click.option(
    "--kafka", "kind", type=click.Choice(["apache", "embedded"]), default="apache", show_default=True
)
def main(
    delta_count: int, signal_count: int, channels: int, authors: int, messages_a_delta: int, kind: str
) -> None:
    """Measure one monitor."""
    random.seed(7)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-monitor-")))
        broker = broker_of_kind(kind, folder)
        broker.start()
        stack.callback(broker.stop)
        deltas_speed = asyncio.run(
            measure(broker, folder, "counts", deltas(delta_count, channels, messages_a_delta))
        )
        signals_speed = asyncio.run(measure(broker, folder, "signals", signals(signal_count, authors)))
    table = Table("records", "a second", "CPU µs each", "messages a second that this stands for")
    # A message is counted twice: in its channel, and in the total.
    messages = deltas_speed.records_a_second * messages_a_delta / 2
    rows = (
        ("count deltas", deltas_speed, f"{messages:,.0f} ({messages_a_delta} a delta)"),
        ("distress signals", signals_speed, f"{signals_speed.records_a_second:,.0f} (one a message)"),
    )
    for name, measured, stands_for in rows:
        table.add_row(name, f"{measured.records_a_second:,.0f}", f"{measured.cpu_us:,.0f}", stands_for)
    console = Console(width=110)
    console.print(table)
    console.print(
        f"{kind}, {channels} channels, {authors} authors; Python {platform.python_version()}, "
        f"{os.cpu_count()} cores shared by broker and monitor, load {os.getloadavg()[0]:.0f}"
    )


if __name__ == "__main__":
    main()
