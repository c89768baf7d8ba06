"""Author and phrase rules: what one author's messages say over time. Pure.

State and one signal in, state and a measurement out. Each author has a state of their own, so the order
in which authors are interleaved cannot matter.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

from stream.events import DistressSignal, ModelRef, Source
from stream.monitor.fold import input_partition
from stream.monitor.lifecycle import IDLE, Life, Measurement, Reading, compare
from stream.monitor.reach import weight
from stream.monitor.rules import DAY_S, AuthorRule, PhraseRule
from stream.monitor.sizes import MOST_SOURCES_OF_AUTHOR, PHRASES_CHARS, TRAIL_POINTS, first_of

EVIDENCE_MESSAGES: Final = 20
"""Messages that a state remembers and an alert can show."""

TEXT_BYTES: Final = 4000
"""Of each text that is remembered, in JSON, where signals carry it: what is known of an author must fit into
a record of Kafka, and each rule that fires has texts of its own."""

ENDED_S: Final = DAY_S
"""For so long after an alert has ended, readers of alerts may not have heard of it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is remembered of one message. ``text`` only where signals carry it."""

    id: str
    at: float
    score: float
    confidence: float
    channel: str | None = None
    phrases: tuple[str, ...] = ()
    text: str | None = None

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Seen":
        return cls(**{**value, "phrases": tuple(value["phrases"])})


@dataclass(frozen=True, slots=True)
class RuleState:
    """What one rule knows of one author.

    ``level`` is the short exponentially weighted mean of the distress score, ``baseline`` the long one.
    ``messages`` counts since the last long silence, ``known`` all that the baseline rests on.
    ``trail`` holds, a message, (time, level before it) for escalations, (time, 1.0) for phrases that matched.
    """

    level: float | None = None
    baseline: float | None = None
    messages: int = 0
    known: int = 0
    at: float = 0.0
    trail: tuple[tuple[float, float], ...] = ()
    life: Life = IDLE
    measured: Measurement | None = None

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "RuleState":
        return cls(
            **{
                **value,
                "trail": tuple((at, level) for at, level in value["trail"]),
                "life": Life(**value["life"]),
                "measured": Measurement.from_json(value["measured"]),
            }
        )


@dataclass(frozen=True, slots=True)
class AuthorState:
    """All that is known of one author.

    ``applied`` holds the last offset of each input partition, that heard of last at the end. ``meanings``
    says what each rule meant when it learnt what it knows. An earlier version has stored none, and does not
    read a rule's state with a field more, so they stand beside those.
    """

    applied: dict[str, int] = field(default_factory=dict)
    at: float = 0.0
    seen: tuple[Seen, ...] = ()
    rules: dict[str, RuleState] = field(default_factory=dict)
    meanings: dict[str, str] = field(default_factory=dict)
    channel: str | None = None
    conversation: str | None = None
    model: ModelRef | None = None

    @property
    def firing(self) -> bool:
        return any(state.life.firing for state in self.rules.values())

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "AuthorState":
        return cls(
            applied=value["applied"],
            at=value["at"],
            seen=tuple(Seen.from_json(seen) for seen in value["seen"]),
            rules={name: RuleState.from_json(state) for name, state in value["rules"].items()},
            meanings=value.get("meanings", {}),
            channel=value["channel"],
            conversation=value["conversation"],
            model=ModelRef(**value["model"]) if value["model"] else None,
        )


def applies(rule: AuthorRule | PhraseRule, channel: str | None) -> bool:
    return rule.channels is None or channel in rule.channels


def state_of(rule: AuthorRule | PhraseRule, state: AuthorState) -> RuleState:
    """What a rule knows of an author: nothing where it meant something else. An alert that fires goes on."""
    found = state.rules.get(rule.name, RuleState())
    if state.meanings.get(rule.name, rule.meaning) == rule.meaning:
        return found
    return RuleState(life=found.life, measured=found.measured)


def with_state_of(rule: AuthorRule | PhraseRule, state: AuthorState, after: RuleState) -> AuthorState:
    """The author's state with what the rule knows now."""
    meanings = state.meanings
    if meanings.get(rule.name) != rule.meaning:
        meanings = {**meanings, rule.name: rule.meaning}
    return replace(state, rules={**state.rules, rule.name: after}, meanings=meanings)


def without_removed(state: AuthorState, names: Collection[str]) -> AuthorState:
    """The state without what rules of other names know of the author: they are gone.

    It stays while an alert of theirs fires, and a day longer, so that it is known to have ended.
    """
    gone = {
        name
        for name, known in state.rules.items()
        if name not in names
        and not known.life.firing
        and state.at - (known.life.resolved_at or 0.0) > ENDED_S
    }
    if not gone:
        return state
    return replace(
        state,
        rules={name: known for name, known in state.rules.items() if name not in gone},
        meanings={name: meaning for name, meaning in state.meanings.items() if name not in gone},
    )


