"""Whatever the monitor reads, each record that it writes fits into its topic, and can be sent."""

import time
from collections.abc import Iterable
from typing import Any

import orjson
import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from model.labels import LABELS
from stream.cloudevents import to_json
from stream.events import CountDelta, DistressSignal, ModelRef, OffsetRange, WindowCounts
from stream.monitor import fold
from stream.monitor.app import running
from stream.monitor.author_rules import EVIDENCE_MESSAGES
from stream.monitor.channel_rules import ChannelState, HourCount
from stream.monitor.count_changes import Checkpoint
from stream.monitor.counting import CountPartition, CountPolicy
from stream.monitor.events import Alert
from stream.monitor.fold import Tally, Window, input_partition
from stream.monitor.rulesfile import SHIPPED_RULES, load_rules
from stream.monitor.signalling import SignalPartition
from stream.monitor.sizes import (
    ID_CHARS,
    MOST_LABELS,
    MOST_RANGES,
    MOST_RECIPIENTS,
    MOST_RULES_OF_AUTHORS,
    MOST_SOURCES,
    NAME_CHARS,
    RECIPIENT_CHARS,
    has_room_for,
)
from stream.monitor.store import count_records, signal_records
from stream.monitor.watermark import RECENT, SourceClock
from stream.records import Record, size_bytes
from stream.settings import Settings
from stream.topics import KAFKA_MAX_MESSAGE_BYTES, largest_record_bytes, published_bytes
from stream.transactions import _BATCH_BYTES, _batches
from tests.records import produce
from tests.stream.monitor.conftest import MonitorTopics
from tests.stream.monitor.factories import NOON, author_rule, channel_rule, delta, rules, signal
from tests.stream.monitor.test_app import delta_record, signal_record
from tests.stream.monitor.test_delivery import eventually

CHANGELOG_BYTES = published_bytes(1)
"""The least room that a changelog is made with."""
POLICY = CountPolicy(base_s=60, judge_delay_s=0)
LONG = "\x01" * 1024
"""As long as a producer's name may be, of characters that take six bytes each in JSON."""


def largest(records: Iterable[Record]) -> int:
    return max(map(size_bytes, records))


def published(alerts: Iterable[Alert]) -> int:
    """The largest alert, with what stands in its key and headers."""
    return max(len(to_json(alert.model_dump())) + 2 * len(alert.id.encode()) for alert in alerts)


def foreign(labels: dict[str, int], number: int, start: float = NOON) -> CountDelta:
    """A delta of an input partition that nobody else has heard of."""
    made_up = f"t{number:0248}"
    return CountDelta(
        id="x",
        channel="*",
        source=OffsetRange(topic=made_up, partition=0, first_offset=0, last_offset=9, epoch="e" * 22),
        windows=(WindowCounts(start=start, labels=labels, confidence_sum=0.0),),
    )


def test_labels_and_input_partitions_that_are_made_up_stay_within_a_record() -> None:
    names = [input_partition(foreign({}, number).source) for number in range(MOST_SOURCES - 10)]
    clock = SourceClock(((2**50, NOON),) * RECENT, NOON + 0.123456)
    partition = CountPartition(
        0,
        load_rules(SHIPPED_RULES),
        POLICY,
        checkpoint=Checkpoint(sources=dict.fromkeys(names, clock)),
        windows={("*", NOON): Window(Tally(), dict.fromkeys(names, 2**50), dict.fromkeys(names, 2**50))},
    )
    for offset in range(20):
        labels = {f"label-{offset}-{n}": 1 for n in range(20)} | {"x" * 1000: 1, "joy": 1}
        partition.apply(foreign(labels, MOST_SOURCES + offset), offset, NOON + 60.0)
    changes = partition.take_changes()
    (window,) = changes.windows.values()
    assert len(window.applied) == len(window.first) == len(changes.checkpoint.sources) == MOST_SOURCES
    assert largest(count_records(0, changes, 0)) < CHANGELOG_BYTES
    counter = changes.counters[0]
    assert len(counter.labels) <= MOST_LABELS + len(LABELS)
    assert (counter.messages, counter.labels["joy"]) == (20 * 22, 20)


def test_a_label_that_we_know_is_counted_however_many_others_came_before() -> None:
    tally = Tally({f"l{n}": 1 for n in range(MOST_LABELS)}).plus(Tally({"joy": 2, "new": 3, "l0": 4}))
    assert (tally.labels["joy"], tally.labels["unknown"], tally.labels["l0"]) == (2, 3, 5)


