"""One monitor: a Faust app, its partitions, its checkpoints and its board.

    emotions.counts  ──► agent ──► windows ──┐             ┌─► emotions.counters ─┐
                                             ├─ checkpoint ┤                      ├─► board ─► web, receivers
    emotions.signals ──► agent ──► authors ──┘             └─► emotions.alerts ───┘

It ends, rather than idles, when any part of it fails: an agent, the recovery of the state, the board.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog
from faust.types import TP

from stream.errors import BrokerError, StalledError, StreamError
from stream.monitor.board import Board
from stream.monitor.checkpoint import Checkpointer
from stream.monitor.driver import MonitorApp, broker_options
from stream.monitor.membership import Membership
from stream.monitor.metrics import MonitorMetrics
from stream.monitor.owned import OwnedPartitions
from stream.monitor.partitions import Partitions
from stream.monitor.rulesfile import RulesFile
from stream.monitor.tail import Tail
from stream.monitor.watch import Watch
from stream.outages import passes
from stream.refusals import refusal
from stream.settings import Settings

STOP_TIMEOUT_S: Final = 10.0
CANCEL_TIMEOUT_S: Final = 1.0
WATCH_INTERVAL_S: Final = 1.0
TICK_INTERVAL_S: Final = 2.0
RULES_INTERVAL_S: Final = 2.0
REQUEST_TIMEOUT_S: Final = 90.0
CHECKPOINTS: Final = "checkpoints"

_log = structlog.get_logger(__name__)


class MonitorError(StreamError):
    """A part of the monitor has failed; the process ends so that it is started again."""


class Monitor:
    """One monitor. ``ready`` is set while its partitions are recovered and the board is current."""

    def __init__(self, settings: Settings, partitions: dict[str, int], rules: RulesFile) -> None:
        names = settings.topics
        self.settings = settings
        self.metrics = MonitorMetrics()
        self.metrics.ready.set_function(lambda: self.ready)
        self.metrics.expect_topics(names)
        self.metrics.expect_rules(rule.name for rule in rules.rules.rules)
        self.board = Board()
        self.failure: BaseException | None = None
        self.changed = asyncio.Event()
        shown = settings.http_port is not None
        self.tail = Tail(settings, self.board, partitions, self.changed.set, counters=shown)
        self._rules = rules
        self._failed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._app = _faust_app(settings, partitions[names.counts])
        self.partitions = Partitions(settings, self.metrics, rules.rules)
        owned = OwnedPartitions(settings)
        self._checkpointer = Checkpointer(settings, partitions, self.partitions, owned)
        self.membership = Membership(
            settings, self._app, self.partitions, owned, self._checkpointer, self.fail
        )
        self._watch = Watch(settings, self._app, self.membership, self.metrics, self.partitions.sizes)
        self._define_agents()

    @property
    def ready(self) -> bool:
        return self.failure is None and self.not_ready_because is None

    @property
    def not_ready_because(self) -> str | None:
        """What is missing, where nothing has failed; None when all is well."""
        if trouble := self._watch.trouble:
            return trouble
        for tp, loss in self.partitions.lost.items():
            return f"{tp.topic}, partition {tp.partition} was lost ({loss.why}); it is taken over again"
        if not self.membership.complete.is_set():
            return "partitions are being taken over"
        return None if self.tail.caught_up.is_set() else "the published topics are still being read"

    def start(self) -> None:
        """Start all parts. Faust's start lasts until the group has taken it, so the watch runs beside it."""
        self._app.finalize()
        self.spawn("Faust", self._app.start())
        self.spawn("the board", self.tail.run())
        self.spawn(CHECKPOINTS, self._checkpoint_loop())
        self.spawn("the watch", self._watch_loop())
        self.spawn("the watch over the group", self._watch.of_group())
        self.spawn("the watch over topics", self._watch.of_topics())
        self.spawn("the rules", self._rules_loop())

    def spawn(self, what: str, work: Coroutine[Any, Any, None]) -> None:
        """Run a part for as long as the monitor runs; its failure is the monitor's."""

        async def guarded() -> None:
            try:
                await work
            except Exception as error:  # whatever it is, it ends the monitor
                self.fail(error, what)

        self._tasks.append(asyncio.create_task(guarded(), name=what))

    def fail(self, error: BaseException, what: str) -> None:
        """Remember the first failure, and stop."""
        if self.failure is None:
            _log.error("a part of the monitor has failed; it ends", part=what, error=repr(error))
            self.failure = _told(error, what)
        self._failed.set()

    async def run_until(self, stopped: asyncio.Event) -> None:
        """Until ``stopped`` is set, or something fails.

        Raises:
            StreamError: what has failed.
        """
        waiting = [asyncio.create_task(event.wait()) for event in (stopped, self._failed)]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        if self.failure is not None:
            raise self.failure

    async def stop(self) -> None:
        """Write a last checkpoint, where nothing has failed, and leave the group; in bounded time."""
        self._stopping.set()
        others = [task for task in self._tasks if task.get_name() != CHECKPOINTS]
        for task in others:
            task.cancel()
        writing = [task for task in self._tasks if task.get_name() == CHECKPOINTS]
        last = asyncio.create_task(self._write_last(writing))
        await asyncio.wait([last, *others], timeout=self.settings.revoke_timeout_s)
        await self._end_writing(last, writing)
        await self.membership.leave()
        await asyncio.wait([asyncio.create_task(self._app.stop())], timeout=STOP_TIMEOUT_S)

    async def _write_last(self, writing: list[asyncio.Task[None]]) -> None:
        """The checkpoint that is being written, if any, is finished: a torn one would have to be repeated."""
        if writing and self.failure is None:
            await asyncio.wait(writing)
        if self.failure is None:
            await self._checkpointer.write()

    async def _end_writing(self, last: asyncio.Task[None], writing: list[asyncio.Task[None]]) -> None:
        """Give up what could not be written in time, and say so."""
        for task in (last, *writing):
            task.cancel()
        await asyncio.wait([last, *writing], timeout=CANCEL_TIMEOUT_S)
        error = last.exception() if last.done() and not last.cancelled() else None
        uncommitted = self._uncommitted()
        if self.failure is None and (error is not None or uncommitted):
            _log.warning(
                "not all that was counted could be written before the end; the next start does it again",
                partitions=[f"{tp.topic} {tp.partition}" for tp in uncommitted],
                reason="no broker answered in time" if error is None else repr(error),
            )

    def _uncommitted(self) -> list[TP]:
        """The partitions of which more was taken than is committed, and those that we have lost."""
        taken = {tp: self.partitions.offset(tp) for tp in self.membership.assigned}
        committed = self._checkpointer.committed
        return sorted(
            tp
            for tp, offset in taken.items()
            if tp in self.partitions.lost or (offset is not None and offset + 1 > committed.get(tp, 0))
        )

    def _define_agents(self) -> None:
        names = self.settings.topics
        for topic, take in (
            (names.counts, self.partitions.take_delta),
            (names.signals, self.partitions.take_signal),
        ):
            source = self._app.topic(topic, key_serializer="raw", value_serializer="raw", allow_empty=True)
            self._app.agent(source, name=topic)(self._agent(topic, take))

    def _agent(self, topic: str, take: Callable[[Any], None]) -> Callable[[Any], Awaitable[None]]:
        async def agent(stream: Any) -> None:
            try:
                async for event in stream.noack().events():
                    if self._app.committed_consumer.admits(event.message):
                        take(event)
            except Exception as error:
                self.fail(error, f"the agent of {topic}")
                raise

        return agent

    async def _checkpoint_loop(self) -> None:
        interval_s = self.settings.checkpoint_interval_ms / 1000
        ticked_at = 0.0
        while not await self._stops_within(interval_s):
            if not self.membership.complete.is_set():
                continue
            if self.tail.caught_up.is_set() and time.monotonic() - ticked_at >= TICK_INTERVAL_S:
                ticked_at = time.monotonic()
                drained_at = self._app.committed_consumer.drained_at
                self.partitions.tick(self.board.published(), time.time(), drained_at)
            limit_s = self.settings.stall_timeout_s
            try:
                async with asyncio.timeout(limit_s):
                    await self._checkpointer.write()
            except TimeoutError:
                raise StalledError(f"no broker has answered a checkpoint for {limit_s:.0f} s") from None

    async def _stops_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    async def _rules_loop(self) -> None:
        while True:
            self.metrics.show_rules(self._rules.in_force, self._rules.problem)
            await asyncio.sleep(RULES_INTERVAL_S)
            failures = self._rules.failures
            if await asyncio.to_thread(self._rules.reload):
                self.partitions.use(self._rules.rules)
                self.metrics.expect_rules(rule.name for rule in self._rules.rules.rules)
            self.metrics.rules_reload_failures.inc(self._rules.failures - failures)

    async def _watch_loop(self) -> None:
        """Look at Faust, and keep what is shown current."""
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            if self._app.crashed:
                raise _told(self._app.crash_reason or MonitorError("unknown"), "Faust")
            self.metrics.show_precision(self.board.precision())
            self.board.prune(datetime.now(UTC) - timedelta(days=self.settings.retention_days))


def _told(error: BaseException, what: str) -> StreamError:
    """What has failed, as the error whose exit code tells a supervisor what to look at."""
    if isinstance(error, StreamError):
        return error
    if refused := refusal(error):
        return refused
    if passes(error):
        return BrokerError(f"{what}: the brokers do not serve us ({error!r})")
    return MonitorError(f"{what}: {error!r}")


def _faust_app(settings: Settings, partitions: int) -> MonitorApp:
    session_s = settings.session_timeout_ms / 1000
    return MonitorApp(
        settings.monitor_group_id,
        **broker_options(settings),
        store="memory://",
        datadir=str(settings.state_dir),
        processing_guarantee="at_least_once",
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=session_s,
        broker_request_timeout=max(REQUEST_TIMEOUT_S, session_s),  # Faust takes no longer session
        broker_heartbeat_interval=session_s / 4,
        broker_commit_livelock_soft_timeout=10**9,  # it watches for commits of its own, and makes none
        producer_request_timeout=settings.stall_timeout_s,
        topic_partitions=partitions,
        topic_disable_leader=True,
        stream_wait_empty=False,
        web_enabled=False,
        web_tables_enabled=False,
    )
