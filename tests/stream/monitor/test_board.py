"""The board: the latest of everything, whatever the order it comes in, and the precision of the rules."""

from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.events import MOST_COUNTED
from stream.monitor import board as boards
from stream.monitor.board import MAX_WINDOWS, Board, Precision, wilson
from stream.monitor.events import Review, Verdict
from stream.monitor.fold import MOST_SHARDS, Tally, counter_record
from tests.stream.monitor.factories import AUTHOR, NOON
from tests.stream.monitor.test_delivery import alert


def review(verdict: Verdict, number: int = 0, alert_id: str = alert().id) -> Review:
    return Review(
        id=f"{alert_id}-{number}", alert_id=alert_id, rule="sustained", verdict=verdict, reviewer="r",
        at=datetime.fromtimestamp(NOON + number, UTC),
    )  # fmt: skip


def test_of_two_records_of_an_alert_the_later_revision_holds() -> None:
    records = [alert(revision=1), alert(revision=2), alert("resolved", revision=3)]
    for order in permutations(records):
        board = Board()
        for record in order:
            board.take_alert(record)
        assert board.alerts[alert().id].status == "resolved"


NAMING: dict[str, dict[str, Any]] = {
    "author": {"author": AUTHOR},
    "channel": {"author": None, "channel": f"dm:{AUTHOR}"},
    "conversation": {"author": None, "conversation": f"dm:{AUTHOR}"},
    "id": {"author": None, "id": f"surge:dm:{AUTHOR}:1"},
}


@given(
    st.sampled_from(sorted(NAMING)), st.integers(-2, 2), st.permutations(["firing", "resolved", "tombstone"])
)
def test_what_began_before_its_author_was_forgotten_is_hidden_whatever_order_it_is_read_in(
    how: str, began: int, order: list[str]
) -> None:
    board = Board()
    fields = {"starts_at": datetime.fromtimestamp(NOON + began, UTC), **NAMING[how]}
    records = {
        "firing": alert(**fields),
        "resolved": alert("resolved", revision=2, **fields),
    }
    for name in order:
        if name == "tombstone":
            board.take_tombstone(AUTHOR, NOON)
        else:
            board.take_alert(records[name], NOON + 60)
    assert [one.status for one in board.alerts.values()] == ([] if began <= 0 else ["resolved"])
    assert [one.status for one in board.published()] == ["resolved"]
    assert board.is_forgotten(records["firing"]) == (began <= 0)


def test_an_author_who_is_forgotten_hides_nobody_elses_alerts() -> None:
    board = Board()
    board.take_alert(alert(author="b"))
    assert board.take_tombstone(AUTHOR, NOON + 1e9) == []
    assert board.take_alert(alert(id="other", author=None, channel="support"))
    assert len(board.alerts) == 2


def test_what_is_deleted_is_gone_and_what_was_on_its_way_of_it_is_hidden_until_it_is_deleted_too() -> None:
    board = Board()
    board.take_alert(alert(), NOON)
    assert board.take_tombstone(alert().id, NOON + 1) == [alert().id]
    assert not list(board.published())
    assert not board.take_alert(alert(revision=2), NOON + 2)
    assert not board.alerts
    assert [one.revision for one in board.published()] == [2]
    board.take_tombstone(alert().id, NOON + 3)
    assert not list(board.published())


def test_who_was_forgotten_is_remembered_for_as_long_as_the_topic_holds_what_they_wrote() -> None:
    board = Board()
    board.take_tombstone(AUTHOR, NOON)
    board.take_alert(alert(author=AUTHOR, starts_at=datetime.fromtimestamp(NOON, UTC)), NOON + 1)
    board.prune(datetime.fromtimestamp(NOON, UTC))
    assert board._forgotten
    assert board.hidden
    board.prune(datetime.fromtimestamp(NOON + 2, UTC))
    assert not board._forgotten
    assert not board.hidden
    assert not board._published_at


def test_of_two_records_of_a_window_the_one_that_has_seen_more_holds() -> None:
    few = counter_record("support", NOON, 60, Tally({"joy": 1}))
    many = counter_record("support", NOON, 60, Tally({"joy": 2}))
    for order in ((few, many), (many, few)):
        board = Board()
        for record in order:
            board.take_counter(record)
        assert [counter.messages for counter in board.counters("support", 60)] == [2]


def test_a_window_counted_in_two_partitions_is_their_sum_without_what_version_0_1_wrote() -> None:
    """Partitions were added, and the channel has moved."""
    first = Tally({"joy": 3}, confidence_sum=3.0, opted_out=1, unknown=4)
    records = [
        counter_record("support", NOON, 60, first, shard=0),
        counter_record("support", NOON, 60, Tally({"joy": 1, "anger": 2}, opted_out=2, unknown=1), shard=5),
    ]
    for order in permutations(records):
        board = Board()
        for record in order:
            board.take_counter(record)
        (found,) = board.counters("support", 60)
        assert (found.messages, found.labels, found.opted_out) == (6, {"joy": 4, "anger": 2}, 3)
        assert (found.unknown, found.mean_confidence) == (5, pytest.approx(0.5))


