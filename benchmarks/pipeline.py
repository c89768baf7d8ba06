"""Messages a second through the annotator and through peers, on the same broker in the same run.

    KAFKA_HOME=/opt/kafka make bench                      no inference: the pipeline alone, with peers
    make bench ARGS="--model shipped --messages 20000"    the shipped model, without peers
    make bench ARGS="--guarantee exactly_once"            one of the two guarantees

Each system reads the same topic from its start, decodes each message, labels it (with ``null`` a ready
decision), and writes an event of about the same size. Its speed is read from the offsets that its group
commits, from the first commit seen to the last, so that start-up does not count. Over the same time its
process is asked for its CPU seconds, user and system, of all its threads (and of its workers, if it has any):
decoding, labelling, encoding, and its client of Kafka; not the broker, which has a process of its own. Where
other work shares the cores, CPU seconds say more than the rate.

The peers' one event a message is not all that the annotator writes. "More of our work" is what a user of Quix
Streams would add for the rest but the counts: a signal keyed by author, pseudonyms, the language, and the
headers of CloudEvents. Peers live in an environment of their own (``.venv/peers``, made by
``make bench``): Quix Streams asks for an older pydantic.
"""

import asyncio
import logging
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import orjson
import psutil
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError
from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine
from stream.admin import connected, create_topics
from stream.settings import Settings
from tests.brokers import ApacheKafka, Embedded

PARTITIONS: Final = 4
STOP_TIMEOUT_S: Final = 15.0
GUARANTEES: Final = ("exactly_once", "at_least_once")
HERE: Final = Path(__file__).parent
PEER_PYTHON: Final = HERE.parent / ".venv" / "peers" / "bin" / "python"
TEXTS: Final = (
    "where is my parcel? it was supposed to arrive on monday and nobody answers the phone",
    "thank you so much, that fixed it!",
    "I cannot log in since the update, the app just closes",
    "order 48213, please change the delivery address to the one in my profile",
)


@dataclass(frozen=True, slots=True)
class System:
    """What is measured: a command that reads ``input_topic`` as ``group`` and ends when it is killed."""

    name: str
    guarantee: str
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Round:
    """One system once: messages a second, and CPU seconds that its process took for 1,000 messages."""

    rate: float
    cpu_s: float


Results = dict[System, list[Round]]


def systems(model: str, peers: bool) -> list[System]:
    """Ours under both guarantees, and the peers that were asked for."""
    annotate = [sys.executable, "-m", "stream.cli", "annotate", "--log-level", "warning"]
    if model != "shipped":
        annotate += ["--model", model]
    found = [System("emotion-stream", g, (*annotate, "--guarantee", g)) for g in GUARANTEES]
    if peers:
        quix = [str(PEER_PYTHON), str(HERE / "peers" / "quix_streams.py")]
        found += [System("Quix Streams", g, (*quix, g, "event")) for g in GUARANTEES]
        found += [System("Quix Streams, more of our work", g, (*quix, g, "more")) for g in GUARANTEES]
        found.append(
            System("Faust agent", "at_least_once", (sys.executable, str(HERE / "peers" / "faust_agent.py")))
        )
    return found


async def load(settings: Settings, messages: int) -> None:
    """Fill the input topic, the same number in each partition."""
    values = [
        orjson.dumps(
            {
                "text": TEXTS[number % len(TEXTS)],
                "id": f"m-{number}",
                "author": f"author {number % 500}",
                "channel": f"channel {number % 5}",
            }
        )
        for number in range(2000)
    ]
    async with AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers, max_batch_size=1_000_000
    ) as producer:
        for partition in range(settings.partitions):
            left = messages // settings.partitions
            while left:
                batch = producer.create_batch()
                for value in values[:left]:
                    batch.append(timestamp=int(time.time() * 1000), key=None, value=value, headers=[])
                left -= min(left, len(values))
                await (await producer.send_batch(batch, settings.input_topic, partition=partition))


async def committed(admin: AIOKafkaAdminClient, settings: Settings) -> int:
    """Messages that the group has committed."""
    try:
        offsets = await admin.list_consumer_group_offsets(settings.group_id)
    except GroupCoordinatorNotAvailableError:  # the broker's first group: its topic is being made
        return 0
    return sum(
        place.offset
        for tp, place in offsets.items()
        if isinstance(tp, TopicPartition) and tp.topic == settings.input_topic and place.offset > 0
    )


