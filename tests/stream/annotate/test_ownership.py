"""How far commits lie apart: long enough to gather messages, and no longer than was asked for."""

from hypothesis import given
from hypothesis import strategies as st

from stream.annotate.ownership import between_commits_s

seconds = st.floats(0.0, 60.0)


@given(interval_s=seconds, commit_s=seconds)
def test_what_is_finished_after_a_commit_began_is_committed_within_the_interval(
    interval_s: float, commit_s: float
) -> None:
    if commit_s <= interval_s / 2:
        assert between_commits_s(interval_s, commit_s) + commit_s <= interval_s + 1e-9


@given(interval_s=seconds, commit_s=seconds)
def test_slow_commits_leave_half_of_the_interval_to_gather_messages(
    interval_s: float, commit_s: float
) -> None:
    if commit_s >= interval_s / 2:
        assert between_commits_s(interval_s, commit_s) == interval_s / 2


@given(interval_s=seconds, commit_s=seconds)
def test_quick_commits_come_sooner_and_take_an_eighth_of_the_time(interval_s: float, commit_s: float) -> None:
    if commit_s <= interval_s / 9:
        assert between_commits_s(interval_s, commit_s) == 8 * commit_s
