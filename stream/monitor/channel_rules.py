"""Channel and drift rules: what a channel's windows say against what is usual there. Pure.

State and one closed window in, state and a measurement out. Windows that an alert is firing on do not
enter the baseline, so that trouble that lasts does not become the usual.
"""

from dataclasses import dataclass, replace
from math import log, sqrt
from statistics import median
from sys import intern
from typing import Any, Final

from model.labels import LABELS
from stream.monitor.fold import Tally, counted
from stream.monitor.lifecycle import IDLE, Life, Measurement, Reading, compare
from stream.monitor.rules import DAY_S, ChannelRule, DriftRule
from stream.monitor.windows import HOUR_S

MAD_TO_SD: Final = 1.4826
"""Median absolute deviation to standard deviation, for a normal distribution."""


@dataclass(frozen=True, slots=True)
class HourCount:
    """An hour of a channel: when it began, messages with the rule's labels, all labelled messages."""

    start: int
    hits: int
    messages: int


@dataclass(frozen=True, slots=True)
class HourMix:
    """An hour of a channel, by label."""

    start: int
    labels: dict[str, int]


@dataclass(frozen=True, slots=True)
class ChannelState:
    """What one rule knows of one channel.

    ``judged_until`` is the end of the newest window judged that had messages, or in which an alert fired.
    ``meaning`` is that of the rule when it learnt this; empty where an earlier version has stored it.
    """

    judged_until: int = 0
    hours: tuple[HourCount, ...] = ()
    mixes: tuple[HourMix, ...] = ()
    life: Life = IDLE
    measured: Measurement | None = None
    meaning: str = ""

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "ChannelState":
        return cls(
            judged_until=value["judged_until"],
            hours=tuple(HourCount(**hour) for hour in value["hours"]),
            mixes=tuple(HourMix(**mix) for mix in value["mixes"]),
            life=Life(**value["life"]),
            measured=Measurement.from_json(value["measured"]),
            meaning=intern(value.get("meaning", "")),
        )


def under(rule: ChannelRule | DriftRule, state: ChannelState) -> ChannelState:
    """A state as the rule may use it: without what it learnt when it meant something else. An alert that
    fires goes on.
    """
    if state.meaning == rule.meaning:
        return state
    if not state.meaning:
        return replace(state, meaning=rule.meaning)
    return replace(state, hours=(), mixes=(), meaning=rule.meaning)


def judge(
    rule: ChannelRule | DriftRule, state: ChannelState, start_s: int, end_s: int, tally: Tally
) -> Measurement:
    """Where the window [start, end) stands against what is usual for the rule and the channel."""
    if isinstance(rule, DriftRule):
        measured = _judge_drift(rule, state, end_s, tally)
    else:
        measured = _judge_rate(rule, state, start_s, tally)
    return replace(measured, start=float(start_s), end=float(end_s), confidence=tally.mean_confidence)


def learn(
    rule: ChannelRule | DriftRule, state: ChannelState, start_s: int, end_s: int, tally: Tally
) -> ChannelState:
    """The state with the window in its baseline."""
    if isinstance(rule, DriftRule):
        return _learn_mix(rule, state, end_s, tally)
    return _learn_rate(rule, state, start_s, tally)


def is_silent(rule: ChannelRule | DriftRule, state: ChannelState, tally: Tally) -> bool:
    """Whether a window says nothing to the rule: without messages it changes neither alert nor baseline."""
    return isinstance(rule, ChannelRule) and not tally.messages and not state.life.firing


def is_over(rule: ChannelRule, state: ChannelState, now: float) -> bool:
    """Whether all that the state holds is too old for any window that is judged after ``now``."""
    # A window that is judged later began some hours before at most, with its hour and a delay.
    return state.judged_until < now - rule.baseline_days * DAY_S - 4 * HOUR_S


def lacks_baseline(rule: ChannelRule | DriftRule, state: ChannelState) -> bool:
    """Whether too few messages are known to judge any window by."""
    if isinstance(rule, DriftRule):
        return counted(*(sum(mix.labels.values()) for mix in state.mixes)) < rule.min_messages
    return counted(*(hour.messages for hour in state.hours)) < rule.min_baseline_messages