def test_deltas_of_as_many_input_partitions_as_are_remembered_are_counted_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fold, "MOST_SOURCES", 50)
    partition = CountPartition(0, rules(), POLICY)
    for offset in range(100):
        partition.apply(foreign({"joy": 1}, offset % 50), offset, NOON + 60.0)
    assert partition.tally("*", NOON, 60).labels == {"joy": 50}
    for offset in range(100, 110):
        partition.apply(foreign({"joy": 1}, offset), offset, NOON + 60.0)
    assert partition.tally("*", NOON, 60).labels == {"joy": 60}, "more are counted all the same"


def test_an_alert_names_some_of_the_input_partitions_where_they_are_thousands() -> None:
    places = {f"t{number:0248}-0@{'e' * 22}": 2**40 for number in range(MOST_SOURCES)}
    partition = CountPartition(
        0,
        rules(channel_rule(channels=["*"])),
        POLICY,
        windows={("*", NOON): Window(Tally({"joy": 5, "anger": 95}), places, places)},
        states={("surge", "*"): ChannelState(hours=(HourCount(NOON - 3600, 5, 1_000),))},
    )
    alerts = list[Alert]()
    for n in range(1, 6):
        alerts += partition.apply(delta({NOON + 300 * n: {"joy": 60}}, first=100 * n, channel="*"), n)
    assert [alert.status for alert in alerts] == ["firing", "resolved"]
    assert len(alerts[0].evidence.sources) == MOST_RANGES
    assert published(alerts) < KAFKA_MAX_MESSAGE_BYTES
    assert largest(count_records(0, partition.take_changes(), 0)) < CHANGELOG_BYTES


def busy_author(in_force: Any, count: int) -> tuple[SignalPartition, list[Alert]]:
    """Who wrote the longest texts, of whom every rule has an alert, in topics that come and go."""
    partition, alerts = SignalPartition(0, in_force, lambda _: None), list[Alert]()
    for n in range(count):
        one = signal(
            offset=n, ts=NOON + n, text="\x01" * 5_000, channel=LONG, phrases=[f"list-{n}" * 20] * 500
        )
        one = one.model_copy(
            update={
                "id": f"{n}{LONG}"[:ID_CHARS],
                "conversation": LONG,
                "source": one.source.model_copy(update={"topic": f"day-{n:0240}", "epoch": "e" * 22}),
                "model": ModelRef(name="m" * 100, revision="r" * 64),
            }
        )
        alerts += partition.apply(one, n, NOON + n)
    return partition, alerts


def test_what_is_known_of_an_author_stays_within_a_record_with_dozens_of_rules_and_years_of_topics() -> None:
    recipients = ["\x01" * RECIPIENT_CHARS] * MOST_RECIPIENTS
    measures = {"escalation": {}, "sustained": {"min_messages": EVIDENCE_MESSAGES, "above_baseline": 0.0}}
    tables = [
        author_rule(name=f"rule-{n}", measure=measure, recipients=recipients, **measures[measure])
        for n in range(MOST_RULES_OF_AUTHORS)
        for measure in (("escalation", "sustained")[n % 2],)
    ]
    partition, alerts = busy_author(rules(*tables), 700)
    assert len({alert.rule for alert in alerts}) == MOST_RULES_OF_AUTHORS
    assert published(alerts) < KAFKA_MAX_MESSAGE_BYTES
    assert largest(signal_records(partition.take_changes(), 0)) < CHANGELOG_BYTES


def test_more_rules_about_authors_are_refused_unless_they_are_turned_off() -> None:
    tables = [author_rule(name=f"rule-{n}") for n in range(MOST_RULES_OF_AUTHORS + 1)]
    with pytest.raises(ValueError, match="51 rules of the kinds author and phrase are enabled"):
        rules(*tables)
    rules(*tables[1:], tables[0] | {"enabled": False})


@pytest.mark.parametrize("recipients", [["x" * 321], ["x"] * 101])
def test_so_are_more_and_longer_recipients_than_an_alert_has_room_for(recipients: list[str]) -> None:
    with pytest.raises(ValueError, match="recipients"):
        rules(author_rule(recipients=recipients))


def test_with_few_rules_an_alert_has_the_texts_as_they_are_remembered() -> None:
    partition, alerts = busy_author(rules(author_rule()), 40)
    assert len(alerts[0].evidence.texts) >= 2
    assert {len(orjson.dumps(text)) for text in alerts[0].evidence.texts} <= set(range(3_990, 4_003))
    assert len(partition._state("author-a").seen) == EVIDENCE_MESSAGES


