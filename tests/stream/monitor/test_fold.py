"""Counting: each delta once, whatever is repeated; late ones apart; windows expire after publication."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stream.cloudevents import to_json
from stream.events import MOST_COUNTED, CountDelta, OffsetRange
from stream.monitor.count_changes import Checkpoint
from stream.monitor.counting import CountPartition, CountPolicy
from stream.monitor.fold import Window, fold
from stream.monitor.rules import RuleSet
from stream.monitor.store import count_records
from stream.monitor.windows import is_late, window_lengths, window_start
from stream.records import size_bytes
from tests.stream.monitor.factories import NOON, delta

POLICY = CountPolicy(base_s=60, allowed_lateness_s=600, judge_delay_s=0)
NO_RULES = RuleSet()


@given(moment=st.integers(0, 2**33), length=st.sampled_from([60, 300, 3600]))
def test_a_moment_lies_in_its_window(moment: int, length: int) -> None:
    start = window_start(moment, length)
    assert start <= moment < start + length
    assert start % length == 0


def test_longer_windows_are_made_of_whole_base_windows() -> None:
    assert window_lengths(60) == (60, 300, 3600)
    assert window_lengths(7) == (7,)
    assert window_lengths(300) == (300, 3600)


def test_a_window_is_late_only_beyond_the_allowed_lateness() -> None:
    assert not is_late(NOON, 60, allowed_lateness_s=600, watermark_s=NOON + 600)
    assert is_late(NOON, 60, allowed_lateness_s=600, watermark_s=NOON + 660)


def test_a_replayed_delta_changes_nothing() -> None:
    first = delta({NOON: {"joy": 2}}, first=0)
    second = delta({NOON: {"joy": 1}}, first=2)
    window = fold(fold(Window(), first.windows[0], first.source), second.windows[0], second.source)
    assert fold(window, first.windows[0], first.source) is window
    assert fold(window, second.windows[0], second.source) is window
    assert window.tally.labels == {"joy": 3}


@given(
    batches=st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(["joy", "anger"]), st.integers(1, 5), st.integers(0, 4)),
        max_size=30,
    ),
    seed=st.integers(0, 2**16),
)
def test_counts_are_exact_whatever_suffix_is_replayed(
    batches: list[tuple[int, str, int, int]], seed: int
) -> None:
    """Records come again from an earlier offset, as after a crash: the counts stay those of a batch count."""
    random = Random(seed)
    next_offset = Counter[int]()
    records = []
    expected: Counter[tuple[int, str]] = Counter()
    for partition, label, messages, minute in batches:
        start = NOON + 60 * minute
        records.append(delta({start: {label: messages}}, first=next_offset[partition], partition=partition))
        next_offset[partition] += messages
        expected[start, label] += messages

    counts = CountPartition(0, NO_RULES, POLICY)
    position = 0
    while position < len(records):
        counts.apply(records[position], position)
        position += 1
        if random.random() < 0.2:
            position = random.randrange(position)
    found = Counter(
        {
            (start, label): count
            for start in range(NOON, NOON + 300, 60)
            for label, count in counts.tally("support", start, 60).labels.items()
        }
    )
    assert found == expected


def test_a_topic_made_anew_begins_again_at_offset_0_and_is_counted_all_the_same() -> None:
    old = delta({NOON: {"joy": 2}}, first=500)
    source = old.source.model_copy(update={"first_offset": 0, "last_offset": 1, "epoch": "second"})
    new = old.model_copy(update={"source": source})
    counts = CountPartition(0, NO_RULES, POLICY)
    for offset, one in enumerate([old, new, new]):
        counts.apply(one, offset)
    assert counts.tally("support", NOON, 60).labels == {"joy": 4}


def test_offsets_of_a_counts_topic_made_anew_are_not_taken_for_old_ones() -> None:
    counts = CountPartition(0, NO_RULES, POLICY, checkpoint=Checkpoint(offset=500, topic="first"))
    assert counts.checkpoint.on_topic("first").offset == 500
    assert counts.checkpoint.on_topic(None).offset == 500
    assert counts.checkpoint.on_topic("second") == Checkpoint(offset=-1, topic="second")


def test_a_delta_updates_its_minute_its_five_minutes_and_its_hour() -> None:
    counts = CountPartition(0, NO_RULES, POLICY)
    counts.apply(delta({NOON + 60: {"joy": 2}}), 0)
    counts.apply(delta({NOON + 360: {"fear": 1}}, first=2), 1)
    published = {
        (c.window_s, int(c.start.timestamp()) - NOON): c.labels for c in counts.take_changes().counters
    }
    assert published == {
        (60, 60): {"joy": 2},
        (60, 360): {"fear": 1},
        (300, 0): {"joy": 2},
        (300, 300): {"fear": 1},
        (3600, 0): {"joy": 2, "fear": 1},
    }


def test_a_late_delta_within_the_allowance_is_published_again_and_an_older_one_is_counted_as_late() -> None:
    counts = CountPartition(0, NO_RULES, POLICY)
    counts.apply(delta({NOON: {"joy": 1}}), 0)
    counts.apply(delta({NOON + 600: {"joy": 1}}, first=1), 1)
    counts.take_changes()
    counts.apply(delta({NOON: {"joy": 1}}, first=2), 2)
    assert {(c.window_s, c.messages) for c in counts.take_changes().counters} == {
        (60, 2),
        (300, 2),
        (3600, 3),
    }
    for n in range(3, 6):
        counts.apply(delta({NOON + 1200: {"joy": 1}}, first=n), n)
    counts.take_changes()
    counts.apply(delta({NOON: {"joy": 5}}, first=6), 6)
    assert counts.late_messages == 5
    assert counts.take_changes().counters == []


def test_windows_expire_after_they_have_been_published() -> None:
    counts = CountPartition(0, NO_RULES, POLICY)
    counts.apply(delta({NOON: {"joy": 1}}), 0)
    for n in range(1, 3):
        counts.apply(delta({NOON + 4 * 3600: {"joy": 1}}, first=n), n)
    changes = counts.take_changes()
    assert NOON in {int(counter.start.timestamp()) for counter in changes.counters}
    assert changes.expired == [("support", NOON)]
    assert ("support", NOON) not in changes.windows
    assert counts.take_changes().expired == []


def test_what_was_stored_goes_on_as_if_nothing_had_happened() -> None:
    """A partition that is loaded from its last checkpoint publishes what the first owner would have."""
    records = [delta({NOON + 60 * n: {"joy": n + 1}}, first=100 * n, last=100 * n + n) for n in range(8)]
    whole = CountPartition(0, NO_RULES, POLICY)
    for offset, record in enumerate(records):
        whole.apply(record, offset)

    first = CountPartition(0, NO_RULES, POLICY)
    for offset, record in enumerate(records[:5]):
        first.apply(record, offset)
    stored = first.take_changes()
    second = CountPartition(
        0, NO_RULES, POLICY, checkpoint=stored.checkpoint, windows=stored.windows, states=stored.states
    )
    for offset, record in enumerate(records[3:], start=3):
        second.apply(record, offset)
    assert second.tally("support", NOON, 3600) == whole.tally("support", NOON, 3600)
    assert second.checkpoint == whole.checkpoint


def test_windows_that_were_stored_shorter_than_they_are_now_are_parts_of_the_longer_ones() -> None:
    first = CountPartition(0, NO_RULES, CountPolicy(base_s=60))
    for n in range(30):
        first.apply(delta({NOON + 60 * n: {"joy": 100}}, first=100 * n), n)
    stored = first.take_changes()
    second = CountPartition(
        0, NO_RULES, CountPolicy(base_s=300), checkpoint=stored.checkpoint, windows=stored.windows
    )
    again = delta({NOON + 60 * 29: {"joy": 100}}, first=2900)
    second.apply(again, 30)
    second.apply(delta({NOON + 60 * 30: {"joy": 100}}, first=3000), 31)
    changes = second.take_changes()
    assert [counter.messages for counter in changes.counters if counter.window_s == 3600] == [3100]
    assert {start for _, start in changes.windows} == {NOON + 300 * n for n in range(7)}
    assert set(changes.expired) == {key for key in stored.windows if key[1] % 300}


def test_a_record_that_comes_again_leaves_nothing_to_write() -> None:
    counts = CountPartition(0, NO_RULES, POLICY)
    counts.apply(delta({NOON: {"joy": 1}}), 0)
    assert counts.take_changes()
    counts.apply(delta({NOON: {"joy": 1}}), 0)
    assert not counts.take_changes()


def test_counts_beyond_all_counting_are_published_and_stored_as_the_most_that_can_be_counted() -> None:
    label = {"joy": MOST_COUNTED, "anger": 1}
    most = delta({NOON: label, NOON + 60: label}, last=10, opted_out=MOST_COUNTED)
    windows = tuple(window.model_copy(update={"confidence_sum": 1e308}) for window in most.windows)
    counts = CountPartition(0, NO_RULES, POLICY)
    for offset in range(2):
        source = most.source.model_copy(update={"partition": offset})
        counts.apply(most.model_copy(update={"windows": windows, "source": source}), offset)
    changes = counts.take_changes()
    for counter in changes.counters:
        to_json(counter.model_dump())
        assert (counter.messages, counter.opted_out) == (MOST_COUNTED, MOST_COUNTED)
        assert counter.mean_confidence == 1.0
    assert b"null" not in b"".join(record.value or b"" for record in count_records(0, changes, 0)[:-1])


def test_late_and_early_messages_beyond_all_counting_are_stored() -> None:
    labels = {f"label {n}": MOST_COUNTED for n in range(1100)}
    counts = CountPartition(0, NO_RULES, POLICY, checkpoint=Checkpoint(watermark=NOON))
    counts.apply(delta({NOON - 7200: labels, NOON + 7200: labels}, last=10), 0, NOON)
    assert counts.late_messages == counts.checkpoint.early == MOST_COUNTED
    count_records(0, counts.take_changes(), 0)


@pytest.mark.parametrize("topic", ["a@b", "", "a b"])
def test_a_delta_of_what_cannot_be_a_topic_is_none(topic: str) -> None:
    right = delta({NOON: {"joy": 1}})
    source = OffsetRange.model_construct(**{**right.source.model_dump(), "topic": topic})
    with pytest.raises(ValidationError):
        CountDelta.model_validate_json(right.model_copy(update={"source": source}).model_dump_json())


def test_the_checkpoint_stays_small_however_many_channels_have_late_messages() -> None:
    counts = CountPartition(0, NO_RULES, POLICY, checkpoint=Checkpoint(watermark=NOON))
    for n in range(1000):
        late = delta({NOON - 7200: {"joy": 2}}, first=2 * n, channel=f"ticket-{n}")
        counts.apply(late, n, NOON)
    changes = counts.take_changes()
    assert counts.late_messages == 2000
    assert size_bytes(count_records(0, changes, 0)[-1]) < 1000


def test_late_messages_that_were_stored_by_channel_are_added_up() -> None:
    assert Checkpoint.from_json({"offset": 5, "late": {"support": 2, "sales": 3}}) == Checkpoint(5, late=5)
