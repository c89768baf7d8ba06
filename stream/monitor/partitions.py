"""The partitions of counts and signals that are ours, between two rebalances.

Faust takes all partitions away at each rebalance and gives anew, so they are dropped together, and loaded
together from the tables once these have recovered.
"""

import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import structlog
from faust.types import TP, EventT
from pydantic import ValidationError

from stream.events import CountDelta, DistressSignal
from stream.monitor.counting import CountPartition, CountPolicy
from stream.monitor.driver import StateTable
from stream.monitor.events import Alert
from stream.monitor.metrics import MonitorMetrics
from stream.monitor.rules import RuleSet
from stream.monitor.signalling import SignalPartition
from stream.monitor.store import AuthorStore, CountStore, StoredCounts
from stream.settings import Settings

IDLE_S = 5.0
"""Without a delta for this long, wall-clock time lets windows end."""

_log = structlog.get_logger(__name__)


class Partitions:
    """Takes events to the partition that they belong to. ``taken`` counts them; ``lost`` holds the partitions
    that turned out, between two rebalances, to be ours no longer.
    """

    def __init__(
        self,
        settings: Settings,
        counts_store: CountStore,
        authors_store: AuthorStore,
        metrics: MonitorMetrics,
        rules: RuleSet,
    ) -> None:
        self.counts_store = counts_store
        self.authors_store = authors_store
        self.metrics = metrics
        self.rules = rules
        self.counts: dict[int, CountPartition] = {}
        self.signals: dict[int, SignalPartition] = {}
        self.taken = 0
        self.lost: set[TP] = set()
        self._settings = settings
        self._delta_at: dict[int, float] = {}

    def load(self, assigned: Iterable[TP]) -> None:
        """Take over the partitions assigned, where their stored state leaves off."""
        stored = self.counts_store.load()
        names = self._settings.topics
        policy = CountPolicy(
            base_s=self._settings.count_window_s,
            allowed_lateness_s=self._settings.allowed_lateness_s,
            judge_delay_s=self._settings.judge_delay_s,
        )
        for tp in sorted(assigned):
            if tp.topic == names.counts:
                self.counts[tp.partition] = _count_partition(tp.partition, self.rules, policy, stored)
                self._delta_at[tp.partition] = time.monotonic()
            elif tp.topic == names.signals:
                load = partial(self.authors_store.load, tp.partition)
                self.signals[tp.partition] = SignalPartition(tp.partition, self.rules, load)
        self.metrics.partitions.set(len(self.counts) + len(self.signals))

    def drop(self) -> None:
        """They are no longer ours."""
        self.counts.clear()
        self.signals.clear()
        self.lost.clear()
        self.metrics.partitions.set(0)

    def lose(self, tp: TP) -> None:
        """This one is no longer ours, or what we hold of it is not what Kafka has."""
        (self.counts if tp.topic == self._settings.topics.counts else self.signals).pop(tp.partition, None)
        self.lost.add(tp)
        self.metrics.partitions.set(len(self.counts) + len(self.signals))

    def table_of(self, topic: str) -> StateTable:
        """The table with the state of a topic's partitions."""
        store = self.counts_store if topic == self._settings.topics.counts else self.authors_store
        return store.table

    def use(self, rules: RuleSet) -> None:
        """From now on, judge by these rules."""
        self.rules = rules
        for counts in self.counts.values():
            counts.rules = rules
        for signals in self.signals.values():
            signals.rules = rules

    def take_delta(self, event: EventT[Any]) -> None:
        """Count. An event of a partition that has been taken from us is left to its new owner."""
        partition = self.counts.get(event.message.partition)
        if partition is None:
            return
        self.taken += 1
        self._delta_at[event.message.partition] = time.monotonic()
        try:
            delta = CountDelta.model_validate_json(event.message.value or b"")
        except ValidationError:
            self._reject(event)
            partition.skip(event.message.offset)
            return
        self.metrics.deltas.inc()
        self._tell(partition.apply(delta, event.message.offset))

    def take_signal(self, event: EventT[Any]) -> None:
        """Apply the author rules. A tombstone says that its author wants to be forgotten."""
        message = event.message
        partition = self.signals.get(message.partition)
        if partition is None:
            return
        self.taken += 1
        if message.value is None and message.key is not None:
            partition.forget(message.key.decode(errors="replace"), message.offset)
            return
        try:
            signal = DistressSignal.model_validate_json(message.value or b"")
        except ValidationError:
            self._reject(event)
            partition.skip(message.offset)
            return
        self.metrics.signals.inc()
        self._tell(partition.apply(signal, message.offset))

    def tick(self, firing: Iterable[Alert], now: float) -> None:
        """Let wall-clock time pass, for what waits for no record.

        ``firing`` are the alerts of all monitors; those of our partitions are looked after.
        """
        of_authors: dict[int, list[Alert]] = {}
        for alert in firing:
            if alert.kind in ("author", "phrase"):
                of_authors.setdefault(alert.shard, []).append(alert)
            elif alert.shard in self.counts:
                self._tell(self.counts[alert.shard].end_if_orphaned(alert, now))
        for number, signals in self.signals.items():
            self._tell(signals.tick(of_authors.get(number, ()), now))
        for number, counts in self.counts.items():
            if time.monotonic() - self._delta_at[number] >= IDLE_S:
                self._tell(counts.tick(now))
        self.metrics.late.set(sum(counts.late_messages for counts in self.counts.values()))
        self._show_drift()

    def _show_drift(self) -> None:
        for counts in self.counts.values():
            for (rule, channel), measured in counts.drift.items():
                self.metrics.drift.labels(rule, channel).set(measured.score)
                if measured.confidence is not None:
                    self.metrics.confidence.labels(channel).set(measured.confidence)

    def _tell(self, alerts: list[Alert]) -> None:
        for alert in alerts:
            self.metrics.alerts.labels(alert.rule, alert.status).inc()
            _log.info("alert", rule=alert.rule, severity=alert.severity, status=alert.status, held=alert.held)

    def _reject(self, event: EventT[Any]) -> None:
        message = event.message
        self.metrics.rejected.labels(message.topic).inc()
        _log.warning(
            "a record is not what its topic holds; it is passed over",
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
        )


def _count_partition(
    number: int, rules: RuleSet, policy: CountPolicy, stored: Mapping[int, StoredCounts]
) -> CountPartition:
    if number not in stored:
        return CountPartition(number, rules, policy)
    checkpoint, windows, states = stored[number]
    return CountPartition(number, rules, policy, checkpoint=checkpoint, windows=windows, states=states)
