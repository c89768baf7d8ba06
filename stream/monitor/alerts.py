"""Alert records: what the rules measured, in words and with its evidence. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from stream.events import ModelRef
from stream.monitor.events import Alert, Evidence
from stream.monitor.fold import offset_range
from stream.monitor.lifecycle import Change, Life, Measurement, Reading
from stream.monitor.rules import AuthorRule, ChannelRule, DriftRule, PhraseRule
from stream.privacy import pseudonyms_in

AnyRule = AuthorRule | PhraseRule | ChannelRule | DriftRule

_MEASURES: Final = {
    "sustained": "weighted mean of the distress score",
    "escalation": "rise of the weighted mean of the distress score",
    "phrase": "messages that matched a phrase list",
    "poisson": "standard deviations above the expected count",
    "robust_z": "robust standard deviations above the usual share",
    "drift": "population stability index of the label mix",
}

_RULE_GONE: Final = "its rule is no longer in force"
_STATE_GONE: Final = "the monitor no longer has what it knew of this, so no message could end it"


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom or what an alert is about."""

    shard: int
    author: str | None = None
    channel: str | None = None
    conversation: str | None = None
    model: ModelRef | None = None


def alert_id(rule: AnyRule, subject: str, beginning: str | int) -> str:
    """Id of the alert that a rule raises: it follows from the message or the window that it began with."""
    return f"{rule.name}:{subject}:{beginning}"


def authors_named(alert: Alert) -> frozenset[str]:
    """Whom an alert is about, and those after whom its channel or conversation is called ("dm:PSEUDONYM")."""
    about = frozenset(() if alert.author is None else (alert.author,))
    return about.union(*map(pseudonyms_in, (alert.id, alert.channel, alert.conversation)))


def alert_record(
    rule: AnyRule,
    subject: Subject,
    fired: Measurement,
    change: Change,
    *,
    latest: Measurement | None = None,
    before: Life,
    after: Life,
    at: float,
) -> Alert:
    """The alert after a change of its life.

    ``fired`` is what made it fire, ``latest`` a later measurement that the change follows from, where there
    is one. ``before`` and ``after`` are the life around the change.
    """
    alive = before if change is Change.RESOLVED else after
    if alive.alert_id is None:
        raise ValueError("a change without an alert")
    return Alert(
        id=alive.alert_id,
        revision=after.revision,
        rule=rule.name,
        kind=rule.kind,
        severity=rule.severity,
        status="resolved" if change is Change.RESOLVED else "firing",
        held=alive.held,
        recipients=rule.recipients,
        summary=_summary(rule, subject, fired),
        author=subject.author,
        channel=subject.channel,
        conversation=subject.conversation,
        evidence=_evidence(rule, fired),
        latest=None if latest is None else _evidence(rule, latest),
        model=subject.model,
        starts_at=_utc(alive.started_at),
        updated_at=_utc(at),
        ends_at=_utc(at) if change is Change.RESOLVED else None,
        ended_by=_ended_by(rule, latest or fired) if change is Change.RESOLVED else None,
        shard=subject.shard,
    )


def is_over(alert: Alert, life: Life) -> bool:
    """Whether the state says that this very alert has ended: then its last record is only not read yet."""
    same = life.resolved_at is not None and _utc(life.started_at) == alert.starts_at
    return same and life.alert_id is None and (life.resolved_at or 0.0) >= alert.updated_at.timestamp()


def is_lost(alert: Alert, life: Life, expire_s: float, now: float) -> bool:
    """Whether no state knows of an alert any more (states are kept for a time) and it would be over."""
    if life.alert_id == alert.id or is_over(alert, life):
        return False
    return now - alert.updated_at.timestamp() >= expire_s


def ended(alert: Alert, rule: AnyRule | None, now: float) -> tuple[Life, Alert]:
    """The last record of an alert whose state is gone, or its rule, which is none then; and the life then.

    An alert never ends before it began, whatever the clock of its messages said.
    """
    at = max(now, alert.updated_at.timestamp(), alert.starts_at.timestamp())
    revision = alert.revision + 1
    last = alert.model_copy(
        update={
            "status": "resolved",
            "revision": revision,
            "updated_at": _utc(at),
            "ends_at": _utc(at),
            "ended_by": _RULE_GONE if rule is None else _STATE_GONE,
        }
    )
    return Life(revision=revision, started_at=alert.starts_at.timestamp(), resolved_at=at), last


def _ended_by(rule: AnyRule, newest: Measurement) -> str:
    """What ended an alert, given the newest reading: one below its levels, or that none came."""
    if newest.reading is Reading.BELOW:
        return "its score fell below the level at which it ends"
    hours = rule.expire_s / 3600
    after = f"{hours:.3g} h" if hours >= 1 else f"{60 * hours:.3g} min"
    return f"nothing reached the level at which it alerts for {after}"


def _evidence(rule: AnyRule, measured: Measurement) -> Evidence:
    return Evidence(
        window_start=_utc(measured.start),
        window_end=_utc(measured.end),
        measure=_MEASURES[_measure_of(rule)],
        score=round(measured.score, 4),
        enter=rule.enter,
        leave=rule.leave,
        baseline=None if measured.baseline is None else round(measured.baseline, 4),
        baseline_messages=measured.baseline_messages,
        confidence=None if measured.confidence is None else round(measured.confidence, 4),
        messages=measured.messages,
        message_ids=measured.message_ids,
        sources=tuple(map(offset_range, measured.sources)),
        texts=measured.texts,
        labels=rule.labels if isinstance(rule, ChannelRule) else (),
        span_messages=rule.span_messages if isinstance(rule, AuthorRule) else None,
    )


def _measure_of(rule: AnyRule) -> str:
    match rule:
        case AuthorRule():
            return rule.measure
        case ChannelRule():
            return rule.test
        case _:
            return rule.kind


def _summary(rule: AnyRule, subject: Subject, measured: Measurement) -> str:
    score = f"{measured.score:.2f}"
    usual = "" if measured.baseline is None else f", {measured.baseline:.2f} is usual here"
    match rule:
        case AuthorRule(measure="sustained"):
            what = f"sustained distress of one author: {score} over {measured.messages} messages{usual}"
        case AuthorRule():
            what = f"distress of one author has risen by {score} within {measured.messages} messages"
        case PhraseRule():
            what = f"{measured.messages} messages of one author matched {' or '.join(rule.lists)}"
        case ChannelRule():
            labels = " or ".join(rule.labels)
            what = f"more {labels} than usual in channel {subject.channel}: {score} deviations{usual}"
        case DriftRule():
            what = f"the label mix of channel {subject.channel} has shifted: {score}"
    return f"{what}. A person must review it."


def _utc(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
