"""The most memory that an annotator takes while its partitions hold records that unpack to far more.

    KAFKA_HOME=/opt/kafka python -m benchmarks.memory                 one record of 120 MB a partition
    KAFKA_HOME=/opt/kafka python -m benchmarks.memory --records 12    twelve of them

Each record is a batch of its own, compressed by its producer to some kilobytes. All are too large to be
labelled and become dead letters: what is measured is what it takes to come by them. Memory is what the
operating system tells of the process, with the model ``fake``, beside what it takes of nothing.
"""

import asyncio
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import click
from aiokafka import AIOKafkaProducer
from rich.console import Console

from benchmarks.machine import machine
from benchmarks.sizing import run
from stream.admin import create_topics
from stream.settings import Settings
from tests.brokers import ApacheKafka

MEGABYTE: Final = 1_000_000


async def send(settings: Settings, records: int, megabytes: int) -> None:
    """So many records of so many megabytes to each partition."""
    value = b"a" * megabytes * MEGABYTE
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers,
        compression_type="zstd",
        max_request_size=2 * len(value),
    )
    async with producer:
        for number in range(records * settings.partitions):
            await producer.send_and_wait(settings.input_topic, value, partition=number % settings.partitions)


@click.command()
@click.option("--partitions", default=8, show_default=True)
@click.option("--records", default=1, show_default=True, help="In each partition.")
@click.option("--megabytes", default=120, show_default=True, help="Of each record, unpacked.")
def main(partitions: int, records: int, megabytes: int) -> None:
    """Measure it on Apache Kafka of KAFKA_HOME."""
    if not os.environ.get("KAFKA_HOME"):
        raise click.ClickException("KAFKA_HOME is not set: the embedded broker takes no such batches")
    with tempfile.TemporaryDirectory() as name, ExitStack() as around:
        broker = ApacheKafka(Path(name))
        broker.start()
        around.callback(broker.stop)
        settings = Settings(bootstrap_servers=broker.bootstrap_servers, partitions=partitions)
        asyncio.run(create_topics(settings))
        annotate = ("annotate", "--drain", "--model", "fake")
        nothing = run(settings, *annotate)
        asyncio.run(send(settings, records, megabytes))
        taken = run(settings, *annotate)
    console = Console(width=110)
    console.print(f"{machine()}; nothing: {nothing.memory_bytes / 2**20:,.0f} MiB at most")
    console.print(
        f"{records} of {megabytes} MB in each of {partitions} partitions: "
        f"{taken.memory_bytes / 2**20:,.0f} MiB at most in {taken.seconds:.0f} s"
    )


if __name__ == "__main__":
    main()
