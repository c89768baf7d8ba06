"""What the monitor's metrics say of partitions that come and go."""

from typing import Any

import pytest
from faust.types import TP

from stream.events import ALL_CHANNELS
from stream.monitor.metrics import MonitorMetrics
from stream.monitor.partitions import Partitions
from stream.monitor.state import MemoryState
from stream.settings import Settings
from tests.stream.monitor.factories import NOON, delta, rules

DRIFT: dict[str, Any] = {"name": "drift", "kind": "drift", "min_messages": 500}
PLACE = TP(Settings().topics.counts, 0)


def measured() -> Partitions:
    """A partition whose drift has been measured."""
    partitions = Partitions(Settings(), MonitorMetrics(), rules(DRIFT))
    partitions.load(PLACE, MemoryState(), None)
    for n in range(30):
        record = delta({NOON + 300 * n: {"joy": 100}}, first=1000 * n, channel=ALL_CHANNELS)
        partitions.counts[0].apply(record, n)
    return partitions


def shown(partitions: Partitions) -> list[bool]:
    """Whether its drift and its confidence are shown."""
    partitions.tick([], NOON, lambda *_: NOON)
    series = (
        ("emotion_drift_stability_index", {"rule": "drift", "channel": ALL_CHANNELS}),
        ("emotion_mean_confidence_ratio", {"channel": ALL_CHANNELS}),
    )
    found = partitions.metrics.registry
    return [found.get_sample_value(name, labels) is not None for name, labels in series]


def test_drift_and_confidence_of_a_partition_that_has_moved_are_shown_no_more() -> None:
    partitions = measured()
    assert shown(partitions) == [True, True]
    partitions.lose(PLACE, "another monitor has taken it over")
    assert shown(partitions) == [False, False]


@pytest.mark.parametrize(
    ("edited", "stays"),
    [
        ({"enter": 0.5}, True),
        ({"channels": [ALL_CHANNELS, "support"]}, True),
        ({"enabled": False}, False),
        ({"channels": ["support"]}, False),
        ({"name": "other"}, False),
    ],
)
def test_so_are_those_of_a_rule_that_is_gone_or_looks_elsewhere(edited: dict[str, Any], stays: bool) -> None:
    partitions = measured()
    partitions.use(rules(DRIFT | edited))
    assert shown(partitions) == [stays, stays]
