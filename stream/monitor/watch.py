"""Looks for what dies or hangs quietly: the group, a partition that stands still, brokers and topics.

Only what is committed is progress, a partition at a time. ``trouble`` says why a monitor that has not
failed is not ready all the same.
"""

import asyncio
import contextlib
import time
from typing import Final

import structlog
from aiokafka.errors import KafkaError
from faust.types import TP

from stream.errors import BrokerError, StalledError, TopicError
from stream.kafka import connection
from stream.monitor.driver import MonitorApp
from stream.monitor.membership import Membership
from stream.monitor.metrics import MonitorMetrics
from stream.monitor.standstill import Standstill
from stream.refusals import refusal
from stream.settings import Settings
from stream.topicwatch import BrokerSilentError, TopicView, TopicWatch

INTERVAL_S: Final = 1.0
PROBE_TIMEOUT_S: Final = 5.0
SILENT_S: Final = 10.0
"""Without an answer of a broker for so long, we are not ready."""

_log = structlog.get_logger(__name__)


class Watch:
    """Watches the group, and the topics that are read. ``sizes``, their partitions, it keeps current."""

    def __init__(
        self,
        settings: Settings,
        app: MonitorApp,
        membership: Membership,
        metrics: MonitorMetrics,
        sizes: dict[str, int],
    ) -> None:
        self._settings = settings
        self._app = app
        self._membership = membership
        self._metrics = metrics
        self._standstill = Standstill()
        self._answered_at = time.monotonic()
        self._missing: set[str] = set()
        self._sizes = sizes

    @property
    def trouble(self) -> str | None:
        """Why the monitor cannot do its work at this moment, though nothing has failed yet."""
        if time.monotonic() - self._answered_at > SILENT_S:
            return f"no broker has answered for {time.monotonic() - self._answered_at:.0f} s"
        if self._missing:
            return f"a topic is gone: {', '.join(sorted(self._missing))}"
        return None

    async def of_group(self) -> None:
        """Watch the group and our partitions.

        Raises:
            BrokerError: the group refuses us.
            StalledError: a partition stands still, or the group gives us no answer.
        """
        unassigned_since: float | None = None
        limit_s = self._settings.stall_timeout_s
        while True:
            await asyncio.sleep(INTERVAL_S)
            now = time.monotonic()
            if reason := self._app.committed_consumer.group_failure():
                await self._bear(reason)
            ours = self._membership.ours()
            self._show_lag(ours)
            self._standstill.look(ours, now)
            (topic, number), still_s = self._standstill.longest()
            self._metrics.standstill.set(still_s)
            if still_s >= limit_s:
                raise StalledError(
                    f"{topic}, partition {number} stands still: records wait, and none has been "
                    f"committed for {limit_s:.0f} s"
                )
            if self._membership.complete.is_set() or ours:
                unassigned_since = None
            elif unassigned_since is None:
                unassigned_since = now
            elif now - unassigned_since >= limit_s:
                raise StalledError(f"the consumer group has given us no answer for {limit_s:.0f} s")
            self._membership.retake()

    async def _bear(self, reason: BaseException) -> None:
        """A failure in the group: one that passes is gone on after, as far as aiokafka lets us.

        Raises:
            StreamError: it stays.
        """
        if refused := refusal(reason):
            raise refused from reason
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                await self._app.committed_consumer.go_on_after_failure()
        except TimeoutError:
            return
        if self._app.committed_consumer.group_failure() is reason:
            raise BrokerError(f"the consumer group gives us nothing more ({reason!r})")
        _log.warning("the consumer group failed us; joining again", reason=repr(reason))

    async def of_topics(self) -> None:
        """Watch brokers and topics.

        Raises:
            StalledError: no broker answers.
            TopicError: a topic that we read was deleted and made anew.
        """
        names = self._settings.topics
        watch = TopicWatch(connection(self._settings), (names.counts, names.signals), PROBE_TIMEOUT_S)
        epochs: dict[str, str] = {}
        try:
            while True:
                views: dict[str, TopicView] = {}
                with contextlib.suppress(BrokerSilentError):
                    views = await watch.look()
                    self._answered_at = time.monotonic()
                    self._note_missing({names.counts, names.signals} - views.keys())
                for name, view in views.items():
                    if view.epoch and epochs.setdefault(name, view.epoch) != view.epoch:
                        raise TopicError(
                            f"{name} was deleted and made anew: the monitor starts again on the new one"
                        )
                    if self._sizes.setdefault(name, view.partitions) != view.partitions:
                        self._sizes[name] = view.partitions
                        _log.info("a topic has grown", topic=name, partitions=view.partitions)
                        with contextlib.suppress(KafkaError):  # then it is told by the next one
                            await self._app.committed_consumer.refresh_metadata()
                if time.monotonic() - self._answered_at >= self._settings.stall_timeout_s:
                    raise StalledError(f"no broker has answered for {self._settings.stall_timeout_s:.0f} s")
                await asyncio.sleep(2 * INTERVAL_S)
        finally:
            await watch.close()

    def _note_missing(self, missing: set[str]) -> None:
        for name in missing - self._missing:
            _log.error("a topic is gone; create it again with: emotion-stream topics create", topic=name)
        self._missing = missing

    def _show_lag(self, ours: list[tuple[TP, int, bool]]) -> None:
        names = self._settings.topics
        for topic in (names.counts, names.signals):
            lag = sum(self._app.committed_consumer.lag(tp) for tp, _, _ in ours if tp.topic == topic)
            self._metrics.lag.labels(topic).set(lag)
