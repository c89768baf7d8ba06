"""The monitor's part of the contract: what it publishes, and what reviewers say of it.

    emotions.counters ◄─ WindowCounter        emotions.alerts ◄─ Alert        emotions.reviews ◄─ Review

Written in the manner of ``stream.events``; JSON Schemas are made from both.
"""

from typing import Annotated, Final, Literal

from pydantic import Field

from stream.events import Count, ModelRef, OffsetRange, Probability, ShortText, UtcTime, WireType

Severity = Literal["info", "warning", "critical"]
AlertStatus = Literal["firing", "resolved"]
RuleKind = Literal["author", "channel", "phrase", "drift"]
Verdict = Literal["acknowledged", "confirmed", "dismissed"]

NOTICE: Final = (
    "A statistical signal for a person to review: it says how words look to a model, "
    "is no diagnosis, and must not lead to any action on its own."
)


class WindowCounter(WireType):
    """Counts of one channel in one tumbling window of event time. Keyed ``channel|window_s|start|shard``.

    Upserted: a later record of the same key replaces an earlier one. ``messages`` counts labelled
    messages and only grows, so of two records the one with more has seen more. A window's counts are the sum
    over its shards: one, unless partitions were added to the counts while it was open.
    """

    channel: str = Field(description="A channel's name; ``*`` is the total, ``-`` messages without one.")
    window_s: Annotated[int, Field(gt=0, le=2**31 - 1)]
    start: UtcTime
    end: UtcTime
    messages: Count = Field(description="Labelled messages: the sum of ``labels``.")
    labels: dict[str, Count] = Field(description="Labelled messages by label; labels that occurred.")
    mean_confidence: Probability | None = Field(description="None where nothing was labelled.")
    unknown: Count = 0
    opted_out: Count
    dead_lettered: Count
    tombstones: Count
    shard: Count | None = Field(None, description="Partition of the counts that it was derived from.")


class Evidence(WireType):
    """Why an alert fired: enough for a person to judge it, and to find the messages."""

    window_start: UtcTime
    window_end: UtcTime
    measure: str = Field(description="What ``score`` is, in words.")
    score: float
    enter: float = Field(description="The level that ``score`` had to reach.")
    leave: float = Field(description="The level below which the alert resolves.")
    baseline: float | None = Field(None, description="What is usual here, in the unit of the rule.")
    baseline_messages: Count | None = Field(None, description="How many messages the baseline rests on.")
    confidence: Probability | None = Field(None, description="Mean confidence of the labels behind it.")
    messages: Count = Field(description="Messages in the window that the score rests on.")
    message_ids: tuple[str, ...] = Field((), description="Ids of labelled events, oldest first.")
    sources: tuple[OffsetRange, ...] = Field(
        (),
        description="For rules that count: where in the input the window's messages lie, in up to 1,000 of "
        "its partitions.",
    )
    texts: tuple[str, ...] = Field((), description="Only with ``include_text``; beside ``message_ids``.")
    labels: tuple[str, ...] = Field((), description="For rules that count labels: which ones.")
    span_messages: Count | None = Field(
        None, description="For rules over a weighted mean: over about how many messages it reaches."
    )


class Alert(WireType):
    """One alert at one moment of its life. Keyed by ``id``, upserted.

    ``id`` follows from the rule, whom it is about and where it began, so a replay repeats it.
    ``revision`` grows over the life of an alert: of two records the one with the greater holds.
    """

    id: str
    revision: Annotated[int, Field(ge=1, le=2**31 - 1)]
    rule: str
    kind: RuleKind
    severity: Severity
    status: AlertStatus
    held: bool = Field(False, description="In the rule's quiet hours: shown, but nobody is notified yet.")
    recipients: tuple[str, ...] = Field(description="Who reviews it; receivers route by it.")
    summary: str
    notice: str = NOTICE
    author: str | None = Field(None, description="Pseudonym of the author it is about.")
    channel: str | None = None
    conversation: str | None = None
    evidence: Evidence = Field(description="What made it fire. It stays, whatever comes later.")
    latest: Evidence | None = Field(
        None,
        description="The newest reading, where it is a later one: of a resolved alert, what ended it. None "
        "there: nothing more was heard, or its rule was removed.",
    )
    model: ModelRef | None = None
    starts_at: UtcTime
    updated_at: UtcTime
    ends_at: UtcTime | None = None
    ended_by: str | None = Field(
        None, description="Of a resolved alert: what ended it, in words. None in records of earlier versions."
    )
    shard: Count = Field(description="Partition of the counts or signals that it was derived from.")


class Review(WireType):
    """What a person said of an alert. Keyed by ``alert_id``; every record is kept: they are the audit log."""

    id: str
    alert_id: str
    rule: str
    verdict: Verdict
    reviewer: ShortText
    note: ShortText | None = None
    at: UtcTime
