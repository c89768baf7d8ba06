"""What open pages cost the dashboard: its CPU with none and with many, while labels come.

    python -m benchmarks.dashboard                      # 100 pages, 100 labels/s
    python -m benchmarks.dashboard --pages 300 --rate 1000

A broker, the dashboard as a program of its own, and this process, which writes labels and reads the event
streams of all pages. CPU is the dashboard's process time over wall time, in cores; both figures come from
one run, with the labels going on.
"""

import asyncio
import os
import platform
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Final

import click
import psutil
from aiohttp import ClientSession, CookieJar, TCPConnector
from aiokafka import AIOKafkaProducer

from stream.admin import create_topics
from stream.broker import EmbeddedBroker
from stream.settings import Settings
from tests.stream.dashboard.scene import LABELS, event, of_event, whole, write

SETTLE_S: Final = 4.0


async def measure(settings: Settings, pages: int, rate: int, seconds: float) -> None:
    """Print the cost of labels alone, and with the pages open."""
    await create_topics(settings)
    await write(settings, whole(settings, datetime.now(UTC)))
    async with _dashboard(settings) as (process, address):
        feeding = asyncio.create_task(_feed(settings, rate))
        await asyncio.sleep(SETTLE_S)
        alone = await _cores(process, seconds)
        print(f"no page:    {alone:.3f} cores, {rate} labels/s")
        async with ClientSession(
            cookie_jar=CookieJar(unsafe=True), connector=TCPConnector(limit=0)
        ) as client:
            async with client.get(address) as page:
                page.raise_for_status()
            received = [0] * pages
            reading = [asyncio.create_task(_read(client, address, received, n)) for n in range(pages)]
            await asyncio.sleep(SETTLE_S)
            before = sum(received)
            together = await _cores(process, seconds)
            kilobytes = (sum(received) - before) / seconds / max(pages, 1) / 1000
            for task in (*reading, feeding):
                task.cancel()
            await asyncio.gather(*reading, feeding, return_exceptions=True)
        memory = process.memory_info().rss / 2**20
        print(f"{pages} pages:  {together:.3f} cores; {kilobytes:.1f} kB/s a page; {memory:.0f} MiB resident")


async def _read(client: ClientSession, address: str, received: list[int], place: int) -> None:
    async with client.get(f"{address}/api/stream", timeout=None) as stream:
        async for chunk in stream.content.iter_any():
            received[place] += len(chunk)


async def _cores(process: psutil.Process, seconds: float) -> float:
    begin, spent = time.perf_counter(), sum(process.cpu_times()[:2])
    await asyncio.sleep(seconds)
    return float(sum(process.cpu_times()[:2]) - spent) / (time.perf_counter() - begin)


async def _feed(settings: Settings, rate: int) -> None:
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, linger_ms=5) as producer:
        for n in range(sys.maxsize):
            label = LABELS[n % len(LABELS)]
            made = event(n, datetime.now(UTC), label, author=f"{n % 500:032x}", text="Where is my parcel?")
            topic, key, value = of_event(settings, made)
            await producer.send(topic, value, key=key)
            if n % max(1, rate // 20) == 0:
                await asyncio.sleep(max(1, rate // 20) / rate)


@asynccontextmanager
async def _dashboard(settings: Settings) -> AsyncIterator[tuple[psutil.Process, str]]:
    servers = settings.bootstrap_servers or ""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stream.cli", "dashboard"),
        env=os.environ | {"EMOTION_BOOTSTRAP_SERVERS": servers, "EMOTION_DASHBOARD_PORT": "0"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        yield psutil.Process(process.pid), (await process.stdout.readline()).decode().strip()
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


@click.command()
@click.option("--pages", default=100, show_default=True)
@click.option("--rate", default=100, show_default=True, help="Labels a second.")
@click.option("--seconds", default=20.0, show_default=True, help="How long each figure is measured.")
def main(pages: int, rate: int, seconds: float) -> None:
    """Measure what open pages cost the dashboard."""
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}")
    with EmbeddedBroker() as broker:
        settings = Settings(bootstrap_servers=broker.bootstrap_servers, partitions=4)
        asyncio.run(measure(settings, pages, rate, seconds))


if __name__ == "__main__":
    main()
