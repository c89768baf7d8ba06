"""How soon the annotator labels after its start, and how much memory it takes.

    KAFKA_HOME=/opt/kafka make bench-start                   the shipped model on a CPU
    make bench-start ARGS="--rounds 9 --messages 20000"

A message waits in the input topic of a running cluster. The clock runs from the start of
``emotion-stream annotate`` to the moment when a reader of committed records has the labelled event in hand.
Then the messages are labelled, and the most memory that was resident since the start is read (VmHWM, Linux).
"""

import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
from aiokafka import AIOKafkaConsumer

from benchmarks.machine import machine
from benchmarks.pipeline import PARTITIONS, committed, load
from stream.admin import connected, create_topics
from stream.settings import Settings
from tests.brokers import ApacheKafka, Embedded
from tests.records import produce

TIMEOUT_S: Final = 120.0
LONG_MESSAGES: Final = 8
"""Of up to 900 words, several windows of the model: what makes its batches largest."""
WORDS: Final = [
    "happy",
    "sad",
    "order",
    "late",
    "thanks",
    "why",
    "never",
    "again",
    "love",
    "broken",
    "help",
    "please",
    "today",
    "friend",
    "lost",
]


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds to the first label, of them on a processor, and megabytes resident: then, and at most."""

    first_label_s: float
    cpu_s: float
    first_label_mb: float
    most_mb: float


async def measure(settings: Settings, messages: int, arguments: list[str]) -> Start:
    await create_topics(settings)
    await produce(str(settings.bootstrap_servers), settings.input_topic, [b'{"text": "what a lovely day"}'])
    consumer = AIOKafkaConsumer(
        settings.topics.emotions,
        bootstrap_servers=settings.bootstrap_servers,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        group_id=None,
    )
    async with consumer:
        began = time.monotonic()
        process = subprocess.Popen(  # noqa: ASYNC220 - starting it is what is measured
            [sys.executable, "-m", "stream.cli", "annotate", "--log-level", "warning", *arguments],
            env=os.environ | environment(settings),
        )
        try:
            await asyncio.wait_for(consumer.getone(), TIMEOUT_S)
            first_label_s, cpu_s = time.monotonic() - began, cpu_seconds(process.pid)
            first_label_mb = resident_mb(process.pid, "VmRSS")
            await label_all(settings, messages, process)
            return Start(first_label_s, cpu_s, first_label_mb, resident_mb(process.pid, "VmHWM"))
        finally:
            process.terminate()
            process.wait()


async def label_all(settings: Settings, messages: int, process: subprocess.Popen[bytes]) -> None:
    """Label messages of every length up to the longest window and beyond."""
    await load(settings, messages)
    choose = random.Random(7)
    long = [" ".join(choose.choices(WORDS, k=choose.randint(1, 900))) for _ in range(LONG_MESSAGES)]
    values = [f'{{"text": "{text}"}}'.encode() for text in long]
    await produce(str(settings.bootstrap_servers), settings.input_topic, values)
    total = 1 + messages - messages % PARTITIONS + len(values)
    async with asyncio.timeout(600), connected(settings) as admin:
        while await committed(admin, settings) < total:
            if process.poll() is not None:
                raise click.ClickException(f"the annotator ended by itself with {process.returncode}")
            await asyncio.sleep(0.2)


def environment(settings: Settings) -> dict[str, str]:
    return {
        "EMOTION_BOOTSTRAP_SERVERS": str(settings.bootstrap_servers),
        "EMOTION_INPUT_TOPIC": settings.input_topic,
        "EMOTION_TOPIC_PREFIX": settings.topic_prefix,
        "EMOTION_GROUP_ID": settings.group_id,
        "EMOTION_AUTHOR_KEY": "the key of a benchmark",
    }


def resident_mb(pid: int, field: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise click.ClickException(f"/proc/{pid}/status has no {field}: this needs Linux")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--rounds", default=5, show_default=True, help="Starts.")
@click.option("--messages", default=2_000, show_default=True, help="Messages labelled before memory is read.")
@click.argument("arguments", nargs=-1)
def main(rounds: int, messages: int, arguments: tuple[str, ...]) -> None:
    """Seconds to the first label and memory of the annotator; ARGUMENTS go to annotate."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as around:
        real = bool(os.environ.get("KAFKA_HOME"))
        broker = ApacheKafka(Path(folder), brief=False) if real else Embedded(Path(folder))
        broker.start()
        around.callback(broker.stop)
        starts = []
        for number in range(rounds):
            name = f"start-{number}"
            settings = Settings(
                bootstrap_servers=broker.bootstrap_servers,
                input_topic=f"{name}-messages",
                topic_prefix=f"{name}-emotions",
                group_id=name,
                partitions=PARTITIONS,
            )
            starts.append(asyncio.run(measure(settings, messages, list(arguments))))
    for title, values in (
        ("seconds to the first label", [start.first_label_s for start in starts]),
        ("  of them on a processor", [start.cpu_s for start in starts]),
        ("MB resident at the first label", [start.first_label_mb for start in starts]),
        (f"MB resident at most, {messages + LONG_MESSAGES:,} messages", [start.most_mb for start in starts]),
    ):
        shown = ", ".join(f"{value:.2f}" if value < 100 else f"{value:.0f}" for value in values)
        print(f"{title:<45} median {statistics.median(values):7.2f}   all {shown}")
    print(f"{machine()}; {'Apache Kafka' if real else 'embedded broker'} on the same cores")


if __name__ == "__main__":
    main()
