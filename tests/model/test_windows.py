"""Long texts: every token is read, neighbours share tokens, and no window is longer than the model."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.windows import spans, split


@st.composite
def _text_and_limits(draw: st.DrawFn) -> tuple[int, int, int]:
    limit = draw(st.integers(1, 600))
    overlap = draw(st.integers(0, limit - 1))
    tokens = draw(st.integers(0, 5_000))
    return tokens, limit, overlap


@given(_text_and_limits())
def test_every_token_stands_in_a_window_and_no_window_is_too_long(case: tuple[int, int, int]) -> None:
    tokens, limit, overlap = case
    windows = spans(tokens, limit, overlap)
    assert {index for start, end in windows for index in range(start, end)} == set(range(tokens))
    assert all(end - start <= limit for start, end in windows)


@given(_text_and_limits())
def test_neighbours_share_at_least_the_overlap_and_go_forward(case: tuple[int, int, int]) -> None:
    tokens, limit, overlap = case
    windows = spans(tokens, limit, overlap)
    for (start, end), (next_start, next_end) in pairwise(windows):
        assert end - next_start >= overlap
        assert next_start > start
        assert next_end > end


@given(_text_and_limits())
def test_windows_are_as_few_as_can_be_and_equally_long(case: tuple[int, int, int]) -> None:
    tokens, limit, overlap = case
    windows = spans(tokens, limit, overlap)
    assert len({end - start for start, end in windows}) == 1
    fewer = len(windows) - 1
    assert fewer == 0 or fewer * limit - (fewer - 1) * overlap < tokens


def test_a_million_tokens_make_windows_in_proportion() -> None:
    windows = spans(1_000_000, 510, 64)
    assert sum(end - start for start, end in windows) < 1_000_000 * 1.15  # 510 / (510 - 64) = 1.143


def test_an_overlap_as_long_as_the_window_is_refused() -> None:
    with pytest.raises(ValueError, match=r"overlap must lie in \[0, 8\), not 8"):
        spans(20, 8, 8)


def test_each_window_has_its_special_tokens_within_the_limit() -> None:
    windows = split(range(10, 20), 8, 2, prefix=[101], suffix=[102])
    assert windows == (
        (101, 10, 11, 12, 13, 14, 15, 102),
        (101, 14, 15, 16, 17, 18, 19, 102),
    )
