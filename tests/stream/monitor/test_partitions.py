"""Records and time, as the partitions take them: whatever a topic holds, and however far behind we are."""

import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from stream.monitor.events import Alert
from stream.monitor.metrics import MonitorMetrics
from stream.monitor.partitions import Partitions
from stream.monitor.rules import DAY_S, RuleSet
from stream.monitor.signalling import FORGETTING_S, SignalChanges
from stream.monitor.state import MemoryState, Proof
from stream.monitor.store import CLOCK, load_clock, load_forgetting, names_from, signal_records
from stream.privacy import Pseudonyms
from stream.settings import Settings
from tests.stream.monitor.factories import NOON, author_rule, channel_rule, delta, rules, signal
from tests.stream.monitor.test_delivery import alert

SETTINGS = Settings(input_topic="messages", topic_prefix="emotions")
SIGNALS = TP(SETTINGS.topics.signals, 0)
COUNTS = TP(SETTINGS.topics.counts, 0)


def taking(state: MemoryState, in_force: RuleSet | None = None, tp: TP = SIGNALS) -> Partitions:
    """One partition with what is stored of it."""
    partitions = Partitions(SETTINGS, MonitorMetrics(), in_force or rules(author_rule()))
    partitions.load(tp, state, None)
    return partitions


def event(
    offset: int, value: bytes | None, key: bytes | None = None, *, at: float = NOON, tp: TP = SIGNALS
) -> Any:
    message = SimpleNamespace(topic=tp.topic, partition=0, offset=offset, key=key, value=value, timestamp=at)
    return SimpleNamespace(message=message)


def behind(*_: Any) -> None:
    """What the driver says while records wait, or before it knows."""


def checkpoint(partitions: Partitions, state: MemoryState) -> SignalChanges:
    """One of the signals."""
    changes = partitions.signals[0].take_changes()
    records = signal_records(changes, 0)
    state.apply([(record.key or b"", record.value) for record in records], Proof("changelog", 1, 0.0))
    return changes


def store(partitions: Partitions, state: MemoryState) -> list[Alert]:
    """A checkpoint of the signals; the alerts that it publishes."""
    return checkpoint(partitions, state).alerts


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


def test_an_alert_of_an_author_outlives_an_outage_in_which_the_author_went_on() -> None:
    """What was published meanwhile is read before the time meanwhile passes."""
    state, monday = MemoryState(), NOON + 3 * DAY_S
    partitions = taking(state)
    for n in range(6):
        partitions.take_signal(event(n, signal(0.95, offset=n, ts=NOON + n).model_dump_json().encode()))
    firing = store(partitions, state)
    assert [alert.status for alert in firing] == ["firing"]

    partitions = taking(state)
    partitions.tick(firing, monday, behind)
    for n in range(6, 12):
        sent = NOON + (n - 5) * DAY_S / 2
        record = signal(0.95, offset=n, ts=sent).model_dump_json().encode()
        partitions.take_signal(event(n, record, at=sent))
        partitions.tick(firing, monday, behind)
    told = store(partitions, state)
    assert {alert.status for alert in told} == {"firing"}

    expired = monday + 2 * DAY_S
    partitions.tick(told[-1:], expired, lambda *_: expired)
    assert [alert.status for alert in store(partitions, state)] == ["resolved"]


def test_a_record_of_a_time_that_no_broker_of_today_takes_was_published_now() -> None:
    partitions = taking(MemoryState(), rules(channel_rule()), COUNTS)
    record = delta({NOON: {"joy": 1}}).model_dump_json().encode()
    partitions.take_delta(event(0, record, at=time.time() + 400 * DAY_S, tp=COUNTS))
    assert (partitions._published_at[COUNTS] or 0) <= time.time()


def test_an_alert_of_a_channel_outlives_an_outage_until_its_counts_are_read() -> None:
    partitions = taking(MemoryState(), rules(channel_rule(min_baseline_messages=50)), COUNTS)
    for n in range(26):
        labels = {"joy": 95, "anger": 5} if n < 22 else {"joy": 50, "anger": 50}
        record = delta({NOON + 300 * n: labels}, first=100 * n).model_dump_json().encode()
        partitions.take_delta(event(n, record, at=NOON + 300 * n, tp=COUNTS))
    firing = partitions.counts[0].take_changes().alerts
    assert [alert.status for alert in firing] == ["firing"]
    partitions._delta_at[0] = 0.0
    monday = NOON + 3 * DAY_S
    partitions.tick(firing, monday, behind)
    assert partitions.counts[0].take_changes().alerts == []
    partitions.tick(firing, monday, lambda *_: monday)
    assert [alert.status for alert in partitions.counts[0].take_changes().alerts] == ["resolved"]


