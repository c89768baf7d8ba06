"""What we are in the consumer group: partitions come and go, and each is taken over before it is read.

    revoked  ─► last checkpoint, in bounded time ─► all dropped and released      (the group waits for this)
    assigned ─► fence ─► recover ─► seek ─► read                          (it does not wait for this)

A partition that was lost while the group still says that it is ours is taken over again: to another monitor
that fenced us, to brokers that did not answer, or to a disk that cannot be read. ``stream.monitor.watch``
ends that after ``stall_timeout_s``.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from typing import Any

import structlog
from faust.types import TP

from stream.deadline import Deadline
from stream.monitor.changelogs import topic_id
from stream.monitor.checkpoint import Checkpointer
from stream.monitor.driver import MonitorApp
from stream.monitor.owned import OwnedPartitions
from stream.monitor.partitions import Partitions
from stream.monitor.standstill import NEVER
from stream.monitor.state import BrokenStateError
from stream.outages import passes
from stream.settings import Settings

_log = structlog.get_logger(__name__)


class Membership:
    """Follows the group's assignments. ``complete`` is set while all that is assigned has been taken over."""

    def __init__(
        self,
        settings: Settings,
        app: MonitorApp,
        partitions: Partitions,
        owned: OwnedPartitions,
        checkpointer: Checkpointer,
        fail: Callable[[BaseException, str], None],
    ) -> None:
        self.complete = asyncio.Event()
        self.assigned: frozenset[TP] = frozenset()
        self._settings = settings
        self._app = app
        self._partitions = partitions
        self._owned = owned
        self._checkpointer = checkpointer
        self._fail = fail
        self._work: asyncio.Task[None] | None = None
        app.on_partitions_revoked.connect(self._on_revoked)
        app.on_rebalance_complete.connect(self._on_assigned)

    def ours(self) -> list[tuple[TP, int, bool]]:
        """All that is assigned: each partition's committed offset, and whether any of its records wait."""
        consumer = self._app.committed_consumer
        found = []
        for tp in self.assigned:
            offset = self._partitions.offset(tp)
            committed = self._checkpointer.committed.get(tp, NEVER)
            if offset is None or committed == NEVER:
                found.append((tp, NEVER, True))
            else:
                found.append((tp, committed, consumer.waits(tp, committed) or offset + 1 > committed))
        return found

    def retake(self) -> None:
        """Take what was lost over again, where it is still ours after a while."""
        now = time.monotonic()
        lost = {
            tp for tp, loss in self._partitions.lost.items() if now >= loss.again_at and tp in self.assigned
        }
        if lost and (self._work is None or self._work.done()):
            _log.warning("partitions are taken over again", partitions=len(lost))
            self.complete.clear()
            self._work = asyncio.create_task(self._take_over_or_fail(lost))

    async def leave(self) -> None:
        """Give everything up."""
        deadline = Deadline(self._settings.revoke_timeout_s)
        await self._stop_work(deadline)
        self._partitions.drop()
        await self._owned.release(deadline)

    async def _on_revoked(self, *_: Any, **__: Any) -> None:
        """All partitions go. What has been done is written in bounded time; what has not comes again."""
        self.complete.clear()
        self._app.committed_consumer.gate.shut()
        deadline = Deadline(self._settings.revoke_timeout_s)
        await self._stop_work(deadline)
        try:
            async with asyncio.timeout(deadline.remaining_s):
                await self._checkpointer.write()
        except Exception as error:  # the next owner repeats what is not committed
            _log.warning("no checkpoint before the rebalance; its records come again", reason=repr(error))
        self.assigned = frozenset()
        self._partitions.drop()
        await self._owned.release(deadline)

    async def _on_assigned(self, *_: Any, **__: Any) -> None:
        """Faust may say so late, of an assignment that has been taken from us: what it is now counts."""
        await self._stop_work(Deadline(self._settings.revoke_timeout_s))
        sources = {self._settings.topics.counts, self._settings.topics.signals}
        self.assigned = frozenset(tp for tp in self._app.consumer.assignment() if tp.topic in sources)
        self._work = asyncio.create_task(self._take_over_or_fail(self.assigned))

    async def _take_over_or_fail(self, tps: Iterable[TP]) -> None:
        tps = tuple(tps)
        try:
            await self._take_over(tps)
        except Exception as error:  # whatever it is, a partition that nobody reads must end the process
            if not (isinstance(error, BrokenStateError) or passes(error)):
                self._fail(error, "taking over partitions")
                return
            _log.warning("partitions could not be taken over; trying again", reason=str(error))
            for tp in tps:
                self._partitions.lose(tp, f"it could not be taken over: {error}")

    async def _take_over(self, tps: tuple[TP, ...]) -> None:
        consumer = self._app.committed_consumer
        consumer.gate.shut(tps)
        await consumer.gate.quiet()
        await self._owned.release(Deadline(self._settings.revoke_timeout_s), tps)
        await self._owned.take_over(tps)
        timeout_s = self._settings.stall_timeout_s
        ids = {topic: await topic_id(self._settings, topic, timeout_s) for topic in {tp.topic for tp in tps}}
        for tp in tps:
            stored = self._partitions.load(tp, self._owned.state(tp), ids[tp.topic])
            offset = await consumer.read_from(tp, default=stored)
            self._checkpointer.committed[tp] = offset or 0
            self._partitions.lost.pop(tp, None)
        await self._app.settled()
        consumer.gate.open(tps)
        self.complete.set()
        _log.info(
            "partitions taken", counts=len(self._partitions.counts), signals=len(self._partitions.signals)
        )

    async def _stop_work(self, deadline: Deadline) -> None:
        work, self._work = self._work, None
        if work is not None and not work.done():
            work.cancel()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait({work}, timeout=max(0.1, deadline.remaining_s))
