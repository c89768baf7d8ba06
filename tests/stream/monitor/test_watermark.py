"""No single record, input partition or clock decides what is late for the others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.monitor.count_changes import Checkpoint
from stream.monitor.counting import MAX_AHEAD_S, CountPartition, CountPolicy
from stream.monitor.rules import RuleSet
from stream.monitor.signalling import CLOCK_STEP_S, Clock, SignalPartition
from stream.monitor.watermark import RECENT, SourceClock, watermark
from tests.stream.monitor.factories import NOON, delta, signal

LATENESS_S = 600
POLICY = CountPolicy(base_s=60, allowed_lateness_s=LATENESS_S, judge_delay_s=0)


class Counting:
    """A partition of the counts that hears of one message a commit."""

    def __init__(self, checkpoint: Checkpoint | None = None) -> None:
        self.partition = CountPartition(0, RuleSet(), POLICY, checkpoint=checkpoint)
        self.offsets: dict[int, int] = {}
        self.records = self.partition.checkpoint.offset + 1

    def message(self, at: float, *, published_at: float | None = None, source: int = 0) -> None:
        first = self.offsets.get(source, 0)
        one = delta({at // 60 * 60: {"joy": 1}}, first=first, partition=source)
        self.offsets[source] = first + 1
        self.partition.apply(one, self.records, published_at)
        self.records += 1


def test_a_record_fifty_minutes_ahead_makes_none_of_the_next_hundred_late() -> None:
    counting = Counting()
    for n in range(10):
        counting.message(NOON + n, published_at=NOON + n)
    counting.message(NOON + 3000, published_at=NOON + 10)
    for n in range(11, 111):
        counting.message(NOON + n, published_at=NOON + n)
    assert counting.partition.late_messages == 0
    assert counting.partition.checkpoint.early == 1
    assert counting.partition.tally("support", NOON, 60).messages == 59
    assert counting.partition.tally("support", NOON + 3000, 60).messages == 1


def test_nor_does_one_in_messages_from_long_ago_where_the_time_of_publication_says_nothing() -> None:
    counting = Counting()
    for n in range(110):
        counting.message(NOON + (3000 if n % 10 == 9 else n), published_at=NOON + 30 * 86400)
    assert counting.partition.late_messages == 0


@given(
    ahead=st.lists(st.integers(0, 10**9), min_size=1, max_size=(RECENT - 1) // 2),
    minutes=st.integers(RECENT, 40),
)
def test_fewer_than_half_of_the_newest_commits_move_a_clock_by_half_the_lateness_at_most(
    ahead: list[int], minutes: int
) -> None:
    clock = SourceClock()
    for n in range(minutes):
        clock = clock.with_commit(n, NOON + 60 * n, None, 0.0)
    for n, seconds in enumerate(ahead):
        clock = clock.with_commit(minutes + n, NOON + 60 * minutes + seconds, None, 0.0)
    assert watermark([clock], LATENESS_S) <= NOON + 60 * minutes + LATENESS_S / 2


def test_a_jump_that_the_next_commits_confirm_is_followed() -> None:
    counting = Counting()
    for n in range(10):
        counting.message(NOON + n)
    for n in range(3):
        counting.message(NOON + 8 * 3600 + n)
    assert counting.partition.checkpoint.watermark == NOON + 8 * 3600


def test_an_input_partition_whose_clock_is_ahead_moves_nothing() -> None:
    counting = Counting()
    for n in range(100):
        counting.message(NOON + n, source=0)
        counting.message(NOON + 3000 + n, source=1)
    assert counting.partition.late_messages == 0
    assert counting.partition.checkpoint.watermark <= NOON + 100


def test_an_input_partition_that_lags_holds_the_others_back_by_the_lateness_at_most() -> None:
    counting = Counting()
    for n in range(100):
        for source in (0, 1):
            counting.message(NOON + 60 * n, source=source)
        counting.message(NOON, source=2)
    assert counting.partition.checkpoint.watermark == NOON + 60 * 99 - LATENESS_S


def test_an_input_partition_that_falls_silent_holds_nobody_back() -> None:
    counting = Counting()
    counting.message(NOON, published_at=NOON, source=0)
    for n in range(30):
        counting.message(NOON + 10 * n, published_at=NOON + 10 * n, source=1)
    assert counting.partition.checkpoint.watermark == NOON + 240


@pytest.mark.parametrize("ahead_s", [90, 3600, 365 * 86400])
def test_an_annotator_whose_clock_is_ahead_makes_nothing_late_of_one_that_works_off_a_backlog(
    ahead_s: int,
) -> None:
    counting = Counting()
    for n in range(60):
        now = NOON + 60 * n
        counting.message(now - 1200, published_at=now, source=0)
        counting.message(now, published_at=now + ahead_s, source=1)
    assert counting.partition.late_messages == 0


@pytest.mark.parametrize("ahead_s", [90, 3600, 365 * 86400])
def test_one_commit_of_a_clock_that_is_ahead_neither_holds_the_watermark_back_nor_forgets_anybody(
    ahead_s: int,
) -> None:
    counting = Counting()
    for n in range(60):
        for source in (0, 1):
            counting.message(NOON + 60 * n, published_at=NOON + 60 * n, source=source)
        if n == 10:
            counting.message(NOON + 600, published_at=NOON + 600 + ahead_s, source=2)
    assert counting.partition.checkpoint.watermark == NOON + 60 * 59
    assert {"messages-0", "messages-1"} < set(counting.partition.checkpoint.sources)


def test_after_a_restart_commits_of_a_clock_that_is_ahead_are_no_silence_of_the_others() -> None:
    before = Counting()
    for n in range(10):
        for source in (0, 1):
            before.message(NOON + n, published_at=NOON + n, source=source)
    after = Counting(before.partition.checkpoint)
    for n in range(10, 20):
        after.message(NOON + 10 * n, published_at=NOON + 5000, source=1)
    assert after.partition.checkpoint.watermark == NOON


def test_one_of_many_messages_in_a_commit_does_not_move_the_clock() -> None:
    counting = CountPartition(0, RuleSet(), POLICY)
    counting.apply(delta({NOON: {"joy": 99}, NOON + 3000: {"joy": 1}}), 0)
    assert counting.checkpoint.watermark == NOON


def test_a_window_that_cannot_be_right_counts_as_of_its_publication_so_that_it_expires() -> None:
    counting = Counting()
    counting.message(NOON + MAX_AHEAD_S + 3600, published_at=NOON)
    assert counting.partition.tally("support", NOON, 60).messages == 1


def test_clocks_are_part_of_the_checkpoint_and_one_of_an_older_version_is_read() -> None:
    counting = Counting()
    for n in range(3):
        counting.message(NOON + n, published_at=NOON + n)
    stored = counting.partition.checkpoint
    as_json = {
        "offset": stored.offset,
        "watermark": stored.watermark,
        "sources": {
            name: {"recent": [list(one) for one in clock.recent], "heard_at": clock.heard_at}
            for name, clock in stored.sources.items()
        },
    }
    assert Checkpoint.from_json(as_json) == stored
    assert Checkpoint.from_json({"offset": 7, "watermark": NOON}).offset == 7


def test_one_signal_ahead_lets_no_author_expire() -> None:
    partition = SignalPartition(0, RuleSet(), lambda _: None)
    partition.apply(signal(ts=NOON), 0, NOON)
    partition.apply(signal(author="author-b", offset=1, ts=NOON + 400 * 86400), 1, NOON + 1)
    partition.take_changes()
    partition.expire([("author-a", NOON)], 30 * 86400, NOON + 2)
    assert partition.take_changes().states == {}
    clock = Clock().with_signal(NOON, NOON + 10**8).with_signal(NOON + 10**8, NOON + 10**8)
    assert clock.event == NOON + CLOCK_STEP_S


def test_authors_expire_by_event_time_and_go_on_to_expire_when_nobody_writes() -> None:
    partition = SignalPartition(0, RuleSet(), lambda _: None)
    partition.apply(signal(ts=NOON), 0, NOON)
    partition.take_changes()
    partition.expire([("author-a", NOON)], 30 * 86400, NOON + 29 * 86400)
    assert partition.take_changes().states == {}
    partition.expire([("author-a", NOON)], 30 * 86400, NOON + 31 * 86400)
    assert partition.take_changes().states == {"author-a": None}


def test_a_backfill_of_old_messages_expires_nobody_by_the_clock_on_the_wall() -> None:
    partition = SignalPartition(0, RuleSet(), lambda _: None)
    today = NOON + 300 * 86400
    partition.apply(signal(ts=NOON), 0, today)
    partition.take_changes()
    partition.expire([("author-a", NOON)], 30 * 86400, today + 60)
    assert partition.take_changes().states == {}