def test_a_year_of_hours_stays_within_a_record() -> None:
    year = tuple(HourCount(NOON - 3600 * n, 2**53 - 1, 2**53 - 1) for n in range(366 * 24, 0, -1))
    partition = CountPartition(
        0,
        rules(channel_rule(baseline_days=366)),
        POLICY,
        states={("surge", "support"): ChannelState(hours=year)},
    )
    for n in range(4):
        partition.apply(delta({NOON + 300 * n: {"joy": 60}}, first=100 * n), n)
    changes = partition.take_changes()
    (state,) = changes.states.values()
    assert state is not None
    assert len(state.hours) == 366 * 24 + 1, "the hour itself, and those of a year before it"
    assert largest(count_records(0, changes, 0)) < CHANGELOG_BYTES
    with pytest.raises(ValueError, match="less than or equal to 366"):
        rules(channel_rule(baseline_days=367))


@pytest.mark.parametrize(
    "fields",
    [{"channel": "c" * NAME_CHARS}, {"author": "a" * 1_024}, {"channel": None, "author": None}],
)
def test_names_as_long_as_annotators_write_them_are_taken(fields: dict[str, Any]) -> None:
    assert has_room_for(DistressSignal(**signal().model_dump() | fields))
    assert has_room_for(delta({NOON: {"joy": 1}}, channel=fields.get("channel") or "-"))


@pytest.mark.parametrize("field", ["id", "author", "channel", "conversation"])
def test_a_signal_with_a_longer_name_is_none(field: str) -> None:
    assert not has_room_for(DistressSignal(**signal().model_dump() | {field: "x" * (NAME_CHARS + 1)}))


@pytest.mark.parametrize("part", ["topic", "epoch", "name", "revision"])
def test_neither_is_one_of_a_topic_or_model_that_cannot_be(part: str) -> None:
    one = signal().model_dump()
    one["source" if part in ("topic", "epoch") else "model"][part] = "x" * 100_000
    assert not has_room_for(DistressSignal(**one))


async def test_foreign_records_with_names_of_a_megabyte_are_passed_over(
    monitor_topics: MonitorTopics,
) -> None:
    settings = await monitor_topics(partitions=1)
    names, servers, now = settings.topics, settings.bootstrap_servers or "", time.time()
    huge = "x" * 1_000_000
    await produce(
        servers,
        names.counts,
        [
            delta_record(delta({now // 60 * 60: {"joy": 1}}, channel=name, first=n))
            for n, name in enumerate([huge, "c"])
        ],
    )
    await produce(
        servers,
        names.signals,
        [signal_record(signal(author=name, ts=now, offset=n)) for n, name in enumerate([huge, "a"])],
    )
    async with running(settings) as started:
        metrics = started.monitor.metrics
        await eventually(lambda: metrics.deltas._value.get() == metrics.signals._value.get() == 1)
        rejected = [metrics.rejected.labels(topic)._value.get() for topic in (names.counts, names.signals)]
        assert (rejected, started.monitor.failure) == ([1, 1], None)


RECORDS = st.builds(
    Record,
    st.none() | st.binary(max_size=300),
    st.none() | st.binary(max_size=300),
    st.lists(st.tuples(st.text(max_size=20), st.none() | st.binary(max_size=50)), max_size=4),
    st.integers(0, 2**41),
    st.just(-1),
    st.none(),
)


@given(st.lists(RECORDS, min_size=1, max_size=40), st.integers(500, 3_000))
def test_records_go_together_only_as_far_as_a_batch_of_a_producer_has_room(
    records: list[Record], most_bytes: int
) -> None:
    """A record alone is taken however large it is: then the broker says whether it has room."""
    assert largest_record_bytes(1) > _BATCH_BYTES, "a producer's batches are larger than those that we fill"
    for together in _batches(records, most_bytes):
        batch = BatchBuilder(most_bytes, 0)
        for record in together:
            assert batch.append(
                timestamp=record.timestamp_ms, key=record.key, value=record.value, headers=record.headers
            )


def test_a_record_larger_than_a_batch_of_the_producer_is_left_to_the_broker() -> None:
    most = Settings().largest_record_bytes
    assert BatchBuilder(most, 0).append(timestamp=0, key=b"k", value=bytes(2 * most), headers=[])
