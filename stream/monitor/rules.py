"""What a rule says: the kinds of alert rules and their parameters, each validated. Pure.

``rulesfile`` reads them from TOML; ``author_rules`` and ``channel_rules`` apply them.
Durations are seconds. Every rule has an enter and a leave level, the leave level the lower one. A rule that
can certainly never fire is refused: nobody would notice that it does not.
"""

from collections.abc import Iterable
from datetime import time
from functools import cached_property
from hashlib import blake2s
from math import floor
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from model.labels import LABELS
from stream.events import ALL_CHANNELS, MOST_COUNTED
from stream.monitor.events import Severity
from stream.monitor.lifecycle import Policy, QuietHours
from stream.monitor.reach import furthest_above, highest_rise
from stream.monitor.sizes import MOST_RECIPIENTS, MOST_RULES_OF_AUTHORS, RECIPIENT_CHARS, TRAIL_POINTS
from stream.monitor.windows import HOUR_S

Level = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Unit = Annotated[float, Field(ge=0.0, le=1.0)]
Seconds = Annotated[float, Field(ge=0.0)]
AtLeastOne = Annotated[int, Field(ge=1, le=MOST_COUNTED)]
Channels = Annotated[tuple[str, ...], Field(min_length=1)]
DAY_S = 24 * HOUR_S


class QuietHoursTable(BaseModel):
    """``quiet_hours = {from = "22:00", to = "07:00", timezone = "Europe/Berlin"}``"""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    start: time = Field(alias="from")
    end: time = Field(alias="to")
    timezone: str = "UTC"

    @field_validator("start", "end")
    @classmethod
    def _local(cls, value: time) -> time:
        if value.tzinfo is not None:
            raise ValueError('write a local time like "22:00", and its zone as timezone')
        return value

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: "Europe" is a folder of zones
            raise ValueError(f"{name!r} is not a time zone; write one like Europe/Berlin") from None
        return name

    @property
    def hours(self) -> QuietHours:
        return QuietHours(self.start, self.end, ZoneInfo(self.timezone))


