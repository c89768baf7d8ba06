"""The partitions of counts and signals that are ours, between two rebalances.

Faust takes all partitions away at each rebalance and gives anew, so they are dropped together, and each is
loaded once its state has been read from the changelog.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any

import structlog
from faust.types import TP, EventT
from pydantic import ValidationError

from stream.events import CountDelta, DistressSignal
from stream.monitor.counting import CountPartition, CountPolicy
from stream.monitor.events import Alert
from stream.monitor.metrics import MonitorMetrics
from stream.monitor.rules import DAY_S, DriftRule, RuleSet
from stream.monitor.signalling import SignalPartition
from stream.monitor.sizes import has_room_for
from stream.monitor.state import BrokenStateError, PartitionState
from stream.monitor.store import OWN, load_author, load_clock, load_counts, load_forgetting, names_from
from stream.privacy import is_pseudonym
from stream.settings import Settings

IDLE_S = 5.0
"""Without a delta for this long, wall-clock time lets windows end."""

RETAKE_S = 1.0
"""So long after a partition was lost to an outage or a broken disk, it is taken over again."""

MOST_AHEAD_S = 3600.0
"""How far ahead of ours the clock of who published a record is believed: as far as Kafka 4 takes records
(``message.timestamp.after.max.ms``); former brokers take any.
"""

DrainedAt = Callable[[TP, int], float | None]
"""The moment up to which all of a partition was taken, given the next offset to take; None: some waits."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Loss:
    """Why a partition was lost, and when to take it over again (monotonic) if it is still ours then."""

    why: str
    again_at: float


