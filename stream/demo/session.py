"""One demo run: topics, an annotator in this process, messages in, outcomes read back.

    records ─► feed ─► messages ─► Annotator (a task) ─► emotions, emotions.dlq ─► reader ─► Tally ─► Screen

The reader sees committed records only, as any consumer of the labelled topic should.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from model.contract import Model
from stream.admin import create_topics
from stream.annotate.app import Annotator
from stream.classifier import load_classifier
from stream.deadletters import decode_dead_letter
from stream.demo.feed import Record, Sent, send_all
from stream.demo.monitoring import MonitorView
from stream.demo.processes import dashboard_of, monitor_of
from stream.demo.tally import DeadLettered, Labelled, Outcome, Place, Tally
from stream.demo.view import Scene, Screen
from stream.kafka import connection
from stream.metrics import Metrics
from stream.processes import Beside
from stream.settings import Settings
from stream.topics import TopicNames

REFRESH_S: Final = 0.125
QUIET_S: Final = 30.0
"""Without a new outcome for this long, the messages still open count as missing."""
POLL_MS: Final = 200
MONITOR_WAIT_S: Final = 20.0
"""How long after the last label the monitor may take to have counted it."""
ALERT_WAIT_S: Final = 1.5
"""Alerts come with the next checkpoints after the counts."""
STARTING: Final = "starting"
NOT_ASKED_FOR: Final = "not asked for"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: ``records`` at ``rate`` a second, 0 for as fast as they go. ``broker`` is for people."""

    settings: Settings
    records: Sequence[Record]
    rate: float
    broker: str
    with_monitor: bool
    with_dashboard: bool
    started_at: float


@dataclass(frozen=True, slots=True)
class Clients:
    """A producer of messages, and a reader of what becomes of them."""

    producer: AIOKafkaProducer
    consumer: AIOKafkaConsumer


async def run(plan: Plan, screen: Screen, linger: Callable[[Scene], Awaitable[None]] | None = None) -> Scene:
    """Run until every record has its outcome, or Ctrl-C; then until what was sent has its outcome.

    ``linger`` is awaited at the end, with monitor and dashboard still up, unless Ctrl-C ended it.

    Raises:
        StreamError: broker, topics or annotator fail.
        ModelError: the model cannot be loaded.
    """
    settings = plan.settings
    try:
        screen.wait("creating topics")
        await create_topics(settings)
        async with contextlib.AsyncExitStack() as around:
            # Started before the model, for it takes longest; nothing waits for it until the end.
            monitor = await around.enter_async_context(monitor_of(settings)) if plan.with_monitor else None
            screen.wait("loading the model")
            model, page = await asyncio.gather(
                asyncio.to_thread(_warm_model, settings), _page(settings, plan, around)
            )
            view = MonitorView(settings.count_window_s, STARTING if monitor else NOT_ASKED_FOR)
            scene = Scene(Tally(plan.started_at), model.info, plan.broker, view, page)
            interrupted = asyncio.Event()
            async with _clients(settings) as clients:
                screen.open(scene)
                annotator = Annotator(settings, model, Metrics())
                await _stream(plan, scene, annotator, clients, monitor, screen, interrupted)
            screen.close(time.monotonic())
            if linger is not None and not interrupted.is_set():
                await linger(scene)
    finally:
        screen.close(time.monotonic())
    return scene


async def _stream(
    plan: Plan,
    scene: Scene,
    annotator: Annotator,
    clients: Clients,
    monitor: Beside | None,
    screen: Screen,
    interrupted: asyncio.Event,
) -> None:
    """Annotate, feed and read side by side, until everything sent is accounted for."""
    topics = plan.settings.topics
    annotating = asyncio.create_task(annotator.run())
    feeding = asyncio.create_task(_feed(plan, scene, clients.producer, monitor, interrupted))
    endless = [
        asyncio.create_task(_read(clients.consumer, topics, scene, screen)),
        asyncio.create_task(_keep_fresh(screen)),
    ]
    await asyncio.wait([annotating, feeding, *endless], return_when=asyncio.FIRST_COMPLETED)
    annotator.stop()
    await annotating
    await _ended([feeding, *endless])
    await _read_rest(clients.consumer, topics, scene, screen)


def _warm_model(settings: Settings) -> Model:
    model = load_classifier(settings)
    model.warm_up()
    return model


async def _page(settings: Settings, plan: Plan, around: contextlib.AsyncExitStack) -> str | None:
    """The address of a dashboard that is up as long as ``around``; None without one."""
    if not plan.with_dashboard:
        return None
    _, address = await around.enter_async_context(dashboard_of(settings))
    return address


async def until_stopped(invite: Callable[[], None]) -> None:
    """Wait for Ctrl-C or SIGTERM; ``invite``, which asks for it, is called once it is listened for."""
    with _stop_on_signals(asyncio.Event()) as stop:
        invite()
        await stop.wait()


