"""A receiver's clock is learned from its answers, whatever they say, and told of once."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.monitor.receiver_clock import MOST_APART, ROUGHLY, WORTH_TELLING, ReceiverClock

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def date(ahead: timedelta) -> str:
    return format_datetime(NOW + ahead, usegmt=True)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("apart", "followed"),
    [(ROUGHLY, False), (ROUGHLY + SECOND, True), (MOST_APART, True), (MOST_APART + SECOND, False)],
)
def test_a_difference_is_followed_where_it_is_one_and_can_be_right(
    apart: timedelta, followed: bool, sign: int
) -> None:
    clock = ReceiverClock()
    clock.hear(date(sign * apart), NOW)
    assert clock.at(NOW) == (NOW + sign * apart if followed else NOW)


def test_a_difference_is_told_of_when_it_begins() -> None:
    clock = ReceiverClock()
    wrong, right = date(WORTH_TELLING), date(WORTH_TELLING - SECOND)
    assert [clock.hear(one, NOW) for one in (right, wrong, wrong, right, wrong)] == [
        False, True, False, False, True,
    ]  # fmt: skip


@given(st.none() | st.text() | st.sampled_from(["Thu, 01 Jan 99999 12:00:00 GMT", "1 Jan 1 0:0:0 -2359"]))
def test_an_answer_whose_date_cannot_be_read_leaves_what_is_known(said: str | None) -> None:
    clock = ReceiverClock()
    clock.hear(date(timedelta(hours=1)), NOW)
    clock.hear(said, NOW)
    assert clock.heard
    assert abs(clock.at(NOW) - NOW) <= MOST_APART


def test_a_date_without_a_zone_is_in_utc() -> None:
    clock = ReceiverClock()
    clock.hear("Thu, 01 Jan 2026 13:00:00 -0000", NOW)
    assert clock.at(NOW) == NOW + timedelta(hours=1)
