"""What to plan with: CPU time a message, memory, and bytes that each topic takes.

    KAFKA_HOME=/opt/kafka python -m benchmarks.sizing                   10,000 messages, the shipped model
    KAFKA_HOME=/opt/kafka python -m benchmarks.sizing --model null      the pipeline alone

Messages are those of training/messages, no text twice, from 1,000 authors in 20 channels. The classifier
alone reads them first, in batches as the annotator makes them from all that waits: what the annotator takes
beyond that is the stream's. The annotator drains the topic once while it is empty and once full, so that its
start does not count; CPU time and memory are those that the operating system tells of its process. Bytes are
those of the log files. Topics that do not grow with each message are left out.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import orjson
import psutil
from aiokafka import AIOKafkaProducer
from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine
from model.contract import Encoded
from model.runtimes.cpu import BATCH_COST_TOKENS, MAX_BATCH_TOKENS
from model.runtimes.padding import cheapest, even_share
from model.runtimes.threads import usable_cores
from stream.admin import create_topics
from stream.annotate.batcher import Batcher
from stream.annotate.models import ready_model
from stream.settings import Settings
from tests.brokers import ApacheKafka

ROOT: Final = Path(__file__).parent.parent
PARTITIONS: Final = 4
AUTHORS: Final = 1000
CHANNELS: Final = 20
TOKENIZED_TOGETHER: Final = 256
GROW: Final = ("messages", "emotions", "emotions.signals", "emotions.counts")


@dataclass(frozen=True, slots=True)
class Run:
    """What one process took, from its start to its end."""

    seconds: float
    cpu_s: float
    memory_bytes: int


def alone(messages: int, model: str) -> tuple[float, float]:
    """The classifier without a stream, reading and deciding in batches: CPU seconds, and part of padding."""
    settings = Settings(model=None if model == "shipped" else model, remember_texts=0)
    classifier = ready_model(settings)
    texts = [orjson.loads(value)["text"] for value in values(messages)]
    batcher = Batcher[Encoded](settings.max_batch_tokens, 0.0)
    started = time.process_time()
    for start in range(0, len(texts), TOKENIZED_TOGETHER):
        for text in classifier.tokenize(texts[start : start + TOKENIZED_TOGETHER]):
            batcher.add(text, longest=text.longest, rows=len(text.windows), arrived_at=0.0)
    tokens = padded = 0
    while len(batcher):
        batch = batcher.take().items
        classifier.decide(batch, classifier.forward(batch))
        tokens += sum(text.tokens for text in batch)
        padded += padded_tokens([len(window) for text in batch for window in text.windows])
    return time.process_time() - started, 1 - tokens / padded


def padded_tokens(lengths: list[int]) -> int:
    """Tokens that the CPU works on for windows of these lengths: it cuts a batch by length once more."""
    share = even_share(sum(lengths), usable_cores(), MAX_BATCH_TOKENS)
    cut = cheapest(lengths, share, BATCH_COST_TOKENS)
    return sum(len(rows) * max(lengths[row] for row in rows) for rows in cut)


def values(messages: int) -> Iterator[bytes]:
    texts = [
        orjson.loads(line)["text"]
        for path in sorted((ROOT / "training" / "messages").glob("*.jsonl"))
        for line in path.read_bytes().splitlines()
        if b'"text"' in line
    ]
    for number, text in enumerate(dict.fromkeys(texts)):
        if number == messages:
            return
        author, channel = f"author {number % AUTHORS}", f"channel {number % CHANNELS}"
        yield orjson.dumps({"text": text, "id": f"m-{number}", "author": author, "channel": channel})


async def load(settings: Settings, messages: int) -> int:
    """Send the messages; how many there were."""
    sent = 0
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, linger_ms=20) as producer:
        for value in values(messages):
            await producer.send(settings.input_topic, value, key=f"author {sent % AUTHORS}".encode())
            sent += 1
        await producer.flush()
    return sent


def run(settings: Settings, *arguments: str, until: Callable[[], bool] | None = None) -> Run:
    """Run a command to its end, or until something is so, and look at what it takes."""
    environment = os.environ | {
        "EMOTION_BOOTSTRAP_SERVERS": str(settings.bootstrap_servers),
        "EMOTION_AUTHOR_KEY": "the key of a benchmark",
        "EMOTION_LOG_LEVEL": "error",
        # A machine that does other things too is slow, not stalled.
        "EMOTION_STALL_TIMEOUT_S": "900",
    }
    started, cpu_s, memory_bytes = time.monotonic(), 0.0, 0
    command = [sys.executable, "-m", "stream.cli", *arguments]
    with psutil.Popen(command, env=environment, cwd=ROOT) as process:
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            times = process.cpu_times()
            cpu_s = times.user + times.system
            memory_bytes = max(memory_bytes, process.memory_info().rss)
            if until is not None and until():
                process.terminate()
                break
            time.sleep(0.05)
    if until is None and process.returncode:
        raise click.ClickException(f"{arguments[0]} ended with {process.returncode}")
    return Run(time.monotonic() - started, cpu_s, memory_bytes)


def topic_bytes(folder: Path) -> dict[str, int]:
    """Bytes in the log files of each topic."""
    found: dict[str, int] = {}
    for log in folder.glob("*/*.log"):
        topic = log.parent.name.rpartition("-")[0]
        if not topic.startswith("__"):
            found[topic] = found.get(topic, 0) + log.stat().st_size
    return found


class Settled:
    """Whether the monitor has published counters, and then for five seconds none."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._size = 0
        self._since = time.monotonic()

    def __call__(self) -> bool:
        size, now = topic_bytes(self._folder).get("emotions.counters", 0), time.monotonic()
        if size != self._size:
            self._size, self._since = size, now
        return now - self._since > (5 if size else 120)