class Partitions:
    """Takes events to the partition that they belong to. ``taken`` counts them; ``lost`` holds the partitions
    that were lost between two rebalances: taken by another monitor, or to an outage or a broken disk;
    ``sizes`` says how many partitions the topics have now, as far as that is known.
    """

    def __init__(self, settings: Settings, metrics: MonitorMetrics, rules: RuleSet) -> None:
        self.metrics = metrics
        self.rules = rules
        self.counts: dict[int, CountPartition] = {}
        self.signals: dict[int, SignalPartition] = {}
        self.taken = 0
        self.lost: dict[TP, Loss] = {}
        self.sizes: dict[str, int] = {}
        self._settings = settings
        self._policy = CountPolicy(
            base_s=settings.count_window_s,
            allowed_lateness_s=settings.allowed_lateness_s,
            judge_delay_s=settings.judge_delay_s,
            keep_states_s=settings.state_days * DAY_S,
        )
        self._delta_at: dict[int, float] = {}
        self._published_at: dict[TP, float | None] = {}
        self._states: dict[int, PartitionState] = {}
        self._swept_to: dict[int, str] = {}

    def load(self, tp: TP, state: PartitionState, topic: str | None) -> int | None:
        """Take over a partition where its stored state leaves off; the offset to go on from, if that says.

        ``topic`` is Kafka's id of the topic that it belongs to.
        """
        number = tp.partition
        offset: int | None = None
        self._published_at.pop(tp, None)
        if tp.topic == self._settings.topics.counts:
            checkpoint, windows, states = load_counts(state)
            checkpoint = checkpoint.on_topic(topic)
            self.counts[number] = CountPartition(
                number, self.rules, self._policy, checkpoint=checkpoint, windows=windows, states=states
            )
            self._delta_at[number] = time.monotonic()
            offset = checkpoint.offset + 1 if checkpoint.offset >= 0 else None
        else:
            load = partial(load_author, state)
            self.signals[number] = SignalPartition(
                number, self.rules, load, clock=load_clock(state), forgetting=load_forgetting(state)
            )
            self._states[number], self._swept_to[number] = state, ""
        self.metrics.partitions.set(len(self.counts) + len(self.signals))
        return offset

    def offset(self, tp: TP) -> int | None:
        """The last offset applied of a partition; None where it is not taken over."""
        if tp.topic == self._settings.topics.counts:
            counts = self.counts.get(tp.partition)
            return None if counts is None else counts.checkpoint.offset
        signals = self.signals.get(tp.partition)
        return None if signals is None else signals.offset

    def drop(self) -> None:
        """They are no longer ours."""
        self.counts.clear()
        self.signals.clear()
        self._states.clear()
        self.lost.clear()
        self.metrics.partitions.set(0)

    def lose(self, tp: TP, why: str, again_s: float = RETAKE_S) -> None:
        """This one is no longer ours, or what we hold of it is not what Kafka has."""
        (self.counts if tp.topic == self._settings.topics.counts else self.signals).pop(tp.partition, None)
        self.lost[tp] = Loss(why, time.monotonic() + again_s)
        self.metrics.partitions.set(len(self.counts) + len(self.signals))

    def use(self, rules: RuleSet) -> None:
        """From now on, judge by these rules. What a drift rule measured that is gone is shown no more."""
        self.rules = rules
        drift = {rule.name: rule for rule in rules.of_channels if isinstance(rule, DriftRule)}
        for counts in self.counts.values():
            counts.rules = rules
            counts.drift = {
                (name, channel): found
                for (name, channel), found in counts.drift.items()
                if name in drift and drift[name].watches(channel)
            }
        for signals in self.signals.values():
            signals.rules = rules

    def take_delta(self, event: EventT[Any]) -> None:
        """Count. An event of a partition that has been taken from us is left to its new owner. A tombstone
        says that an author wants to be forgotten.
        """
        partition = self.counts.get(event.message.partition)
        if partition is None:
            return
        self.taken += 1
        published_at = self._note_published(event.message)
        self._delta_at[event.message.partition] = time.monotonic()
        key = (event.message.key or b"").decode(errors="replace")
        if event.message.value is None and is_pseudonym(key):
            partition.forget(key, event.message.offset)
            return
        try:
            delta = CountDelta.model_validate_json(event.message.value or b"")
        except ValidationError:
            delta = None
        if delta is None or not has_room_for(delta):
            self._reject(event)
            partition.skip(event.message.offset)
            return
        self.metrics.deltas.inc()
        self._tell(partition.apply(delta, event.message.offset, published_at))

    def take_signal(self, event: EventT[Any]) -> None:
        """Apply the author rules. A tombstone says that its author wants to be forgotten."""
        message = event.message
        partition = self.signals.get(message.partition)
        if partition is None:
            return
        self.taken += 1
        published_at = self._note_published(message)
        if message.value is None and message.key is not None and not message.key.startswith(OWN.encode()):
            with self._losing_broken(message.partition):
                partition.forget(message.key.decode(errors="replace"), message.offset)
            return
        try:
            signal = DistressSignal.model_validate_json(message.value or b"")
        except ValidationError:
            signal = None
        if signal is None or (signal.author or "").startswith(OWN) or not has_room_for(signal):
            self._reject(event)
            partition.skip(message.offset)
            return
        self.metrics.signals.inc()
        with self._losing_broken(message.partition):
            self._tell(partition.apply(signal, message.offset, published_at))

    def tick(self, alerts: Iterable[Alert], now: float, drained_at: DrainedAt) -> None:
        """Let wall-clock time pass, for what waits for no record.

        ``alerts`` are those of all monitors; those of our partitions are looked after, and by the first
        those of partitions that the topic, made anew with fewer, no longer has. Every partition of the
        signals knows who was forgotten lately: the first deletes the alerts of channels that name them.
        """
        of_authors: dict[int, list[Alert]] = {}
        of_channels: dict[int, list[Alert]] = {}
        of_all_channels: list[Alert] = []
        names = self._settings.topics
        for alert in alerts:
            if alert.kind in ("author", "phrase"):
                of_authors.setdefault(self._looks_after(names.signals, alert), []).append(alert)
                continue
            of_all_channels.append(alert)
            if alert.status == "firing":
                of_channels.setdefault(self._looks_after(names.counts, alert), []).append(alert)
        for number, signals in list(self.signals.items()):
            at = self._read_until(TP(self._settings.topics.signals, number), now, drained_at)
            if at is not None:
                with self._losing_broken(number):
                    others = of_all_channels if number == 0 else ()
                    self._tell(signals.tick(of_authors.get(number, ()), at, others))
                    self._sweep(number, signals, at)
        for number, counts in self.counts.items():
            at = self._read_until(TP(self._settings.topics.counts, number), now, drained_at)
            if at is not None:
                for alert in of_channels.get(number, ()):
                    self._tell(counts.end_if_orphaned(alert, at))
                if time.monotonic() - self._delta_at[number] >= IDLE_S:
                    self._tell(counts.tick(at))
        self.metrics.late.set(sum(counts.late_messages for counts in self.counts.values()))
        self.metrics.early.set(sum(counts.checkpoint.early for counts in self.counts.values()))
        self.metrics.channel_states.set(sum(counts.channel_states for counts in self.counts.values()))
        self.metrics.show_drift(counts.drift for counts in self.counts.values())

    def _looks_after(self, topic: str, alert: Alert) -> int:
        """The partition that looks after an alert."""
        return alert.shard if alert.shard < self.sizes.get(topic, inf) else 0

    def _read_until(self, tp: TP, now: float, drained_at: DrainedAt) -> float | None:
        """How far time has come in a partition: after an outage, what its records say of the time meanwhile
        must be read before that time passes. None where nothing of it has been read yet.
        """
        offset = self.offset(tp)
        at = None if offset is None else drained_at(tp, offset + 1)
        at = self._published_at.get(tp) if at is None else at
        return None if at is None else min(at, now)

    def _note_published(self, message: Any) -> float | None:
        """When a record was published, in seconds, where it says so: one that cannot be right, now."""
        timestamp: float | None = message.timestamp
        published_at = timestamp if timestamp is not None and timestamp > 0 else None
        if published_at is not None and published_at > (now := time.time()) + MOST_AHEAD_S:
            published_at = now
        self._published_at[TP(message.topic, message.partition)] = published_at
        return published_at

    @contextmanager
    def _losing_broken(self, number: int) -> Iterator[None]:
        """Authors are read when they are needed, so a broken disk shows at any of them."""
        try:
            yield
        except BrokenStateError as error:
            self.lose(TP(self._settings.topics.signals, number), str(error))

    def _sweep(self, number: int, signals: SignalPartition, now: float) -> None:
        """Let some authors expire; in the course of time, all are looked at."""
        found = names_from(self._states[number], self._swept_to[number])
        self._swept_to[number] = found[-1][0] if found else ""
        signals.expire(found, self._settings.state_days * DAY_S, now)

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
