"""Records and time, as the partitions take them: whatever a topic holds, and however far behind we are."""

from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from stream.monitor.metrics import MonitorMetrics
from stream.monitor.partitions import Partitions
from stream.monitor.rules import RuleSet
from stream.monitor.state import MemoryState, Proof
from stream.monitor.store import CLOCK, load_clock, signal_records
from stream.settings import Settings
from tests.stream.monitor.factories import NOON, author_rule, rules, signal

SETTINGS = Settings(input_topic="messages", topic_prefix="emotions")
SIGNALS = TP(SETTINGS.topics.signals, 0)


def taking(state: MemoryState, in_force: RuleSet | None = None) -> Partitions:
    """One partition of the signals with what is stored of it."""
    partitions = Partitions(SETTINGS, MonitorMetrics(), in_force or rules(author_rule()))
    partitions.load(SIGNALS, state, None)
    return partitions


def event(offset: int, value: bytes | None, key: bytes | None = None) -> Any:
    message = SimpleNamespace(
        topic=SIGNALS.topic, partition=0, offset=offset, key=key, value=value, timestamp=NOON
    )
    return SimpleNamespace(message=message)


def store(partitions: Partitions, state: MemoryState) -> None:
    changes = partitions.signals[0].take_changes()
    records = signal_records(changes, 0)
    state.apply([(record.key or b"", record.value) for record in records], Proof("changelog", 1, 0.0))


@pytest.mark.parametrize("forgotten", [False, True])
def test_a_signal_of_nobody_is_passed_over_and_the_clock_of_its_partition_stays(forgotten: bool) -> None:
    state = MemoryState()
    partitions = taking(state)
    partitions.take_signal(event(0, signal().model_dump_json().encode()))
    store(partitions, state)
    named = CLOCK.decode()
    value = None if forgotten else signal(author=named, offset=1).model_dump_json().encode()
    partitions = taking(state)
    partitions.take_signal(event(1, value, CLOCK))
    store(partitions, state)
    assert partitions.offset(SIGNALS) == 1
    assert load_clock(state).event == NOON
