"""The life of an alert: hysteresis, cool-down, re-sending, quiet hours, expiry. Pure.

                 enter                        leave, or nothing for expire_s
    idle ──────────────────► firing ──────────────────────────────► idle
      ▲  not within cooldown_s │  ▲                                   │
      │  of the last end       └──┘ resent each resend_s; released,   │
      └────────────── and resent if due, when quiet hours end ◄───────┘

A reading between the leave and the enter level changes nothing, so a score that wavers within this band
never makes an alert flap. Time comes in as seconds since the epoch and never runs backwards: the caller
gives the later of the event's time and the last one seen.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from stream.monitor.fold import SourceRange


class Reading(StrEnum):
    """Where a measure stands against the two levels of its rule."""

    ABOVE = "above"
    BAND = "band"
    BELOW = "below"


def compare(score: float, enter: float, leave: float) -> Reading:
    """Where a score stands against the two levels."""
    if score >= enter:
        return Reading.ABOVE
    return Reading.BELOW if score < leave else Reading.BAND


class Change(StrEnum):
    """What happened to an alert, and is worth telling."""

    FIRED = "fired"
    RESENT = "resent"
    RELEASED = "released"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a rule measured, over [``start``, ``end``], and where that stands against its levels.

    ``baseline`` is what is usual there, ``confidence`` the mean confidence of the labels behind it,
    ``message_ids`` the labelled events behind it, oldest first, ``texts`` theirs where they are known,
    ``sources`` where in the input they lie.
    """

    reading: Reading
    score: float
    messages: int
    baseline: float | None = None
    baseline_messages: int | None = None
    start: float = 0.0
    end: float = 0.0
    confidence: float | None = None
    message_ids: tuple[str, ...] = ()
    sources: tuple[SourceRange, ...] = ()
    texts: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, value: dict[str, Any] | None) -> "Measurement | None":
        if value is None:
            return None
        sources = tuple((name, first, last) for name, first, last in value["sources"])
        texts = tuple(value.get("texts", ()))
        changed = {"message_ids": tuple(value["message_ids"]), "sources": sources, "texts": texts}
        return cls(**{**value, **changed, "reading": Reading(value["reading"])})


@dataclass(frozen=True, slots=True)
class QuietHours:
    """A time of day, every day, in which alerts are held back. May pass midnight."""

    start: time
    end: time
    timezone: ZoneInfo

    def cover(self, at: float) -> bool:
        local = datetime.fromtimestamp(at, UTC).astimezone(self.timezone).time()
        if self.start <= self.end:
            return self.start <= local < self.end
        return local >= self.start or local < self.end


@dataclass(frozen=True, slots=True)
class Policy:
    """How alerts of a rule live; in seconds."""

    cooldown_s: float
    resend_s: float
    expire_s: float
    quiet_hours: QuietHours | None = None

    def quiet(self, at: float) -> bool:
        return self.quiet_hours is not None and self.quiet_hours.cover(at)


@dataclass(frozen=True, slots=True)
class Life:
    """Where the alerts of one rule about one author or channel stand. ``alert_id`` is set while firing."""

    alert_id: str | None = None
    revision: int = 0
    started_at: float = 0.0
    above_at: float = 0.0
    sent_at: float = 0.0
    resolved_at: float | None = None
    held: bool = False

    @property
    def firing(self) -> bool:
        return self.alert_id is not None


IDLE = Life()


def step(
    life: Life, policy: Policy, reading: Reading, at: float, new_id: Callable[[], str]
) -> tuple[Life, Change | None]:
    """The life after a reading, and what there is to tell. ``new_id`` names an alert that begins."""
    if not life.firing:
        if reading is not Reading.ABOVE or _cooling(life, policy, at):
            return life, None
        return _fired(policy, at, new_id()), Change.FIRED
    if reading is Reading.BELOW:
        return _resolved(life, at)
    if reading is Reading.ABOVE:
        life = replace(life, above_at=at)
    return _told(life, policy, at)


def tick(life: Life, policy: Policy, at: float) -> tuple[Life, Change | None]:
    """The life after time has passed without a reading: it may expire, or quiet hours may have ended."""
    if not life.firing:
        return life, None
    if at - life.above_at >= policy.expire_s:
        return _resolved(life, at)
    return _told(life, policy, at)


def _told(life: Life, policy: Policy, at: float) -> tuple[Life, Change | None]:
    """Released or sent again where that is due. In quiet hours neither is: once they end, one of both."""
    held, reminds = life.held, life.above_at - life.sent_at >= policy.resend_s
    if not (held or reminds) or policy.quiet(at):
        return life, None
    return _sent(replace(life, held=False), at), Change.RELEASED if held else Change.RESENT


def _cooling(life: Life, policy: Policy, at: float) -> bool:
    return life.resolved_at is not None and at < life.resolved_at + policy.cooldown_s


def _fired(policy: Policy, at: float, alert_id: str) -> Life:
    return Life(alert_id=alert_id, revision=1, started_at=at, above_at=at, sent_at=at, held=policy.quiet(at))


def _sent(life: Life, at: float) -> Life:
    return replace(life, sent_at=at, revision=life.revision + 1)


def _resolved(life: Life, at: float) -> tuple[Life, Change]:
    """Idle again. The id is gone from the life: the caller still has the one before."""
    return Life(revision=life.revision + 1, started_at=life.started_at, resolved_at=at), Change.RESOLVED
