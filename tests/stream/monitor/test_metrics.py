"""What the monitor's metrics say of partitions that come and go."""

from typing import Any

from faust.types import TP

from stream.events import ALL_CHANNELS
from stream.monitor.metrics import MonitorMetrics
from stream.monitor.partitions import Partitions
from stream.monitor.state import MemoryState
from stream.settings import Settings
from tests.stream.monitor.factories import NOON, delta, rules

DRIFT: dict[str, Any] = {"name": "drift", "kind": "drift", "min_messages": 500}


def test_drift_and_confidence_of_a_partition_that_has_moved_are_shown_no_more() -> None:
    settings, metrics = Settings(), MonitorMetrics()
    partitions, place = Partitions(settings, metrics, rules(DRIFT)), TP(settings.topics.counts, 0)
    partitions.load(place, MemoryState(), None)
    for n in range(30):
        record = delta({NOON + 300 * n: {"joy": 100}}, first=1000 * n, channel=ALL_CHANNELS)
        partitions.counts[0].apply(record, n)
    shown = (
        ("emotion_drift_stability_index", {"rule": "drift", "channel": ALL_CHANNELS}),
        ("emotion_mean_confidence_ratio", {"channel": ALL_CHANNELS}),
    )
    for lost in (False, True):
        if lost:
            partitions.lose(place, "another monitor has taken it over")
        partitions.tick([], NOON, lambda *_: NOON)
        for name, labels in shown:
            assert (metrics.registry.get_sample_value(name, labels) is None) == lost
