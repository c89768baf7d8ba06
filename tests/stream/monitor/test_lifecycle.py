"""The life of an alert: hysteresis, cool-down, re-sending, quiet hours, expiry."""

from datetime import time
from itertools import count
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from stream.monitor.lifecycle import IDLE, Change, Life, Policy, QuietHours, Reading, compare, step, tick
from tests.stream.monitor.factories import NOON

POLICY = Policy(cooldown_s=3600, resend_s=600, expire_s=7200)
LEVELS = st.floats(0, 1)
GAPS = st.floats(0, 5000)


def lives(
    scores: list[tuple[float, float]], policy: Policy = POLICY
) -> list[tuple[float, Life, Change | None]]:
    """The lives after each of (gap, score), with enter 0.6 and leave 0.4."""
    numbers = count()
    life, now, found = IDLE, float(NOON), []
    for gap, score in scores:
        now += gap
        life, change = step(life, policy, compare(score, 0.6, 0.4), now, lambda: f"alert-{next(numbers)}")
        found.append((now, life, change))
    return found


@given(st.lists(st.tuples(GAPS, st.floats(0.4, 0.599)), min_size=1))
def test_a_score_within_the_band_never_fires(scores: list[tuple[float, float]]) -> None:
    assert all(change is None for _, _, change in lives(scores))


@given(st.lists(st.tuples(GAPS, st.floats(0.4, 1.0)), min_size=1))
def test_a_score_that_wavers_above_the_leave_level_fires_once_and_never_resolves(
    scores: list[tuple[float, float]],
) -> None:
    changes = [change for _, _, change in lives([(0, 0.9), *scores])]
    assert changes.count(Change.FIRED) == 1
    assert Change.RESOLVED not in changes


@given(st.lists(st.tuples(GAPS, LEVELS), max_size=60))
def test_no_alert_begins_within_the_cool_down_of_the_last(scores: list[tuple[float, float]]) -> None:
    resolved_at = None
    for now, _, change in lives(scores):
        if change is Change.RESOLVED:
            resolved_at = now
        if change is Change.FIRED and resolved_at is not None:
            assert now >= resolved_at + POLICY.cooldown_s


@given(st.lists(st.tuples(GAPS, LEVELS), max_size=60))
def test_firing_and_resolving_take_turns_and_revisions_grow(scores: list[tuple[float, float]]) -> None:
    alive, revision = False, 0
    for _, life, change in lives(scores):
        if change is Change.FIRED:
            assert not alive
            alive, revision = True, 0
        elif change is not None:
            assert alive
        if change is not None:
            assert life.revision == revision + 1
            revision = life.revision
        if change is Change.RESOLVED:
            alive = False
        assert life.firing == alive


def test_it_is_sent_again_while_it_fires_but_not_more_often_than_told() -> None:
    changes = [change for _, _, change in lives([(0, 0.9), (300, 0.9), (300, 0.9), (300, 0.9), (300, 0.5)])]
    assert changes == [Change.FIRED, None, Change.RESENT, None, None]


def test_an_alert_expires_when_nothing_has_been_above_for_long() -> None:
    life, _ = step(IDLE, POLICY, Reading.ABOVE, NOON, lambda: "a")
    assert tick(life, POLICY, NOON + 7199) == (life, None)
    after, change = tick(life, POLICY, NOON + 7200)
    assert change is Change.RESOLVED
    assert not after.firing


def test_in_quiet_hours_an_alert_is_held_and_then_released() -> None:
    berlin = QuietHours(time(22), time(7), ZoneInfo("Europe/Berlin"))
    policy = Policy(cooldown_s=0, resend_s=600, expire_s=86400, quiet_hours=berlin)
    night = NOON + 10 * 3600  # 22:00 UTC, 23:00 in Berlin
    life, change = step(IDLE, policy, Reading.ABOVE, night, lambda: "a")
    assert change is Change.FIRED
    assert life.held
    assert tick(life, policy, night + 3600) == (life, None)
    life, change = tick(life, policy, night + 8 * 3600 + 1)
    assert change is Change.RELEASED
    assert not life.held


AFTERNOON = QuietHours(time(13), time(19), ZoneInfo("UTC"))
DAYTIME = Policy(cooldown_s=0, resend_s=4 * 3600, expire_s=86400, quiet_hours=AFTERNOON)


def fired_at_noon() -> Life:
    life, change = step(IDLE, DAYTIME, Reading.ABOVE, NOON, lambda: "a")
    assert (change, life.held) == (Change.FIRED, False)
    return life


def test_a_reminder_that_is_due_in_quiet_hours_waits_for_their_end_and_then_comes_once() -> None:
    life, evening = fired_at_noon(), NOON + 7 * 3600
    for hours in range(1, 7):
        life, change = step(life, DAYTIME, Reading.ABOVE, NOON + 3600 * hours, lambda: "b")
        assert change is None
        assert tick(life, DAYTIME, NOON + 3600 * hours + 60) == (life, None)
    after, change = tick(life, DAYTIME, evening)
    assert (change, after.revision, after.sent_at) == (Change.RESENT, 2, evening)
    assert tick(after, DAYTIME, evening + 60) == (after, None)
    for reading in (Reading.ABOVE, Reading.BAND):
        assert step(life, DAYTIME, reading, evening, lambda: "b")[1] is Change.RESENT
        assert step(after, DAYTIME, reading, evening + 60, lambda: "b")[1] is None


def test_no_reminder_comes_after_quiet_hours_of_what_was_not_above_when_it_was_due() -> None:
    life, _ = step(fired_at_noon(), DAYTIME, Reading.ABOVE, NOON + 3600, lambda: "b")
    life, _ = step(life, DAYTIME, Reading.BAND, NOON + 5 * 3600, lambda: "b")
    assert tick(life, DAYTIME, NOON + 8 * 3600) == (life, None)


@given(st.lists(st.tuples(GAPS, st.sampled_from([*Reading, None])), max_size=60))
def test_in_quiet_hours_nobody_is_told_but_of_ends_and_none_is_held_beyond_them(
    readings: list[tuple[float, Reading | None]],
) -> None:
    policy = Policy(cooldown_s=0, resend_s=600, expire_s=7200, quiet_hours=AFTERNOON)
    life, now = IDLE, float(NOON)
    for gap, reading in readings:
        now, before = now + gap, life
        if reading is None:
            life, change = tick(life, policy, now)
        else:
            life, change = step(life, policy, reading, now, lambda: "a")
        if policy.quiet(now):
            assert change in (None, Change.RESOLVED) or life.held
        else:
            assert not life.held
        assert before.firing or change in (None, Change.FIRED)
        assert change is not Change.RESENT or now >= before.sent_at + policy.resend_s
        assert life.revision - (0 if change is Change.FIRED else before.revision) == (change is not None)


def test_quiet_hours_may_pass_midnight_or_not() -> None:
    utc = ZoneInfo("UTC")
    assert QuietHours(time(22), time(7), utc).cover(NOON + 11 * 3600)
    assert not QuietHours(time(22), time(7), utc).cover(NOON)
    assert QuietHours(time(11), time(13), utc).cover(NOON)