async def _ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel what still runs, and raise what went wrong."""
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result


@contextlib.asynccontextmanager
async def _clients(settings: Settings) -> AsyncIterator[Clients]:
    """Connected clients; the reader has all partitions of the outputs, from their present end on."""
    producer = AIOKafkaProducer(**connection(settings), acks="all", linger_ms=2)
    consumer = AIOKafkaConsumer(
        **connection(settings), isolation_level="read_committed", enable_auto_commit=False
    )
    async with contextlib.AsyncExitStack() as stack:
        for client in (producer, consumer):
            await client.start()
            stack.push_async_callback(client.stop)
        topics = settings.topics
        partitions = [
            TopicPartition(topic, partition)
            for topic in (topics.emotions, topics.dlq, topics.counters, topics.alerts)
            for partition in range(settings.partitions)
        ]
        consumer.assign(partitions)
        await consumer.seek_to_end(*partitions)
        yield Clients(producer, consumer)


async def _feed(
    plan: Plan,
    scene: Scene,
    producer: AIOKafkaProducer,
    monitor: Beside | None,
    interrupted: asyncio.Event,
) -> None:
    """Send the records, until the last or Ctrl-C, and wait for their outcomes and for their counts."""

    def sent(record: Sent) -> None:
        scene.tally.sent((record.partition, record.offset), record.sent_at)

    topic = plan.settings.input_topic
    with _stop_on_signals(interrupted) as stop:
        await send_all(producer, topic, plan.records, rate=plan.rate, stop=stop, on_sent=sent)
        await _settled(scene.tally)
        if monitor is not None:
            await _counted(scene, monitor)


async def _counted(scene: Scene, monitor: Beside) -> None:
    """Wait until the monitor has counted every label; not for long, since the demo can do without it."""
    deadline = time.monotonic() + MONITOR_WAIT_S
    while scene.monitor.counted < scene.tally.read:
        if monitor.problem is not None:
            scene.monitor.status = monitor.problem
            return
        if time.monotonic() > deadline:
            if not scene.monitor.windows:
                scene.monitor.status = (
                    f"it did not come up within {MONITOR_WAIT_S:.0f} s after the last label"
                )
            return
        await asyncio.sleep(0.1)
    await asyncio.sleep(ALERT_WAIT_S)


@contextlib.contextmanager
def _stop_on_signals(stop: asyncio.Event) -> Iterator[asyncio.Event]:
    """The event, which Ctrl-C and SIGTERM set; a second one ends the demo without what is still to come."""
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def as_before(number: signal.Signals) -> None:
        # The loop would leave SIGTERM its default, which ends us without the programs beside us.
        if loop.remove_signal_handler(number):
            signal.signal(number, before[number])

    def on_signal(number: signal.Signals) -> None:
        stop.set()
        as_before(number)

    for number in before:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield stop
    finally:
        for number in before:
            as_before(number)


async def _settled(tally: Tally) -> None:
    """Wait until every message has its outcome, or no more outcomes come."""
    finished, since = -1, time.monotonic()
    while tally.missing and time.monotonic() - since < QUIET_S:
        if len(tally.outcomes) != finished:
            finished, since = len(tally.outcomes), time.monotonic()
        await asyncio.sleep(0.05)


async def _keep_fresh(screen: Screen) -> None:
    while True:
        screen.refresh(time.monotonic())
        await asyncio.sleep(REFRESH_S)


async def _read(consumer: AIOKafkaConsumer, topics: TopicNames, scene: Scene, screen: Screen) -> None:
    while True:
        await _read_some(consumer, topics, scene, screen)


async def _read_rest(consumer: AIOKafkaConsumer, topics: TopicNames, scene: Scene, screen: Screen) -> None:
    """Read to the end, after the annotator has stopped: a second outcome of a message would show here."""
    while await _read_some(consumer, topics, scene, screen):
        pass


async def _read_some(consumer: AIOKafkaConsumer, topics: TopicNames, scene: Scene, screen: Screen) -> int:
    """Take in what has arrived within ``POLL_MS``; returns how many records that was."""
    batches = await consumer.getmany(timeout_ms=POLL_MS)
    now = time.monotonic()
    for partition, records in batches.items():
        for record in records:
            if partition.topic == topics.counters:
                scene.monitor.count(record.value)
            elif partition.topic == topics.alerts:
                if (news := scene.monitor.alert(record.value)) is not None:
                    screen.alert(news)
            else:
                place, outcome = _outcome(record, topics)
                scene.tally.seen(place, outcome, now)
                screen.outcome(outcome)
    return sum(map(len, batches.values()))


def _outcome(record: ConsumerRecord[Any, Any], topics: TopicNames) -> tuple[Place, Outcome]:
    return _labelled(record) if record.topic == topics.emotions else _dead_lettered(record)


def _labelled(record: ConsumerRecord[Any, Any]) -> tuple[Place, Labelled]:
    event = orjson.loads(record.value)
    source = event["source"]
    outcome = Labelled(
        label=event["label"],
        confidence=event["confidence"],
        distress=(event["distress"] or {"level": "none"})["level"],
        channel=event.get("channel") or "",
        text=event.get("text") or "",
    )
    return (source["partition"], source["offset"]), outcome


def _dead_lettered(record: ConsumerRecord[Any, Any]) -> tuple[Place, DeadLettered]:
    letter, _ = decode_dead_letter(record.headers)
    return (letter.source.partition, letter.source.offset), DeadLettered(letter.cause, letter.error)
