"""The tally finds every message without an outcome, and every message with two."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.demo.tally import RATE_SPAN_S, DeadLettered, Labelled, Place, Tally

JOY = Labelled("joy", 0.9, "none", "community", "hooray")
DEAD = DeadLettered("not_json", "the value is not JSON")

places = st.tuples(st.integers(0, 3), st.integers(0, 20))


def test_a_message_is_lagging_until_its_outcome_is_read() -> None:
    tally = Tally(started_at=0.0)
    tally.sent((0, 0), 1.0)
    tally.sent((0, 1), 1.0)
    tally.seen((0, 0), JOY, 1.2)
    assert (tally.lag, tally.missing, tally.exactly_once) == (1, 1, False)
    tally.seen((0, 1), DEAD, 1.3)
    assert (tally.lag, tally.missing, tally.exactly_once) == (0, 0, True)


@given(sent=st.sets(places), seen=st.lists(places))
def test_exactly_once_means_one_outcome_for_each_message_sent(sent: set[Place], seen: list[Place]) -> None:
    tally = Tally(started_at=0.0)
    for place in seen:
        tally.seen(place, JOY, 1.0)
    for place in sent:  # the outcome may be read before the producer has heard of its message
        tally.sent(place, 0.5)
    counts = [seen.count(place) for place in sent]
    assert tally.missing == counts.count(0)
    assert tally.doubled == sum(seen.count(place) > 1 for place in set(seen))
    assert tally.exactly_once == (set(sent) <= set(seen) and len(seen) == len(set(seen)))


def test_labels_and_causes_are_counted_apart() -> None:
    tally = Tally(started_at=0.0)
    for offset, outcome in enumerate([JOY, DEAD, JOY]):
        tally.seen((0, offset), outcome, 1.0)
    assert tally.labels == {"joy": 2}
    assert tally.causes == {"not_json": 1}
    assert list(tally.recent) == [JOY, DEAD, JOY]


def test_the_first_label_is_timed_from_the_start_of_the_command() -> None:
    tally = Tally(started_at=10.0)
    assert tally.first_label_s is None
    tally.seen((0, 0), DEAD, 11.0)
    assert tally.first_label_s is None
    tally.seen((0, 1), JOY, 12.5)
    tally.seen((0, 2), JOY, 13.0)
    assert tally.first_label_s == 2.5


def test_the_rate_forgets_what_is_older_than_its_span() -> None:
    tally = Tally(started_at=0.0)
    for offset in range(10):
        tally.seen((0, offset), JOY, 1.0)
    assert tally.rate(1.0) == 10 / RATE_SPAN_S
    assert tally.rate(1.0 + RATE_SPAN_S) == 0.0


def test_latency_is_taken_from_sending_to_the_first_reading() -> None:
    tally = Tally(started_at=0.0)
    assert tally.latencies_ms() is None
    tally.sent((0, 0), 1.0)
    assert tally.latencies_ms() is None
    tally.seen((0, 0), JOY, 1.1)
    tally.seen((0, 0), JOY, 9.0)
    assert tally.latencies_ms() == pytest.approx((100.0, 100.0))


@given(st.lists(st.floats(0.0, 10.0), min_size=2, max_size=50))
def test_the_percentiles_lie_within_what_was_measured(delays_s: list[float]) -> None:
    tally = Tally(started_at=0.0)
    for offset, delay_s in enumerate(delays_s):
        tally.sent((0, offset), 5.0)
        tally.seen((0, offset), JOY, 5.0 + delay_s)
    p50, p95 = tally.latencies_ms() or (0.0, 0.0)
    rounding = 1e-6
    assert min(delays_s) * 1000 <= p50 + rounding
    assert p50 <= p95 + rounding
    assert p95 <= max(delays_s) * 1000 + rounding