def _judge_rate(rule: ChannelRule, state: ChannelState, start_s: int, tally: Tally) -> Measurement:
    """Where a window's rate of the rule's labels stands against the baseline of its hour."""
    messages, hits = tally.messages, _hits(rule, tally)
    baseline = _baseline(rule, state, start_s)
    known = counted(*(hour.messages for hour in baseline))
    if messages < rule.min_messages or known < rule.min_baseline_messages:
        return Measurement(Reading.BAND, 0.0, messages, baseline_messages=known)
    if rule.test == "poisson":
        usual = sum(hour.hits for hour in baseline) / known
        score = _poisson_z(hits, usual * messages)
    else:
        shares = [hour.hits / hour.messages for hour in baseline if hour.messages]
        usual = median(shares)
        score = _robust_z(hits / messages, usual, shares, messages)
    return Measurement(compare(score, rule.enter, rule.leave), score, messages, usual, known)


def _learn_rate(rule: ChannelRule, state: ChannelState, start_s: int, tally: Tally) -> ChannelState:
    """The state with a window in its baseline: added to the hour it lies in."""
    hour_start = start_s - start_s % HOUR_S
    hits, messages = _hits(rule, tally), tally.messages
    kept = _recent(rule, state, hour_start)
    if kept and kept[-1].start == hour_start:
        hits, messages = counted(hits, kept[-1].hits), counted(messages, kept[-1].messages)
        kept.pop()
    return replace(state, hours=(*kept, HourCount(hour_start, hits, messages)))


def _judge_drift(rule: DriftRule, state: ChannelState, end_s: int, tally: Tally) -> Measurement:
    """Where the label mix of the hour until ``end_s`` stands against the hours before it."""
    reference: dict[str, int] = {}
    before = [mix for mix in state.mixes if mix.start + HOUR_S <= end_s - HOUR_S]
    for mix in before[-rule.reference_hours :]:
        for label, count in mix.labels.items():
            reference[label] = reference.get(label, 0) + count
    known, messages = counted(*reference.values()), tally.messages
    if messages < rule.min_messages or known < rule.min_messages:
        return Measurement(Reading.BAND, 0.0, messages, baseline_messages=known)
    score = stability_index(tally.labels, reference)
    return Measurement(compare(score, rule.enter, rule.leave), score, messages, baseline_messages=known)


def _learn_mix(rule: DriftRule, state: ChannelState, end_s: int, tally: Tally) -> ChannelState:
    """The state with the last hour in its reference, once an hour is full."""
    if end_s % HOUR_S:
        return state
    mixes = (*state.mixes, HourMix(end_s - HOUR_S, dict(tally.labels)))
    return replace(state, mixes=mixes[-(rule.reference_hours + 1) :])


def stability_index(now: dict[str, int], reference: dict[str, int]) -> float:
    """Population stability index of two label counts: the symmetric relative entropy, in nats.

    Below 0.1 counts as stable, above 0.25 as shifted (Siddiqi, Credit Risk Scorecards, 2006). Half a
    message is added to each label, so that a label that does not occur has no infinite weight.
    """
    index = 0.0
    total_now = sum(now.values()) + 0.5 * len(LABELS)
    total_then = sum(reference.values()) + 0.5 * len(LABELS)
    for label in LABELS:
        share_now = (now.get(label, 0) + 0.5) / total_now
        share_then = (reference.get(label, 0) + 0.5) / total_then
        index += (share_now - share_then) * log(share_now / share_then)
    return index


def _hits(rule: ChannelRule, tally: Tally) -> int:
    return counted(*(tally.labels.get(label, 0) for label in rule.labels))


def _baseline(rule: ChannelRule, state: ChannelState, start_s: int) -> list[HourCount]:
    """Past hours to compare with: those of the same hour of the day, or all where these are too few."""
    hour_start = start_s - start_s % HOUR_S
    past = [hour for hour in _recent(rule, state, hour_start) if hour.start < hour_start]
    same = [hour for hour in past if (hour_start - hour.start) % DAY_S == 0]
    enough = sum(hour.messages for hour in same) >= rule.min_baseline_messages
    return same if enough else past


def _recent(rule: ChannelRule, state: ChannelState, hour_start: int) -> list[HourCount]:
    """The hours of as many days as the rule says, and that of ``hour_start`` itself where it is known."""
    return [hour for hour in state.hours if hour.start >= hour_start - rule.baseline_days * DAY_S]


def _poisson_z(hits: int, expected: float) -> float:
    return 2.0 * (sqrt(hits + 0.375) - sqrt(expected + 0.375))


def _robust_z(share: float, usual: float, shares: list[float], messages: int) -> float:
    """Robust z-score of a share; its scale is never below what sampling alone makes of this many messages."""
    spread = MAD_TO_SD * median(abs(other - usual) for other in shares)
    sampling = sqrt(max(usual * (1.0 - usual), 1.0 / messages) / messages)
    return (share - usual) / max(spread, sampling)
