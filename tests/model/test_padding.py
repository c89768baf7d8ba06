"""Batches of windows: all of them, within the bound, padded and masked right."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model.runtimes.padding import cheapest, chunks, even_share, pad, rounded_up

LENGTHS = st.lists(st.integers(1, 512), max_size=200)


@given(lengths=LENGTHS, max_tokens=st.integers(1, 4096), multiple=st.sampled_from([1, 8]))
def test_every_window_is_in_one_batch_and_batches_keep_to_the_bound(
    lengths: list[int], max_tokens: int, multiple: int
) -> None:
    batches = chunks(lengths, max_tokens, multiple)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        padded = rounded_up(max(lengths[index] for index in batch), multiple) * len(batch)
        assert padded <= max_tokens or len(batch) == 1


@given(lengths=LENGTHS)
def test_batches_go_from_long_to_short(lengths: list[int]) -> None:
    order = [lengths[index] for batch in chunks(lengths, 1024) for index in batch]
    assert order == sorted(lengths, reverse=True)


def test_padding_is_masked_and_of_the_padding_token() -> None:
    input_ids, attention_mask = pad([[5, 6, 7], [8]], pad_token_id=1, multiple=4)
    np.testing.assert_array_equal(input_ids, [[5, 6, 7, 1], [8, 1, 1, 1]])
    np.testing.assert_array_equal(attention_mask, [[1, 1, 1, 0], [1, 0, 0, 0]])
    assert input_ids.dtype == attention_mask.dtype == np.int64


@given(lengths=LENGTHS, max_tokens=st.integers(1, 4096), batch_cost=st.integers(0, 20))
def test_cheapest_batches_hold_every_window_and_cost_no_more_than_full_ones(
    lengths: list[int], max_tokens: int, batch_cost: int
) -> None:
    batches = cheapest(lengths, max_tokens, batch_cost)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    sizes = [len(batch) * max(lengths[index] for index in batch) for batch in batches]
    assert sizes == sorted(sizes, reverse=True)
    assert all(size <= max_tokens or len(batch) == 1 for size, batch in zip(sizes, batches, strict=True))
    full = [len(batch) * max(lengths[index] for index in batch) for batch in chunks(lengths, max_tokens)]
    assert sum(sizes) + batch_cost * len(sizes) <= sum(full) + batch_cost * len(full)


def test_lengths_like_those_of_messages_are_padded_by_less_than_three_percent() -> None:
    lengths = [8 + (13 * place) % 40 for place in range(150)]
    batches = cheapest(lengths, 256, 3)
    padded = sum(len(batch) * max(lengths[index] for index in batch) for batch in batches)
    assert sum(lengths) > 0.97 * padded
    assert len(batches) <= len(set(lengths))


@given(lengths=st.lists(st.integers(1, 60), min_size=1, max_size=300), workers=st.integers(1, 8))
def test_workers_that_take_batches_in_turn_end_within_one_batch(lengths: list[int], workers: int) -> None:
    bound = even_share(sum(lengths), workers, 256)
    assert 1 <= bound <= 256
    loads = [0] * workers
    for batch in cheapest(lengths, bound, 3):
        idle = loads.index(min(loads))
        loads[idle] += len(batch) * max(lengths[index] for index in batch)
    assert max(loads) - min(loads) <= max(bound, max(lengths))
