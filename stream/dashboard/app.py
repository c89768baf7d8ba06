"""The dashboard as a program: feed, publisher and web server, put together."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge

from stream.annotate.web import endpoints
from stream.dashboard import parts
from stream.dashboard.clock import Clock
from stream.dashboard.feed import Feed
from stream.dashboard.guard import Guard
from stream.dashboard.labeller import Labeller
from stream.dashboard.publish import Publisher
from stream.dashboard.reviewer import Reviewer
from stream.dashboard.web import DashboardWeb
from stream.kafka import connection
from stream.lastresort import LastResort, stop_limit_s
from stream.serving import IDLE_TIMEOUT_S, MAX_LINE_BYTES, Connections, listen
from stream.settings import Settings
from stream.stopping import on_stop
from stream.username import user_name

PUSH_S: Final = 1.0
PRUNE_S: Final = 60.0
CONNECTIONS: Final = 900
"""Browsers hold up to six each, one for the stream of events. Fewer than files may commonly be open."""
ANSWER_S: Final = 60.0
"""The longest that an answer may take: a review on a slow cluster, a sentence behind others."""
CHANNELS_S: Final = 5.0
"""How often the channels are held against their usual, once the topics are read: with thousands of them it
takes some milliseconds."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Running:
    """A dashboard that runs. ``address`` is what to open."""

    feed: Feed
    publisher: Publisher
    address: str
    works: tuple["asyncio.Task[None]", ...]


class Renderer:
    """Offers the parts that have changed. What is costly is made only where its fold has moved."""

    def __init__(self, feed: Feed, publisher: Publisher) -> None:
        self._feed = feed
        self._publisher = publisher
        self._rendered: dict[str, int] = {}
        self._channels_at = float("-inf")
        self._channels_are_read = False

    def render(self, now: float, heard_now: float) -> None:
        """Offer what there is at ``now``, in seconds since the epoch, and wake the readers.

        ``now`` is the host's time, by which windows have begun, and ``heard_now`` that of the feed's clock.
        """
        feed, publisher = self._feed, self._publisher
        history = feed.history
        publisher.offer("health", lambda: parts.health(feed.reach, feed.flow, history.drift(now), heard_now))
        self._if_moved("recent", feed.flow.version, lambda: parts.recent(feed.flow))
        self._if_moved("queue", feed.queue.version, lambda: parts.queue(feed.queue))
        self._if_moved("log", feed.queue.version, lambda: parts.log(feed.queue))
        if heard_now - self._channels_at >= CHANNELS_S or not self._channels_are_read:
            self._channels_at, self._channels_are_read = heard_now, feed.reach.caught_up
            publisher.offer("channels", lambda: parts.channels(feed.history, now))
        for key in publisher.watched:
            publisher.offer_mix(key, partial(parts.mix, feed.history, *key, now))
        publisher.tell()

    def _if_moved(self, name: str, version: int, make: Callable[[], Any]) -> None:
        if self._rendered.get(name) != version:
            self._rendered[name] = version
            self._publisher.offer(name, make)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """A dashboard while the block runs.

    Raises:
        SettingsError: no cluster is named, the address is taken, or it would be open to everybody.
    """
    connection(settings)
    guard = Guard(settings, user_name())
    feed, publisher = Feed(settings), Publisher()
    labeller = Labeller(settings) if settings.dashboard_try else None
    reviewer = Reviewer(settings)
    connections = Connections(CONNECTIONS, ANSWER_S)
    pages = DashboardWeb(feed, publisher, guard, labeller, reviewer, connections)
    runner = web.AppRunner(
        pages.application(),
        access_log=None,
        keepalive_timeout=IDLE_TIMEOUT_S,
        lingering_time=0.0,
        max_line_size=MAX_LINE_BYTES,
        shutdown_timeout=1.0,
    )
    async with contextlib.AsyncExitStack() as stack:
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        port = await listen(runner, settings.dashboard_host, settings.dashboard_port, "dashboard")
        stack.push_async_callback(reviewer.stop)
        if labeller is not None:
            stack.callback(labeller.close)
        rendering = _render(Renderer(feed, publisher), feed.clock)
        running_on = (feed.run(), rendering, _prune(feed), connections.watch(runner))
        works = tuple(map(asyncio.create_task, running_on))
        for work in works:
            stack.push_async_callback(_cancelled, work)
        host = f"[{settings.dashboard_host}]" if ":" in settings.dashboard_host else settings.dashboard_host
        yield Running(feed, publisher, f"http://{host}:{port}", works)


async def run(settings: Settings, say: Callable[[str], None]) -> None:
    """Run a dashboard until SIGTERM or SIGINT; ``say`` is told its address.

    Raises:
        StreamError: it could not start.
    """
    stopped = asyncio.Event()
    on_stop(stopped.set)
    async with contextlib.AsyncExitStack() as stack:
        started = await stack.enter_async_context(running(settings))
        if settings.http_port is not None:
            observed = endpoints(
                settings,
                metrics(started),
                health=lambda: None,
                ready=lambda: started.feed.reach.problem,
            )
            await stack.enter_async_context(observed)
        say(started.address)
        waiting = asyncio.create_task(stopped.wait())
        ended, _ = await asyncio.wait({waiting, *started.works}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        LastResort(stop_limit_s(settings.revoke_timeout_s)).begin()
        for work in ended - {waiting}:
            work.result()  # better to end than to show for ever what was


def metrics(started: Running) -> CollectorRegistry:
    """What the dashboard says of itself, asked for when somebody reads it."""
    registry, reach = CollectorRegistry(), started.feed.reach
    for name, meaning, value in (
        ("ready", "Whether /readyz answers that it follows the topics.", lambda: reach.problem is None),
        ("pages", "Pages that are open.", lambda: started.publisher.readers),
        ("parts_serialised", "Parts of the page serialised.", lambda: started.publisher.serialised),
        ("behind_messages", "Labelled messages not read yet.", lambda: reach.behind),
        ("skipped_messages", "Labelled messages passed over to keep up.", lambda: reach.skipped),
        ("refused_records", "Records that are not what their topic holds.", lambda: reach.refused),
    ):
        Gauge(f"emotion_dashboard_{name}", meaning, registry=registry).set_function(value)
    return registry


async def _render(renderer: Renderer, clock: Clock) -> None:
    while True:
        renderer.render(time.time(), clock.now())
        await asyncio.sleep(PUSH_S)


async def _prune(feed: Feed) -> None:
    while True:
        await asyncio.sleep(PRUNE_S)
        feed.prune(time.time())


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
