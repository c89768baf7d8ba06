"""Earlier messages before the message: newest last, bounded, the message itself never touched."""

from hypothesis import given
from hypothesis import strategies as st

from model.context import with_context

SEP = 0
MESSAGES = st.lists(st.integers(1, 99), max_size=12)


def test_earlier_messages_come_first_each_with_its_separator() -> None:
    assert with_context([7, 8], [[1, 2], [3]], SEP, max_tokens=100) == [1, 2, SEP, 3, SEP, 7, 8]


def test_what_goes_beyond_the_bound_is_left_out_from_the_oldest_end() -> None:
    assert with_context([7], [[1, 2], [3, 4]], SEP, max_tokens=4) == [3, 4, SEP, 7]
    assert with_context([7], [[1, 2], [3, 4]], SEP, max_tokens=5) == [2, SEP, 3, 4, SEP, 7]


def test_a_separator_with_nothing_before_it_is_dropped() -> None:
    assert with_context([7], [[1, 2], [3]], SEP, max_tokens=3) == [3, SEP, 7]
    assert with_context([7], [[3]], SEP, max_tokens=1) == [7]


def test_empty_messages_leave_no_trace() -> None:
    assert with_context([7], [[], [3], []], SEP, max_tokens=9) == [3, SEP, 7]


@given(message=MESSAGES, previous=st.lists(MESSAGES, max_size=6), max_tokens=st.integers(0, 40))
def test_the_context_is_the_end_of_the_history_and_within_its_bound(
    message: list[int], previous: list[list[int]], max_tokens: int
) -> None:
    joined = with_context(message, previous, SEP, max_tokens=max_tokens)
    kept = joined[: len(joined) - len(message)]
    history = [token for earlier in previous if earlier for token in (*earlier, SEP)]
    assert joined[len(kept) :] == message
    assert len(kept) <= max_tokens
    assert history[len(history) - len(kept) :] == kept
    assert kept[:1] != [SEP]