@click.command()
@click.option("--messages", default=10_000, show_default=True, help="At most; there are some 18,000.")
@click.option("--model", default="shipped", show_default=True, help="null, fake, shipped, or a model folder.")
def main(messages: int, model: str) -> None:
    """Measure what to plan with, on Apache Kafka of KAFKA_HOME."""
    if not os.environ.get("KAFKA_HOME"):
        raise click.ClickException("KAFKA_HOME is not set: bytes are measured in Apache Kafka's own files")
    with tempfile.TemporaryDirectory() as name, ExitStack() as around:
        folder = Path(name)
        broker = ApacheKafka(folder, brief=False)
        broker.start()
        around.callback(broker.stop)
        settings = Settings(bootstrap_servers=broker.bootstrap_servers, partitions=PARTITIONS)
        asyncio.run(create_topics(settings))
        annotate = ["annotate", "--drain", "--remember-texts", "0"]
        annotate += [] if model == "shipped" else ["--model", model]
        alone_s, padding = alone(messages, model)
        empty = run(settings, *annotate)
        sent = asyncio.run(load(settings, messages))
        full = run(settings, *annotate)
        data = folder / "data"
        monitor = run(settings, "monitor", "--state-dir", str(folder / "state"), until=Settled(data))
        sizes = {topic: size for topic, size in topic_bytes(data).items() if topic in GROW}
    report(sent, model, alone_s, padding, empty, full, monitor, sizes)


def report(
    sent: int,
    model: str,
    alone_s: float,
    padding: float,
    empty: Run,
    full: Run,
    monitor: Run,
    sizes: dict[str, int],
) -> None:
    cpu_ms, alone_ms = (full.cpu_s - empty.cpu_s) / sent * 1e3, alone_s / sent * 1e3
    console = Console(width=110)
    console.print(f"{sent:,} messages, model {model}; {machine()}, load {os.getloadavg()[0]:.1f}")
    console.print(
        f"classifier alone: {alone_ms:.2f} ms of CPU a message; annotator: {cpu_ms / alone_ms:.2f} x that"
    )
    console.print(f"padding: {padding:.1%} of the tokens that a CPU works on")
    console.print(
        f"annotator: {cpu_ms:.2f} ms of CPU a message, {1e3 / cpu_ms:,.0f} messages a core and second"
    )
    console.print(
        f"annotator: {full.memory_bytes / 2**20:,.0f} MiB at most, {empty.memory_bytes / 2**20:,.0f} idle"
    )
    console.print(f"monitor: {monitor.memory_bytes / 2**20:,.0f} MiB at most in {monitor.seconds:.0f} s")
    table = Table("topic", "MB a million messages")
    for topic, size in sorted(sizes.items()):
        table.add_row(topic, f"{size / sent:,.0f}")
    console.print(table)


if __name__ == "__main__":
    main()
