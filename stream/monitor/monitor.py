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

from stream.deadline import Deadline
from stream.errors import BrokerError, StalledError, StreamError
from stream.monitor.board import Board
from stream.monitor.checkpoint import Checkpointer
from stream.monitor.driver import MonitorApp, StateTable, broker_options
from stream.monitor.metrics import MonitorMetrics
from stream.monitor.owned import OwnedPartitions
from stream.monitor.partitions import Partitions
from stream.monitor.rulesfile import RulesFile
from stream.monitor.store import AuthorStore, CountStore
from stream.monitor.tail import Tail
from stream.settings import Settings

STOP_TIMEOUT_S: Final = 10.0
WATCH_INTERVAL_S: Final = 1.0
TICK_INTERVAL_S: Final = 2.0
RULES_INTERVAL_S: Final = 2.0
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
        self.board = Board()
        self.failure: BaseException | None = None
        self.changed = asyncio.Event()
        self.tail = Tail(settings, self.board, partitions, self.changed.set)
        self._rules = rules
        self._recovered = asyncio.Event()
        self._failed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._app = _faust_app(settings, partitions[names.counts])
        self.partitions = Partitions(
            settings,
            CountStore(self._app, settings, partitions[names.counts]),
            AuthorStore(self._app, settings, partitions[names.signals]),
            self.metrics,
            rules.rules,
        )
        tables = {topic: self.partitions.table_of(topic) for topic in (names.counts, names.signals)}
        self._owned = OwnedPartitions(settings, tables)
        self._checkpointer = Checkpointer(settings, partitions, self.partitions, self._owned)
        self._define_agents()
        self._app.take_over = self._take_over
        self._app.on_partitions_revoked.connect(self._on_revoked)
        self._app.on_rebalance_complete.connect(self._on_recovered)

    @property
    def ready(self) -> bool:
        return self.failure is None and self._recovered.is_set() and self.tail.caught_up.is_set()

    def start(self) -> None:
        """Start all parts. Faust's start lasts until the group has taken it, so the watch runs beside it."""
        self._app.finalize()
        self.spawn("Faust", self._app.start())
        self.spawn("the board", self.tail.run())
        self.spawn(CHECKPOINTS, self._checkpoint_loop())
        self.spawn("the watch", self._watch_loop())
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
            self.failure = error if isinstance(error, StreamError) else MonitorError(f"{what}: {error!r}")
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
        await asyncio.wait([asyncio.create_task(self._stop())], timeout=STOP_TIMEOUT_S)

    async def _stop(self) -> None:
        # The checkpoint that is being written, if any, is finished; a torn one would have to be repeated.
        for task in self._tasks:
            if task.get_name() != CHECKPOINTS or self.failure is not None:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.failure is None:
            await self._checkpointer.write()
        self.partitions.drop()
        await self._owned.release(Deadline(self.settings.revoke_timeout_s))
        await self._app.stop()

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
                    take(event)
            except Exception as error:
                self.fail(error, f"the agent of {topic}")
                raise

        return agent

    async def _on_revoked(self, *_: Any, **__: Any) -> None:
        """All partitions go. What has been done is written in bounded time; what has not comes again."""
        self._recovered.clear()
        deadline = Deadline(self.settings.revoke_timeout_s)
        try:
            async with asyncio.timeout(deadline.remaining_s):
                await self._checkpointer.write()
        except Exception as error:  # the next owner repeats what is not committed
            _log.warning("no checkpoint before the rebalance; its records come again", reason=repr(error))
        self.partitions.drop()
        await self._owned.release(deadline)

    async def _take_over(self, assigned: set[TP]) -> None:
        try:
            await self._owned.take_over(assigned)
        except Exception as error:
            self.fail(error, "taking over partitions")

    async def _on_recovered(self, *_: Any, **__: Any) -> None:
        """The tables hold what their changelogs held: go on from there.

        Faust may finish the recovery of an assignment that has been taken from us meanwhile; then no
        partition is ours, and the next assignment recovers anew.
        """
        try:
            self.partitions.drop()
            recovered = [tp for tp in self._owned.held if self._owned.is_recovered(tp)]
            self.partitions.load(recovered)
            self.partitions.lost.update(set(self._owned.held).difference(recovered))
        except Exception as error:
            self.fail(error, "the recovery of the state")
            raise
        self._recovered.set()
        _log.info(
            "partitions taken", counts=len(self.partitions.counts), signals=len(self.partitions.signals)
        )

    async def _checkpoint_loop(self) -> None:
        interval_s = self.settings.checkpoint_interval_ms / 1000
        ticked_at, written_at = 0.0, time.monotonic()
        while not await self._stops_within(interval_s):
            if not self._recovered.is_set():
                written_at = time.monotonic()
                continue
            if self.tail.caught_up.is_set() and time.monotonic() - ticked_at >= TICK_INTERVAL_S:
                ticked_at = time.monotonic()
                self.partitions.tick(list(self.board.firing()), time.time())
            async with asyncio.timeout(self.settings.stall_timeout_s):
                if await self._checkpointer.write():
                    written_at = time.monotonic()
            if time.monotonic() - written_at >= self.settings.stall_timeout_s:
                raise StalledError(f"no checkpoint went through for {self.settings.stall_timeout_s:.0f} s")

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
            self.metrics.rules_reload_failures.inc(self._rules.failures - failures)

    async def _watch_loop(self) -> None:
        """Look for what dies or hangs quietly."""
        moved_at, seen = time.monotonic(), (-1, -1)
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            if self._app.crashed:
                raise MonitorError(f"Faust has crashed: {self._app.crash_reason!r}")
            if reason := self._app.committed_consumer.group_failure():
                raise BrokerError(f"the consumer group refuses us ({reason!r}): check session_timeout_ms")
            lag = self._lag()
            self.metrics.show_precision(self.board.precision())
            self.board.prune(datetime.now(UTC) - timedelta(days=self.settings.retention_days))
            progress = (self.partitions.taken, self._app.recovered_records)
            waiting = lag > 0 or not self._recovered.is_set()
            if not waiting or progress != seen:
                moved_at, seen = time.monotonic(), progress
            elif time.monotonic() - moved_at >= self.settings.stall_timeout_s:
                what = f"{lag} records wait" if self._recovered.is_set() else "the state does not recover"
                raise StalledError(f"{what}, without progress for {self.settings.stall_timeout_s:.0f} s")

    def _lag(self) -> int:
        """Records that wait to be fetched, in all our partitions."""
        if not self._recovered.is_set():
            return 0
        names = self.settings.topics
        total = 0
        for topic, numbers in (
            (names.counts, self.partitions.counts),
            (names.signals, self.partitions.signals),
        ):
            lag = sum(self._app.committed_consumer.lag(TP(topic, number)) for number in numbers)
            self.metrics.lag.labels(topic).set(lag)
            total += lag
        return total


def _faust_app(settings: Settings, partitions: int) -> MonitorApp:
    session_s = settings.session_timeout_ms / 1000
    return MonitorApp(
        settings.monitor_group_id,
        **broker_options(settings),
        Table=StateTable,
        store="memory://" if settings.state_store == "memory" else "rocksdb://",
        datadir=str(settings.state_dir),
        processing_guarantee="at_least_once",
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=session_s,
        broker_heartbeat_interval=session_s / 4,
        broker_commit_livelock_soft_timeout=10**9,  # it watches for commits of its own, and makes none
        producer_request_timeout=settings.stall_timeout_s,
        table_standby_replicas=settings.standby_replicas,
        topic_partitions=partitions,
        topic_disable_leader=True,
        stream_wait_empty=False,
        web_enabled=False,
        web_tables_enabled=False,
    )
