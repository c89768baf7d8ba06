"""What is in flight of a partition leaves as a finished prefix, each message once."""

from hypothesis import given
from hypothesis import strategies as st

from stream.annotate.ledger import Entry, Ledger, Silent, settle


def entry(offset: int) -> Entry:
    return Entry(offset=offset, timestamp_ms=0, key=b"key", value=b"value", headers=(), admitted_at=0.0)


def test_nothing_leaves_before_the_first_message_is_finished() -> None:
    ledger = Ledger(next_offset=0)
    first, second = entry(0), entry(1)
    ledger.enter(first)
    ledger.enter(second)
    settle([second], [Silent.TOMBSTONE])
    assert ledger.finished_prefix(10) == []
    settle([first], [Silent.TOMBSTONE])
    assert ledger.finished_prefix(10) == [first, second]


def test_a_message_that_was_fetched_twice_is_entered_once() -> None:
    ledger = Ledger(next_offset=5)
    assert not ledger.enter(entry(4))
    assert ledger.enter(entry(5))
    assert not ledger.enter(entry(5))
    assert len(ledger) == 1


def test_offsets_may_have_gaps_where_compaction_or_markers_were() -> None:
    ledger = Ledger(next_offset=0)
    assert ledger.enter(entry(3))
    assert ledger.enter(entry(17))
    assert ledger.next_offset == 18


def test_an_outcome_after_the_partition_has_gone_is_nobodys() -> None:
    told: list[str] = []
    ledger = Ledger(next_offset=0, on_finished=lambda: told.append("finished"))
    late = entry(0)
    ledger.enter(late)
    ledger.drop()
    settle([late], [Silent.TOMBSTONE])
    assert told == []
    assert ledger.finished_prefix(10) == []


def test_the_publisher_is_told_once_the_head_is_finished() -> None:
    told: list[str] = []
    ledger = Ledger(next_offset=0, on_finished=lambda: told.append("finished"))
    first, second = entry(0), entry(1)
    ledger.enter(first)
    ledger.enter(second)
    settle([second], [Silent.TOMBSTONE])
    assert told == []
    settle([first], [Silent.TOMBSTONE])
    assert told == ["finished"]


@given(order=st.permutations(range(20)), limit=st.integers(1, 7))
def test_whatever_the_order_of_outcomes_messages_leave_in_the_order_of_offsets(
    order: list[int], limit: int
) -> None:
    ledger = Ledger(next_offset=0)
    entries = [entry(offset) for offset in range(20)]
    for one in entries:
        ledger.enter(one)
    left: list[int] = []
    for offset in order:
        settle([entries[offset]], [Silent.TOMBSTONE])
        prefix = ledger.finished_prefix(limit)
        assert len(prefix) <= limit
        left += [one.offset for one in prefix]
        ledger.release(len(prefix))
    while prefix := ledger.finished_prefix(limit):
        left += [one.offset for one in prefix]
        ledger.release(len(prefix))
    assert left == list(range(20))
    assert ledger.size_bytes == 0
