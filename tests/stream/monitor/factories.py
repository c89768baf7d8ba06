"""Signals, deltas and rules with good defaults, for the tests of the monitor."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from stream.events import (
    CountDelta,
    DistressReading,
    DistressSignal,
    ModelRef,
    OffsetRange,
    Source,
    WindowCounts,
)
from stream.ids import delta_id, event_id
from stream.monitor.rules import RuleSet, rule_set

NOON = 1_767_268_800  # 2026-01-01 12:00 UTC

AUTHOR = "0123456789abcdef" * 2
"""A pseudonym."""


def at(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC)


def signal(
    score: float = 0.9,
    *,
    author: str | None = "author-a",
    offset: int = 0,
    ts: float = NOON,
    partition: int = 0,
    channel: str | None = "support",
    phrases: Sequence[str] = (),
    text: str | None = None,
) -> DistressSignal:
    level = "high" if score >= 0.75 else "none"
    return DistressSignal(
        id=event_id("messages", partition, offset),
        author=author,
        channel=channel,
        label="sadness" if score >= 0.5 else "joy",
        confidence=0.9,
        distress=DistressReading(score=score, level=level),  # type: ignore[arg-type]
        phrases=tuple(phrases),
        ts=at(ts),
        model=ModelRef(name="fake", revision="1"),
        source=Source(topic="messages", partition=partition, offset=offset),
        text=text,
    )


def delta(
    counts: Mapping[float, Mapping[str, int]],
    *,
    first: int = 0,
    last: int | None = None,
    partition: int = 0,
    channel: str = "support",
    opted_out: int = 0,
) -> CountDelta:
    """A delta with a window for each start in ``counts``; offsets from ``first`` on, one a message."""
    messages = sum(sum(labels.values()) for labels in counts.values()) + opted_out
    last = first + max(messages, 1) - 1 if last is None else last
    return CountDelta(
        id=delta_id("messages", partition, first, last, channel),
        channel=channel,
        source=OffsetRange(topic="messages", partition=partition, first_offset=first, last_offset=last),
        windows=tuple(
            WindowCounts(
                start=at(start),
                labels=dict(labels),
                confidence_sum=0.5 * sum(labels.values()),
                opted_out=opted_out,
            )
            for start, labels in counts.items()
        ),
    )


def rules(*tables: dict[str, Any]) -> RuleSet:
    return rule_set({"rule": list(tables)})


def author_rule(**fields: Any) -> dict[str, Any]:
    return {"name": "sustained", "kind": "author", "recipients": ["team"], **fields}


def channel_rule(**fields: Any) -> dict[str, Any]:
    return {"name": "surge", "kind": "channel", "labels": ["anger"], **fields}


def ids(alerts: Iterable[Any]) -> list[tuple[str, str]]:
    return [(alert.id, alert.status) for alert in alerts]