async def measure(system: System, settings: Settings, messages: int, timeout_s: float) -> Round:
    """Rate and CPU time from the first commit seen to the last."""
    environment = os.environ | {
        "EMOTION_BOOTSTRAP_SERVERS": str(settings.bootstrap_servers),
        "EMOTION_INPUT_TOPIC": settings.input_topic,
        "EMOTION_TOPIC_PREFIX": settings.topic_prefix,
        "EMOTION_GROUP_ID": settings.group_id,
        "EMOTION_AUTHOR_KEY": "the key of a benchmark",
    }
    process = psutil.Popen(system.command, env=environment, cwd=HERE.parent, stdout=subprocess.DEVNULL)
    try:
        async with asyncio.timeout(timeout_s), connected(settings) as admin:
            while not (done := await committed(admin, settings)):
                await _still_running(system, process)
            first, began, cpu_s = done, time.monotonic(), cpu_seconds(process)
            while (done := await committed(admin, settings)) < messages:
                await _still_running(system, process)
            rate = (done - first) / (time.monotonic() - began)
            return Round(rate, 1000 * (cpu_seconds(process) - cpu_s) / (done - first))
    except TimeoutError:
        raise click.ClickException(f"{system.name}: not done with {messages} in {timeout_s:.0f} s") from None
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait()


async def _still_running(system: System, process: psutil.Popen) -> None:
    if process.poll() is not None:
        raise click.ClickException(f"{system.name} ended by itself with {process.returncode}")
    await asyncio.sleep(0.1)


def cpu_seconds(process: psutil.Process) -> float:
    """User and system time of all threads of a process and of its workers."""
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return float(sum(one.user + one.system for one in times))


async def loaded(bootstrap_servers: str, name: str, partitions: int, messages: int) -> Settings:
    """Settings of new topics by this name, with so many messages in the input topic."""
    settings = Settings(
        bootstrap_servers=bootstrap_servers,
        input_topic=f"{name}-messages",
        topic_prefix=f"{name}-emotions",
        group_id=name,
        partitions=partitions,
    )
    await create_topics(settings)
    await load(settings, messages)
    return settings


async def run(bootstrap_servers: str, todo: list[System], messages: int, rounds: int) -> Results:
    results: Results = {system: [] for system in todo}
    for number in range(rounds):
        for place, system in enumerate(todo):
            name = f"bench-{number}-{place}"
            settings = await loaded(bootstrap_servers, name, PARTITIONS, messages)
            results[system].append(await measure(system, settings, messages, timeout_s=600))
    return results


logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a topic that is new has no leader yet


def report(results: Results, broker: str, model: str, messages: int) -> None:
    table = Table(
        title=f"{messages:,} messages, model {model}, {broker}, {PARTITIONS} partitions, one process"
    )
    table.add_column("system")
    table.add_column("guarantee")
    for column in ("messages/s (best)", "all rounds", "CPU s / 1,000 (least)", "all rounds"):
        table.add_column(column, justify="right")
    for system, rounds in results.items():
        rates, cpu = [one.rate for one in rounds], [one.cpu_s for one in rounds]
        table.add_row(
            *(system.name, system.guarantee),
            *(f"{max(rates):,.0f}", ", ".join(f"{rate:,.0f}" for rate in rates)),
            *(f"{min(cpu):.4f}", ", ".join(f"{seconds:.4f}" for seconds in cpu)),
        )
    console = Console(width=120)
    console.print(table)
    console.print(f"{machine()}, broker on the same cores, load {os.getloadavg()[0]:.1f} at the end")


@click.command()
@click.option("--messages", default=200_000, show_default=True, help="Messages a round.")
@click.option("--rounds", default=3, show_default=True, help="Rounds; the systems take turns.")
@click.option("--model", default="null", show_default=True, help="null, fake, shipped, or a model folder.")
@click.option(
    "--guarantee", default=None, type=click.Choice(GUARANTEES), help="This one alone; default: both."
)
@click.option("--peers/--no-peers", default=None, help="Quix Streams and Faust too; default: with null.")
def main(messages: int, rounds: int, model: str, guarantee: str | None, peers: bool | None) -> None:
    """Messages a second through the annotator and through peers."""
    with_peers = model == "null" if peers is None else peers
    if with_peers and not PEER_PYTHON.exists():
        raise click.ClickException("the peers are not installed: run 'make bench', or add --no-peers")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as around:
        real = bool(os.environ.get("KAFKA_HOME"))
        broker = ApacheKafka(Path(folder), brief=False) if real else Embedded(Path(folder))
        broker.start()
        around.callback(broker.stop)
        todo = [one for one in systems(model, with_peers) if guarantee in {None, one.guarantee}]
        results = asyncio.run(run(broker.bootstrap_servers, todo, messages - messages % PARTITIONS, rounds))
    report(results, "Apache Kafka" if real else "embedded broker", model, messages)


if __name__ == "__main__":
    main()
