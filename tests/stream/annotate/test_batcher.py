"""Micro-batches: bounded by padded tokens, on time, the oldest first, nothing lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.annotate.batcher import Batcher

NOW = 100.0


def test_nothing_is_due_when_nothing_waits() -> None:
    assert Batcher[str](max_batch_tokens=100, max_wait_s=0.02).due_at() is None


def test_the_deadline_counts_from_the_oldest_message() -> None:
    batcher = Batcher[str](max_batch_tokens=1000, max_wait_s=0.020)
    for tick in range(5):  # one message every 0.9 of the deadline
        batcher.add(f"message {tick}", longest=10, arrived_at=NOW + tick * 0.018)
    assert batcher.due_at() == pytest.approx(NOW + 0.020)


def test_a_full_batch_is_due_at_once() -> None:
    batcher = Batcher[str](max_batch_tokens=100, max_wait_s=10.0)
    batcher.add("a", longest=60, arrived_at=NOW)
    batcher.add("b", longest=60, arrived_at=NOW)
    assert batcher.due_at() == float("-inf")


def test_messages_alike_in_length_go_together() -> None:
    batcher = Batcher[str](max_batch_tokens=40, max_wait_s=0.0)
    for name, longest in [
        ("short 1", 10),
        ("long 1", 200),
        ("short 2", 11),
        ("long 2", 190),
        ("short 3", 10),
    ]:
        batcher.add(name, longest=longest, arrived_at=NOW)
    batch = batcher.take()
    assert sorted(batch.items) == ["short 1", "short 2", "short 3"]
    assert batch.padded_tokens == 33


def test_a_message_over_the_bound_goes_alone() -> None:
    batcher = Batcher[str](max_batch_tokens=100, max_wait_s=0.0)
    batcher.add("novel", longest=512, rows=9, arrived_at=NOW)
    batcher.add("note", longest=5, arrived_at=NOW)
    assert batcher.take().items == ("novel",)
    assert batcher.take().items == ("note",)


lengths = st.lists(st.tuples(st.integers(1, 512), st.integers(1, 4)), min_size=1, max_size=700)


@given(sizes=lengths, max_batch_tokens=st.integers(1, 4096))
def test_every_message_leaves_once_and_no_batch_is_over_the_bound(
    sizes: list[tuple[int, int]], max_batch_tokens: int
) -> None:
    batcher = Batcher[int](max_batch_tokens=max_batch_tokens, max_wait_s=1.0)
    for number, (longest, rows) in enumerate(sizes):
        batcher.add(number, longest=longest, rows=rows, arrived_at=NOW + number)
    left: list[int] = []
    waiting = set(range(len(sizes)))
    while batcher.due_at() is not None:
        batch = batcher.take()
        assert min(waiting) in batch.items, "the oldest waits longer than one batch"
        assert batch.oldest_arrived_at == NOW + min(waiting)
        longest = max(sizes[item][0] for item in batch.items)
        assert batch.padded_tokens == longest * sum(sizes[item][1] for item in batch.items)
        assert batch.padded_tokens <= max_batch_tokens or len(batch.items) == 1
        waiting -= set(batch.items)
        left += batch.items
    assert sorted(left) == list(range(len(sizes)))
    assert len(batcher) == 0