def test_a_tombstone_among_the_counts_forgets_only_where_it_is_keyed_by_a_pseudonym() -> None:
    kim = Pseudonyms(b"a key for the tests").of("kim")
    partitions = taking(MemoryState(), rules(channel_rule()), COUNTS)
    for n, channel in enumerate((f"dm:{kim}", "support")):
        counted = delta({NOON: {"joy": 1}}, first=n, channel=channel)
        partitions.take_delta(event(n, counted.model_dump_json().encode(), tp=COUNTS))
    partitions.take_delta(event(2, None, b"support", tp=COUNTS))
    partitions.take_delta(event(3, None, kim.encode(), tp=COUNTS))
    assert {channel for channel, _ in partitions.counts[0].take_changes().windows} == {"support"}
    assert partitions.offset(COUNTS) == 3
    rejected = partitions.metrics.rejected.labels(COUNTS.topic)
    assert rejected._value.get() == 1


def test_who_was_forgotten_is_known_to_the_next_owner_until_their_alerts_are_deleted() -> None:
    state = MemoryState()
    partitions = taking(state)
    for n, score in enumerate([0.95] * 8 + [0.0] * 8):
        told = signal(score, offset=n, ts=NOON + 60 * n).model_dump_json().encode()
        partitions.take_signal(event(n, told))
    ended = store(partitions, state)[-1]
    partitions.take_signal(event(16, None, b"author-a"))
    assert checkpoint(partitions, state).offset == 16

    partitions = taking(state)
    assert names_from(state, "") == []
    for at in (NOON, NOON + FORGETTING_S):
        partitions.tick([ended], at, lambda *_, at=at: at)
        assert checkpoint(partitions, state).forgotten_alerts == [ended.id]
    assert load_forgetting(state) == []


def test_the_alerts_of_a_channel_that_names_who_was_forgotten_are_deleted_once() -> None:
    kim = Pseudonyms(b"a key for the tests").of("kim")
    surge = alert(
        "resolved", id=f"surge:dm:{kim}:1", kind="channel", author=None, channel=f"dm:{kim}", shard=3
    )
    other = alert(id="surge:support:1", kind="channel", author=None, channel="support")
    partitions = taking(MemoryState())
    partitions.load(TP(SIGNALS.topic, 1), MemoryState(), None)
    for number in (0, 1):
        partitions.signals[number].forget(kim, 0)
    partitions.tick([surge, other], NOON, lambda *_: NOON)
    deleted = [partitions.signals[number].take_changes().forgotten_alerts for number in (0, 1)]
    assert deleted == [[surge.id], []]


@pytest.mark.parametrize(("kind", "tp"), [("author", SIGNALS), ("channel", COUNTS), ("drift", COUNTS)])
def test_an_alert_of_a_partition_that_its_topic_no_longer_has_ends_once_and_says_why(
    kind: str, tp: TP
) -> None:
    """A topic that is made anew with fewer partitions leaves alerts whose partition nobody has."""
    drift = {"name": "shift", "kind": "drift"}
    of_rule = {"author": author_rule(), "channel": channel_rule(), "drift": drift}[kind]
    partitions = taking(MemoryState(), rules(of_rule), tp)
    began = datetime.fromtimestamp(NOON, UTC)
    fired = alert(
        kind=kind, rule=of_rule["name"], shard=6, channel="support", starts_at=began, updated_at=began
    )
    soon, expired = NOON + 60, NOON + 2 * DAY_S

    def told(moment: float) -> list[Alert]:
        partitions.tick([fired], moment, lambda *_: moment)
        of = partitions.signals if tp is SIGNALS else partitions.counts
        return of[0].take_changes().alerts

    assert told(expired) == []  # another monitor may have it
    partitions.sizes[tp.topic] = 7
    assert told(expired) == []
    partitions.sizes[tp.topic] = 4
    assert told(soon) == []
    (ended,) = told(expired)
    assert (ended.id, ended.revision, ended.status) == (fired.id, 2, "resolved")
    assert "no longer has what it knew" in (ended.ended_by or "")
    assert told(expired + 2) == []
