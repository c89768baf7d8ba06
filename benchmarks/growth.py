"""Messages a second and CPU seconds against workers and partitions, in one run on one broker.

    KAFKA_HOME=/opt/kafka python -m benchmarks.growth                                 no inference
    python -m benchmarks.growth --model shipped --messages 2000 --partitions 4        the shipped model

Rates and CPU seconds are read as in ``benchmarks.pipeline``; those of workers are summed. Workers share the
cores with each other and with the broker, so what they gain ends where the cores do.
"""

import asyncio
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine
from benchmarks.pipeline import Round, System, loaded, measure
from tests.brokers import ApacheKafka, Embedded


def numbers(given: str) -> list[int]:
    return [int(part) for part in given.split(",")]


async def grow(
    bootstrap_servers: str, model: str, messages: int, workers: list[int], partitions: list[int]
) -> dict[tuple[int, int], Round]:
    """Each number of partitions with each number of workers, once."""
    found = {}
    for partition_count in partitions:
        for worker_count in workers:
            name = f"growth-{partition_count}-{worker_count}"
            count = messages - messages % partition_count
            settings = await loaded(bootstrap_servers, name, partition_count, count)
            command = [sys.executable, "-m", "stream.cli", "annotate", "--log-level", "error"]
            command += ["--workers", str(worker_count)]
            command += [] if model == "shipped" else ["--model", model]
            system = System(f"{worker_count} workers", "exactly_once", tuple(command))
            found[partition_count, worker_count] = await measure(system, settings, count, timeout_s=600)
    return found


@click.command()
@click.option("--messages", default=60_000, show_default=True, help="Messages of each figure.")
@click.option("--model", default="null", show_default=True, help="null, fake, shipped, or a model folder.")
@click.option("--workers", default="1,2", show_default=True, callback=lambda *given: numbers(given[2]))
@click.option("--partitions", default="1,4,16", show_default=True, callback=lambda *given: numbers(given[2]))
def main(messages: int, model: str, workers: list[int], partitions: list[int]) -> None:
    """Rates and CPU seconds by workers and partitions."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as around:
        real = bool(os.environ.get("KAFKA_HOME"))
        broker = ApacheKafka(Path(folder), brief=False) if real else Embedded(Path(folder))
        broker.start()
        around.callback(broker.stop)
        found = asyncio.run(grow(broker.bootstrap_servers, model, messages, workers, partitions))
    table = Table(title=f"{messages:,} messages, model {model}: messages/s (CPU s for 1,000)")
    table.add_column("partitions", justify="right")
    for worker_count in workers:
        table.add_column(f"{worker_count} worker{'s' if worker_count > 1 else ''}", justify="right")
    for partition_count in partitions:
        rounds = [found[partition_count, worker_count] for worker_count in workers]
        table.add_row(str(partition_count), *(f"{one.rate:,.0f} ({one.cpu_s:.3f})" for one in rounds))
    console = Console(width=110)
    console.print(table)
    kind = "Apache Kafka" if real else "embedded broker"
    console.print(f"{machine()}; {kind} on the same cores; load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
