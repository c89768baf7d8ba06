"""What no author can make a measure say: rules that wait for it are refused, and no others."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stream.monitor.reach import furthest_above, highest_rise, weight
from stream.monitor.signalling import SignalPartition
from stream.monitor.sizes import TRAIL_POINTS
from tests.stream.monitor.factories import NOON, author_rule, rules, signal

SPANS = st.integers(1, 60) | st.sampled_from([300, 10_000])
STRETCHES = st.lists(
    st.tuples(st.integers(1, 400), st.sampled_from([0.0, 1.0]) | st.floats(0, 1)), max_size=6
)


def means(span: int, start: float, scores: list[float]) -> list[float]:
    found = [start]
    for score in scores:
        found.append(found[-1] + weight(span) * (score - found[-1]))
    return found


@given(SPANS, SPANS, st.floats(0, 1), STRETCHES, st.floats(0, 1))
def test_no_author_comes_further_above_a_baseline_or_rises_further(
    span: int, baseline_span: int, start: float, stretches: list[tuple[int, float]], enter: float
) -> None:
    scores = [score for length, score in stretches for _ in range(length)]
    levels, baselines = means(span, start, scores), means(baseline_span, start, scores)
    above = [level - base for level, base in zip(levels, baselines, strict=True) if level >= enter]
    assert max(above, default=0.0) <= furthest_above(span, baseline_span, enter)
    for messages in (1, 20):
        rises = [levels[n] - levels[max(0, n - messages)] for n in range(len(levels))]
        assert max(rises) <= highest_rise(span, messages)
    assert all(abs(b - a) <= highest_rise(span, 1) for a, b in pairwise(levels))


@pytest.mark.parametrize(("span", "baseline_span"), [(5, 50), (20, 30), (8, 2_000), (50, 5)])
@pytest.mark.parametrize("enter", [0.3, 0.5, 0.9])
def test_an_author_who_turns_comes_almost_as_far(span: int, baseline_span: int, enter: float) -> None:
    turn = [1.0] * 400 if span < baseline_span else [0.0] * 400
    levels, baselines = (means(n, 1.0 - turn[0], turn) for n in (span, baseline_span))
    furthest = max(
        level - base for level, base in zip(levels, baselines, strict=True) if level >= enter - 0.05
    )
    assert furthest >= furthest_above(span, baseline_span, enter) - 0.02


def fires(**fields: object) -> bool:
    """Whether an author alerts who was calm for long and then is not."""
    partition = SignalPartition(0, rules(author_rule(**fields)), lambda _: None)
    scores = [0.0] * 600 + [1.0] * 600
    alerts = [
        alert
        for n, score in enumerate(scores)
        for alert in partition.apply(signal(score, offset=n, ts=NOON + n), n)
    ]
    return bool(alerts)


@pytest.mark.parametrize(
    "fields",
    [
        {"above_baseline": 0.69},
        {"span_messages": 4, "baseline_messages": 5, "above_baseline": 0.07},
        {"span_messages": 50, "baseline_messages": 50, "above_baseline": 0.0},
        {"measure": "escalation", "min_messages": TRAIL_POINTS},
        {"measure": "escalation", "span_messages": 1000, "enter": 0.4, "floor": 0.3, "baseline_prior": 0.0},
    ],
)
def test_a_rule_that_can_just_fire_is_taken(fields: dict[str, object]) -> None:
    assert fires(**{"enter": 0.5, "span_s": 10_000.0, **fields})


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"above_baseline": 0.75}, r"above_baseline \(0.75\) must be at most 0.699: a level over 5"),
        ({"baseline_messages": 5}, r"above_baseline \(0.2\) must be at most 0: .* a baseline over 5"),
        ({"enter": 0.95, "baseline_messages": 10}, r"must be at most 0.177: .* that is at 0.95"),
        ({"measure": "escalation", "min_messages": 257}, r"min_messages \(257\) must be at most 256"),
        ({"measure": "escalation", "span_messages": 1000, "enter": 0.41}, r"enter \(0.41\) .* at most 0.4:"),
        ({"min_messages": 2**53}, "less than or equal to 9007199254740991"),
        ({"span_messages": 10**400}, "less than or equal to 9007199254740991"),
        ({"channels": []}, "at least 1 item"),
    ],
)
def test_a_rule_that_can_never_fire_is_refused_with_what_is_allowed(
    fields: dict[str, object], complaint: str
) -> None:
    with pytest.raises(ValidationError, match=complaint):
        rules(author_rule(**{"leave": 0.3, **fields}))


def test_an_escalation_over_a_silence_may_rise_at_once() -> None:
    """The level begins anew at the baseline, which may lie far above what it was before."""
    rules(author_rule(measure="escalation", span_messages=1000, enter=0.9, span_s=7200, reset_after_s=3600))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"enter": 257}, "less than or equal to 256"),
        ({"enter": float("inf")}, "finite"),
        ({"channels": []}, "at least 1 item"),
    ],
)
def test_so_is_a_phrase_rule_that_waits_for_more_matches_than_are_remembered(
    fields: dict[str, object], complaint: str
) -> None:
    table = {"name": "words", "kind": "phrase", "lists": ["urgent"], "span_s": 86_400}
    with pytest.raises(ValidationError, match=complaint):
        rules(table | fields)
    partition = SignalPartition(0, rules(table | {"enter": TRAIL_POINTS}), lambda _: None)
    alerts = [
        alert
        for n in range(TRAIL_POINTS)
        for alert in partition.apply(signal(offset=n, ts=NOON + n, phrases=["urgent"]), n)
    ]
    assert [alert.evidence.messages for alert in alerts] == [TRAIL_POINTS]


@pytest.mark.parametrize("kind", ["channel", "drift"])
def test_so_is_a_rule_about_no_channel_or_with_no_level(kind: str) -> None:
    table = {"name": "surge", "kind": kind} | ({"labels": ["anger"]} if kind == "channel" else {})
    rules(table)
    with pytest.raises(ValidationError, match="at least 1 item"):
        rules(table | {"channels": []})
    with pytest.raises(ValidationError, match="finite"):
        rules(table | {"enter": float("inf")})