def behind(rule: AuthorRule | PhraseRule, state: AuthorState, messages: int) -> tuple[Seen, ...]:
    """The newest messages that a rule's measurement rests on, as far as they are remembered."""
    seen = [one for one in state.seen if applies(rule, one.channel)]
    if isinstance(rule, PhraseRule):
        seen = [one for one in seen if not set(rule.lists).isdisjoint(one.phrases)]
    return tuple(seen[-messages:]) if messages else ()


def remember(state: AuthorState, signal: DistressSignal, at: float) -> AuthorState:
    """The state with the message in its memory, its offset applied and its clock moved on."""
    seen = Seen(
        id=signal.id,
        at=at,
        score=signal.distress.score,
        confidence=signal.confidence,
        channel=signal.channel,
        phrases=first_of(signal.phrases, PHRASES_CHARS),
        text=None if signal.text is None else cut(signal.text),
    )
    return replace(
        state,
        applied=_applied(state, signal.source),
        at=at,
        seen=(*state.seen, seen)[-EVIDENCE_MESSAGES:],
        channel=signal.channel,
        conversation=signal.conversation,
        model=signal.model,
    )


def _applied(state: AuthorState, source: Source) -> dict[str, int]:
    """The last offsets with this one; of too many, those of the input partitions heard of last."""
    name = input_partition(source)
    applied = {other: offset for other, offset in state.applied.items() if other != name}
    while len(applied) >= MOST_SOURCES_OF_AUTHOR:
        del applied[next(iter(applied))]
    return {**applied, name: source.offset}


def cut(text: str, most_bytes: int = TEXT_BYTES) -> str:
    """The beginning of a text, in so many bytes of JSON: one character may be six of them."""
    text = text[:most_bytes]
    while (size := len(orjson.dumps(text)) - len('""')) > most_bytes:
        text = text[: len(text) * most_bytes // size]
    return text


def is_applied(state: AuthorState, signal: DistressSignal) -> bool:
    """Whether the state has seen this message: a replayed one must change nothing."""
    source = signal.source
    return state.applied.get(input_partition(source), -1) >= source.offset


def measure(
    rule: AuthorRule | PhraseRule, state: RuleState, signal: DistressSignal, at: float
) -> tuple[RuleState, Measurement]:
    """The rule's state after a message, and what it measures."""
    if isinstance(rule, PhraseRule):
        return _phrases(rule, state, signal, at)
    state = _averaged(rule, state, signal.distress.score, at)
    if rule.measure == "escalation":
        return state, _escalation(rule, state)
    return state, _sustained(rule, state)


def _averaged(rule: AuthorRule, state: RuleState, score: float, at: float) -> RuleState:
    """Both means moved on by one score. The level starts at the baseline: one message cannot carry it far."""
    baseline = rule.baseline_prior if state.baseline is None else state.baseline
    fresh = state.level is None or at - state.at > rule.reset_after_s
    before = baseline if fresh or state.level is None else state.level
    trail: tuple[tuple[float, float], ...] = ()
    if rule.measure == "escalation":
        recent = (point for point in state.trail if point[0] >= at - rule.span_s)
        trail = (*recent, (at, before))[-TRAIL_POINTS:]
    return replace(
        state,
        level=before + weight(rule.span_messages) * (score - before),
        baseline=baseline + weight(rule.baseline_messages) * (score - baseline),
        messages=1 if fresh else state.messages + 1,
        known=state.known + 1,
        at=at,
        trail=trail,
    )


def _sustained(rule: AuthorRule, state: RuleState) -> Measurement:
    level, baseline = state.level or 0.0, state.baseline or 0.0
    enough = state.messages >= rule.min_messages
    if enough and level >= rule.enter and level - baseline >= rule.above_baseline:
        reading = Reading.ABOVE
    else:
        reading = Reading.BELOW if level < rule.leave else Reading.BAND
    messages = min(state.messages, max(rule.span_messages, rule.min_messages))
    return Measurement(reading, level, messages, baseline=baseline, baseline_messages=state.known)


def _escalation(rule: AuthorRule, state: RuleState) -> Measurement:
    level, messages = state.level or 0.0, len(state.trail)
    lowest = min(before for _, before in state.trail)
    rise = level - lowest
    if messages >= rule.min_messages and rise >= rule.enter and level >= rule.floor:
        reading = Reading.ABOVE
    else:
        reading = Reading.BELOW if rise < rule.leave else Reading.BAND
    return Measurement(reading, rise, messages, baseline=lowest, baseline_messages=state.known)


def _phrases(
    rule: PhraseRule, state: RuleState, signal: DistressSignal, at: float
) -> tuple[RuleState, Measurement]:
    trail = tuple(point for point in state.trail if point[0] >= at - rule.span_s)
    if not set(rule.lists).isdisjoint(signal.phrases):
        trail = (*trail, (at, 1.0))[-TRAIL_POINTS:]
    hits = float(len(trail))
    state = replace(state, trail=trail, messages=state.messages + 1, at=at)
    return state, Measurement(compare(hits, rule.enter, rule.leave), hits, len(trail))