class BaseRule(BaseModel):
    """What all rules have.

    ``meaning`` is a digest of what the states of a rule are made of: one of another rule, though of the same
    name, would give this one wrong numbers. Levels, tests and spans only judge what is known, so they are no
    part of it. It is stored: computed in another way, it would make all rules learn anew.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=64)]
    enabled: bool = True
    severity: Severity = "warning"
    recipients: Annotated[
        tuple[Annotated[str, Field(max_length=RECIPIENT_CHARS)], ...], Field(max_length=MOST_RECIPIENTS)
    ] = Field((), description="People or teams who review it.")
    enter: Level
    leave: Level
    cooldown_s: Seconds = DAY_S
    resend_s: Annotated[float, Field(ge=60.0)] = 4 * HOUR_S
    expire_s: Annotated[float, Field(gt=0.0)] = DAY_S
    quiet_hours: QuietHoursTable | None = None

    @model_validator(mode="after")
    def _band(self) -> "BaseRule":
        if self.leave >= self.enter:
            raise ValueError(f"leave ({self.leave}) must be below enter ({self.enter})")
        return self

    @property
    def policy(self) -> Policy:
        return Policy(
            cooldown_s=self.cooldown_s,
            resend_s=self.resend_s,
            expire_s=self.expire_s,
            quiet_hours=self.quiet_hours.hours if self.quiet_hours else None,
        )


class AuthorRule(BaseRule):
    """Distress of one author over their last messages.

    ``sustained``: the exponentially weighted mean of the distress score, over about ``span_messages``
    messages, is above ``enter`` and above the author's own baseline by ``above_baseline``.
    ``escalation``: that mean has risen by ``enter`` within ``span_s``, to at least ``floor``.
    """

    kind: Literal["author"]
    measure: Literal["sustained", "escalation"] = "sustained"
    enter: Unit = 0.5
    leave: Unit = 0.35
    span_messages: AtLeastOne = 5
    min_messages: Annotated[int, Field(ge=2, le=MOST_COUNTED)] = Field(
        5, description="Two at least: one never alerts."
    )
    above_baseline: Unit = 0.2
    baseline_messages: AtLeastOne = 50
    baseline_prior: Unit = Field(0.15, description="Distress score that an unknown author is taken to have.")
    span_s: Annotated[float, Field(gt=0.0)] = HOUR_S
    floor: Unit = 0.5
    reset_after_s: Annotated[float, Field(gt=0.0)] = Field(
        7 * DAY_S, description="Silence after which counting messages begins anew."
    )
    channels: Channels | None = Field(None, description="Only messages in these; all if not given.")

    @model_validator(mode="after")
    def _within_reach(self) -> "AuthorRule":
        if self.measure == "sustained":
            self._hold(
                "above_baseline",
                self.above_baseline,
                furthest_above(self.span_messages, self.baseline_messages, self.enter),
                f"a level over {self.span_messages} messages that is at {self.enter} lies no further above "
                f"a baseline over {self.baseline_messages}",
            )
            return self
        self._hold(
            "min_messages",
            self.min_messages,
            TRAIL_POINTS,
            "an escalation is looked for in so many messages",
        )
        if self.span_s <= self.reset_after_s:  # else a level that begins anew may be another at once
            self._hold(
                "enter",
                self.enter,
                highest_rise(self.span_messages, TRAIL_POINTS),
                f"a level over {self.span_messages} messages rises no further within {TRAIL_POINTS} of them",
            )
        return self

    @cached_property
    def meaning(self) -> str:
        return _digest(self.kind, _names(self.channels))

    def _hold(self, field: str, value: float, most: float, because: str) -> None:
        if value > most:
            raise ValueError(f"{field} ({value}) must be at most {floor(most * 1000) / 1000:g}: {because}")


class PhraseRule(BaseRule):
    """Messages of one author that matched a named phrase list."""

    kind: Literal["phrase"]
    lists: Annotated[tuple[str, ...], Field(min_length=1)]
    enter: Annotated[Level, Field(le=TRAIL_POINTS)] = Field(
        1.0, description="Matching messages within ``span_s``."
    )
    leave: Level = 0.5
    span_s: Annotated[float, Field(gt=0.0)] = HOUR_S
    severity: Severity = "critical"
    channels: Channels | None = None

    @cached_property
    def meaning(self) -> str:
        return _digest(self.kind, _names(self.lists), _names(self.channels))


class ChannelRule(BaseRule):
    """Rate of labels in a channel's window against what is usual at that hour of the day.

    ``poisson``: how many standard deviations the count lies above the expected one, on the
    variance-stabilised scale 2(sqrt(k + 3/8) - sqrt(m + 3/8)) (Anscombe, 1948).
    ``robust_z``: how many robust standard deviations (1.4826 MAD) the share of the labels lies above the
    median share of past days.
    """

    kind: Literal["channel"]
    labels: Annotated[tuple[str, ...], Field(min_length=1)]
    window_s: Literal[60, 300, 3600] = 300
    test: Literal["poisson", "robust_z"] = "poisson"
    enter: Level = 4.0
    leave: Level = 2.0
    min_messages: AtLeastOne = Field(50, description="Messages that a window must have to be judged.")
    baseline_days: Annotated[int, Field(ge=1, le=366)] = 14
    min_baseline_messages: AtLeastOne = Field(
        500, description="Below it, the same hour is judged by all hours; below it there too, not at all."
    )
    channels: Channels | None = Field(None, description="Only these; every one but the total if not given.")
    cooldown_s: Seconds = HOUR_S
    expire_s: Annotated[float, Field(gt=0.0)] = HOUR_S

    @field_validator("labels")
    @classmethod
    def _known(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        for label in labels:
            if label not in LABELS:
                raise ValueError(f"{label!r} is no label; choose from {', '.join(LABELS)}")
        return labels

    @cached_property
    def meaning(self) -> str:
        return _digest(self.kind, sorted(self.labels))

    def watches(self, channel: str) -> bool:
        return channel in self.channels if self.channels is not None else channel != ALL_CHANNELS


class DriftRule(BaseRule):
    """The label mix of the last hour against the hours before it, as population stability index."""

    kind: Literal["drift"]
    enter: Level = 0.25
    leave: Level = 0.1
    every_s: Literal[60, 300, 3600] = 300
    min_messages: AtLeastOne = 500
    reference_hours: Annotated[int, Field(ge=1, le=168)] = 24
    channels: Channels = (ALL_CHANNELS,)
    severity: Severity = "info"
    cooldown_s: Seconds = HOUR_S
    expire_s: Annotated[float, Field(gt=0.0)] = 2 * HOUR_S

    @cached_property
    def meaning(self) -> str:
        return _digest(self.kind)

    @property
    def window_s(self) -> int:
        """How often it is judged; it always looks at the last hour."""
        return self.every_s

    def watches(self, channel: str) -> bool:
        return channel in self.channels


def _digest(*parts: object) -> str:
    return blake2s(orjson.dumps(parts), digest_size=6).hexdigest()


def _names(names: Iterable[str] | None) -> list[str] | None:
    return None if names is None else sorted(set(names))


Rule = Annotated[AuthorRule | PhraseRule | ChannelRule | DriftRule, Field(discriminator="kind")]


class RuleSet(BaseModel):
    """All rules in force. Names are unique: alerts and states are kept by them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: tuple[Rule, ...] = Field((), alias="rule")

    @model_validator(mode="after")
    def _unique(self) -> "RuleSet":
        names = [rule.name for rule in self.rules]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two rules are named {twice[0]}; names must differ")
        return self

    @model_validator(mode="after")
    def _fit_into_a_record(self) -> "RuleSet":
        if (count := len(self.of_authors)) > MOST_RULES_OF_AUTHORS:
            raise ValueError(
                f"{count} rules of the kinds author and phrase are enabled; what all of them know of one "
                f"author is a record, which has room for {MOST_RULES_OF_AUTHORS}"
            )
        return self

    @property
    def of_authors(self) -> tuple[AuthorRule | PhraseRule, ...]:
        return tuple(r for r in self.rules if isinstance(r, AuthorRule | PhraseRule) and r.enabled)

    @property
    def of_channels(self) -> tuple[ChannelRule | DriftRule, ...]:
        return tuple(r for r in self.rules if isinstance(r, ChannelRule | DriftRule) and r.enabled)


def rule_set(tables: dict[str, Any]) -> RuleSet:
    """Rules from parsed TOML; raises pydantic's ``ValidationError``."""
    return RuleSet.model_validate(tables)
