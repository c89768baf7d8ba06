"""What the monitor measures, as Prometheus metrics: no author or text in any label.

Series whose labels are known in advance stand at zero from the start (see ``stream.metrics``).
"""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Final, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from stream.monitor.board import Precision
from stream.monitor.channel_states import StateKey
from stream.monitor.events import AlertStatus
from stream.monitor.lifecycle import Measurement
from stream.topics import TopicNames

RECEIVERS: Final = ("webhook", "alertmanager")
RESULTS: Final = ("delivered", "retried", "given_up")

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class MonitorMetrics:
    """All metrics of one monitor."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry = registry or CollectorRegistry()
        self.deltas = Counter("emotion_monitor_deltas", "Count deltas taken.", registry=registry)
        self.signals = Counter("emotion_monitor_signals", "Distress signals taken.", registry=registry)
        self.rejected = Counter(
            "emotion_monitor_rejected",
            "Records that are not what their topic holds.",
            ["topic"],
            registry=registry,
        )
        self.late = Gauge(
            "emotion_monitor_late_messages",
            "Messages that came too late for their window, in our partitions.",
            registry=registry,
        )
        self.early = Gauge(
            "emotion_monitor_early_messages",
            "Messages that claim a time after they were counted, in our partitions.",
            registry=registry,
        )
        self.channel_states = Gauge(
            "emotion_monitor_channel_states",
            "What is known of channels, each by each rule, in our partitions.",
            registry=registry,
        )
        self.standstill = Gauge(
            "emotion_monitor_standstill_seconds",
            "How long the partition that stands still for longest has records waiting and commits none.",
            registry=registry,
        )
        self.alerts = Counter(
            "emotion_monitor_alerts",
            "Changes in the life of alerts.",
            ["rule", "status"],
            registry=registry,
        )
        self.checkpoint = Histogram(
            "emotion_monitor_checkpoint_seconds",
            "One checkpoint, from the first record published to offsets committed.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.lag = Gauge(
            "emotion_monitor_lag_records", "Committed records not fetched yet.", ["topic"], registry=registry
        )
        self.partitions = Gauge("emotion_monitor_partitions", "Partitions that are ours.", registry=registry)
        self.deliveries = Counter(
            "emotion_monitor_deliveries",
            "Alerts to receivers: delivered, retried or given up.",
            ["receiver", "result"],
            registry=registry,
        )
        self.ready = Gauge(
            "emotion_monitor_ready", "Whether /readyz answers that it does its work.", registry=registry
        )
        self.rules = Gauge("emotion_monitor_rules", "Alert rules in force.", registry=registry)
        self.rules_refused = Gauge(
            "emotion_monitor_rules_refused",
            "1 while the rules file as it stands is not what is in force.",
            registry=registry,
        )
        self.rules_reload_failures = Counter(
            "emotion_monitor_rules_reload_failures",
            "Changes of the rules file that were not taken.",
            registry=registry,
        )
        self.precision = Gauge(
            "emotion_alert_precision_ratio",
            "Confirmed over reviewed alerts; bound: estimate, lower or upper (95 % Wilson interval).",
            ["rule", "bound"],
            registry=registry,
        )
        self.reviewed = Gauge(
            "emotion_alerts_reviewed", "Alerts confirmed or dismissed by people.", ["rule"], registry=registry
        )
        self.drift = Gauge(
            "emotion_drift_stability_index",
            "Population stability index of the last hour's labels against the hours before.",
            ["rule", "channel"],
            registry=registry,
        )
        self.confidence = Gauge(
            "emotion_mean_confidence_ratio",
            "Mean confidence of the last hour's labels.",
            ["channel"],
            registry=registry,
        )

        for receiver in RECEIVERS:
            for result in RESULTS:
                self.deliveries.labels(receiver, result)

    def expect_topics(self, names: TopicNames) -> None:
        """From the start, show the topics that are read."""
        for topic in (names.counts, names.signals):
            self.rejected.labels(topic)
            self.lag.labels(topic)

    def expect_rules(self, rules: Iterable[str]) -> None:
        """From the start, show what these rules, by name, may do."""
        for rule in rules:
            for status in get_args(AlertStatus):
                self.alerts.labels(rule, status)

    def show_rules(self, in_force: int, problem: str | None) -> None:
        self.rules.set(in_force)
        self.rules_refused.set(problem is not None)

    def show_drift(self, measured: Iterable[Mapping[StateKey, Measurement]]) -> None:
        """What each partition of ours has measured; one that has moved is another monitor's to show."""
        self.drift.clear()
        self.confidence.clear()
        for (rule, channel), found in chain.from_iterable(one.items() for one in measured):
            self.drift.labels(rule, channel).set(found.score)
            if found.confidence is not None:
                self.confidence.labels(channel).set(found.confidence)

    def show_precision(self, by_rule: dict[str, Precision]) -> None:
        for rule, precision in by_rule.items():
            lower, upper = precision.interval
            self.precision.labels(rule, "estimate").set(precision.ratio or 0.0)
            self.precision.labels(rule, "lower").set(lower)
            self.precision.labels(rule, "upper").set(upper)
            self.reviewed.labels(rule).set(precision.reviewed)