def test_of_foreign_shards_a_window_keeps_few_and_its_own() -> None:
    own = [counter_record("support", NOON, 60, Tally({"joy": 3}), shard=n) for n in (0, 5)]
    foreign = [
        counter_record("support", NOON, 60, Tally({"fear": 1}), shard=MOST_COUNTED - n) for n in range(50)
    ]
    for order in ([*own, *foreign], [*foreign, *own]):
        board = Board()
        for record in order:
            board.take_counter(record)
        (found,) = board.counters("support", 60)
        assert found.labels == {"joy": 6, "fear": MOST_SHARDS - 2}


def test_only_the_newest_windows_are_kept() -> None:
    board = Board()
    for n in range(MAX_WINDOWS + 10):
        board.take_counter(counter_record("support", NOON + 60 * n, 60, Tally({"joy": 1})))
    counters = board.counters()
    assert len(counters) == MAX_WINDOWS
    assert counters[0].start > counters[-1].start


def test_of_many_channels_the_windows_heard_of_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "ALL_WINDOWS", 5)
    board = Board()
    for n in range(100):
        board.take_counter(counter_record(f"ticket-{n}", NOON, 60, Tally({"joy": 1})))
        board.take_counter(counter_record("busy", NOON, 60, Tally({"joy": n + 1})))
    kept = {counter.channel: counter.messages for counter in board.counters()}
    assert kept == {"busy": 100} | {f"ticket-{n}": 1 for n in range(96, 100)}
    assert len(board._counters) == 5


def test_windows_that_outlived_their_retention_are_told_no_more() -> None:
    board = Board()
    for n in range(3):
        board.take_counter(counter_record(f"dm:{n}", NOON, 60, Tally({"joy": 1})), NOON + n)
    board.take_counter(counter_record("dm:0", NOON, 60, Tally({"joy": 2})), NOON + 9)
    board.prune(datetime.fromtimestamp(NOON + 2, UTC))
    assert sorted(one.channel for one in board.counters()) == ["dm:0", "dm:2"]


@pytest.mark.parametrize(
    ("verdicts", "state", "ended"),
    [
        ([], "firing", "resolved"),
        (["acknowledged"], "acknowledged", "resolved"),
        (["acknowledged", "confirmed"], "confirmed", "confirmed"),
        (["confirmed", "dismissed"], "dismissed", "dismissed"),
        (["confirmed", "acknowledged"], "confirmed", "confirmed"),
    ],
)
def test_a_judgement_is_where_an_alert_stands_whether_or_not_it_has_ended(
    verdicts: list[Verdict], state: str, ended: str
) -> None:
    board = Board()
    board.take_alert(alert())
    for number, verdict in enumerate(verdicts):
        board.take_review(review(verdict, number))
    assert board.state(alert()) == state
    assert board.state(alert("resolved", revision=2)) == ended
    assert board.state(alert(held=True)) == ("held" if not verdicts else state)


def test_precision_counts_the_last_verdict_on_each_alert_and_no_acknowledgement() -> None:
    board = Board()
    for n, verdicts in enumerate(
        [["confirmed"], ["confirmed", "dismissed"], ["acknowledged"], ["dismissed"]]
    ):
        for number, verdict in enumerate(verdicts):
            board.take_review(review(verdict, number, f"alert-{n}"))  # type: ignore[arg-type]
            board.take_review(review(verdict, number, f"alert-{n}"))  # type: ignore[arg-type]
    assert board.precision() == {"sustained": Precision(confirmed=1, reviewed=3)}


def test_all_readers_agree_which_verdict_came_last_whatever_order_they_read_in() -> None:
    verdicts = [review(verdict, n) for n, verdict in enumerate(("confirmed", "dismissed", "acknowledged"))]
    for order in permutations(verdicts):
        board = Board()
        for one in order:
            board.take_review(one)
        assert board.state(alert()) == "dismissed"
        assert board.precision() == {"sustained": Precision(confirmed=0, reviewed=1)}


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_the_interval_holds_the_proportion(hits: int, misses: int) -> None:
    low, high = wilson(hits, hits + misses)
    assert 0 <= low <= high <= 1
    if hits + misses:
        assert low <= hits / (hits + misses) + 1e-12
        assert high >= hits / (hits + misses) - 1e-12


def test_the_interval_is_wilsons() -> None:
    low, high = wilson(10, 258)
    assert low == pytest.approx(0.0212, abs=5e-4)
    assert high == pytest.approx(0.0699, abs=5e-4)
