"""A message counts for a moment that can be right: its own, Kafka's, or now."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from stream.annotate.times import EARLIEST_MS, message_time
from stream.events import UNREPRESENTABLE

NOW = 1_800_000_000_000
AHEAD = 300_000
TAKEN = NOW - 60_000


def at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def test_the_messages_own_time_comes_first_then_kafkas_then_now() -> None:
    assert message_time(at(TAKEN - 5000), TAKEN, NOW, AHEAD) == (TAKEN - 5000, TAKEN, None)
    assert message_time(None, TAKEN, NOW, AHEAD) == (TAKEN, TAKEN, None)
    assert message_time(None, TAKEN // 1000, NOW, AHEAD) == (NOW, NOW, "broker")


def test_a_claim_further_ahead_than_a_clock_may_be_is_replaced() -> None:
    assert message_time(at(TAKEN + AHEAD), TAKEN, NOW, AHEAD) == (TAKEN + AHEAD, TAKEN, None)
    assert message_time(at(TAKEN + AHEAD + 1), TAKEN, NOW, AHEAD) == (TAKEN, TAKEN, "message")
    assert message_time(UNREPRESENTABLE, TAKEN * 1000, NOW, AHEAD) == (NOW, NOW, "message")
    assert message_time(at(EARLIEST_MS - 1), TAKEN, NOW, AHEAD) == (TAKEN, TAKEN, "message")


def test_a_claim_that_can_be_right_needs_no_time_stamp() -> None:
    assert message_time(at(TAKEN), 0, NOW, AHEAD) == (TAKEN, NOW, None)


def test_a_message_sent_back_counts_for_when_it_was_first_taken() -> None:
    assert message_time(None, NOW, NOW, AHEAD, TAKEN) == (TAKEN, NOW, None)
    assert message_time(None, NOW, NOW, AHEAD, 17) == (NOW, NOW, "broker")


stamps = st.integers(-(2**63), 2**63 - 1) | st.integers(NOW - 10**10, NOW + 10**7)


@given(st.none() | st.datetimes(timezones=st.just(UTC)), stamps, stamps | st.none())
def test_whatever_the_clocks_say_the_moment_can_be_right(
    claimed: datetime | None, record_ms: int, written_ms: int | None
) -> None:
    times = message_time(claimed, record_ms, NOW, AHEAD, written_ms)
    assert EARLIEST_MS <= times.taken_ms <= NOW + AHEAD
    assert EARLIEST_MS <= times.event_ms <= times.taken_ms + AHEAD
