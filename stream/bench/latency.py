"""Latency against offered load, of one annotator on a broker of its own or on a named cluster."""

import asyncio
import math
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiohttp import ClientError, ClientSession
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError
from prometheus_client.parser import text_string_to_metric_families

from stream.admin import create_topics
from stream.bench.openloop import Wire, burst, due_times, offered, sustained
from stream.errors import StreamError
from stream.kafka import connection
from stream.processes import Beside, beside
from stream.settings import Settings

QUIET_S: Final = 120.0
BURST_ROUNDS: Final = 2
SUSTAINED_BURSTS: Final = 5
"""As many messages as so many bursts have come one by one before the capacity is told."""
LEAST_MESSAGES: Final = 200
"""At each load: fewer say nothing of a 99th percentile."""


class BenchError(StreamError):
    """The measurement did not come to its end. Its exit code is the annotator's where that has ended."""

    def __init__(self, reason: str, annotator: Beside) -> None:
        super().__init__(f"{reason}; annotator: {annotator.problem or 'runs'}")
        self.exit_code = annotator.exit_code or BenchError.exit_code


@dataclass(frozen=True, slots=True)
class Work:
    """What the annotator has done, as its metrics tell it; seconds are summed over batches, over commits."""

    batches: float
    inference_s: float
    commits: float
    publish_s: float

    def __sub__(self, before: "Work") -> "Work":
        return Work(
            self.batches - before.batches,
            self.inference_s - before.inference_s,
            self.commits - before.commits,
            self.publish_s - before.publish_s,
        )

    @property
    def batch_s(self) -> float:
        """Mean seconds of a batch in the model."""
        return self.inference_s / max(1.0, self.batches)

    @property
    def commit_s(self) -> float:
        """Mean seconds of a commit, from begin to committed."""
        return self.publish_s / max(1.0, self.commits)


@dataclass(frozen=True, slots=True)
class Point:
    """One offered load: part of the capacity, messages a second, latencies in seconds, the work for it."""

    load: float
    rate: float
    latencies_s: tuple[float, ...]
    work: Work

    def percentile(self, percent: float) -> float:
        """The latency that so many per cent of the messages did not exceed, in seconds."""
        ordered = sorted(self.latencies_s)
        return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True)
class Curve:
    """Capacity in messages a second, and a point for each load."""

    capacity: float
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The loads to offer, as parts of the capacity, each for so many seconds; and what comes before them."""

    loads: Sequence[float]
    seconds: float
    warm_up_s: float
    burst_messages: int


async def measure(settings: Settings, texts: Sequence[str], plan: Plan, tell: Callable[[str], None]) -> Curve:
    """Find the capacity, then offer each load (of the capacity) for a while.

    What messages that all wait are labelled at is offered one by one, and what comes out is the capacity.

    Raises:
        BenchError: labels did not come, records could not be read or sent, or the annotator has ended.
        BrokerError, TopicError: the cluster cannot be used.
    """
    await create_topics(settings)
    async with _annotator(settings) as (annotator, address), _wire(settings, texts) as (wire, reading):
        return await measured(_curve(wire, address, plan, tell), reading, annotator)


async def measured(
    curve: Coroutine[Any, Any, Curve], reading: "asyncio.Task[None]", annotator: Beside
) -> Curve:
    """What is measured, unless the annotator ends before, or ``reading``, which notes when labels come.

    Raises:
        BenchError: one of them has ended, or the measurement has failed.
    """
    measuring, ended = asyncio.create_task(curve), asyncio.create_task(annotator.ended())
    try:
        await asyncio.wait((measuring, reading, ended), return_when=asyncio.FIRST_COMPLETED)
        if measuring.done():
            return await measuring
        if reading.done() and (error := reading.exception()) is not None:
            raise BenchError(f"labels cannot be read ({_told(error)})", annotator) from error
        raise BenchError("there is nothing to measure", annotator)
    except (TimeoutError, ClientError, KafkaError) as error:
        raise BenchError(_told(error), annotator) from error
    finally:
        measuring.cancel()
        ended.cancel()
        await asyncio.gather(measuring, ended, return_exceptions=True)


def _told(error: BaseException) -> str:
    return str(error) or type(error).__name__


async def _curve(wire: Wire, address: str, plan: Plan, tell: Callable[[str], None]) -> Curve:
    tell("first label")
    await burst(wire, 1, QUIET_S)
    most = max([await burst(wire, plan.burst_messages, QUIET_S) for _ in range(BURST_ROUNDS)])
    tell("warming up")
    await offered(wire, due_times(most / 2, int(most / 2 * plan.warm_up_s), seed=0), QUIET_S)
    tell("capacity")
    capacity = await sustained(wire, most, SUSTAINED_BURSTS * plan.burst_messages, QUIET_S)
    points = []
    for number, load in enumerate(plan.loads):
        tell(f"{load:.0%} of {capacity:,.0f} messages/s")
        rate = load * capacity
        due = due_times(rate, max(LEAST_MESSAGES, int(rate * plan.seconds)), seed=number)
        before = await _work(address)
        latencies = await offered(wire, due, QUIET_S)
        points.append(Point(load, rate, tuple(latencies), await _work(address) - before))
    return Curve(capacity, tuple(points))


@asynccontextmanager
async def _annotator(settings: Settings) -> AsyncIterator[tuple[Beside, str]]:
    """An annotator in a process of its own, and the address of its metrics."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    settings = settings.model_copy(update={"http_port": port, "http_host": "127.0.0.1"})
    with tempfile.TemporaryDirectory(prefix="emotion-stream-bench-") as folder:
        async with beside("annotate", settings, Path(folder)) as annotator:
            yield annotator, f"http://127.0.0.1:{port}"


@asynccontextmanager
async def _wire(settings: Settings, texts: Sequence[str]) -> AsyncIterator[tuple[Wire, "asyncio.Task[None]"]]:
    """A wire, and the task that reads the labels from it."""
    producer = AIOKafkaProducer(**connection(settings))
    consumer = AIOKafkaConsumer(
        settings.topics.emotions,
        **connection(settings),
        group_id=None,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
    )
    async with producer, consumer:
        wire = Wire(producer, consumer, settings.input_topic, settings.partitions, texts)
        reading = asyncio.create_task(wire.read())
        try:
            yield wire, reading
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def _work(address: str) -> Work:
    async with ClientSession() as client, client.get(f"{address}/metrics") as response:
        text = await response.text()
    values = {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.labels
    }
    return Work(
        batches=values["emotion_inference_seconds_count"],
        inference_s=values["emotion_inference_seconds_sum"],
        commits=values["emotion_publish_seconds_count"],
        publish_s=values["emotion_publish_seconds_sum"],
    )
