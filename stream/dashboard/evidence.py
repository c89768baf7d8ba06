"""The evidence of an alert as a picture: what was measured over time, what is usual, the levels. Pure."""

from collections.abc import Sequence
from math import sqrt
from typing import Any, Final

from stream.dashboard.flow import Point
from stream.dashboard.history import ORDER, Row
from stream.monitor.events import Alert, Evidence

_ANSCOMBE: Final = 0.375


def author_picture(alert: Alert, trail: Sequence[Point]) -> dict[str, Any]:
    """Distress of each message of the author, and its weighted mean as the rule makes it.

    An escalation is a rise: its levels stand on the lowest mean that it rose from.
    """
    evidence, latest = alert.evidence, alert.latest
    foot = (evidence.baseline or 0.0) if "rise" in evidence.measure else 0.0
    behind = set(evidence.message_ids)
    return {
        "kind": "author",
        "points": [[point.at, round(point.distress, 4), point.label, point.id in behind] for point in trail],
        "mean": _weighted_mean(trail, evidence),
        "baseline": evidence.baseline,
        "enter": foot + evidence.enter,
        "leave": foot + evidence.leave,
        "latest": [latest.window_end.timestamp(), foot + latest.score] if latest else None,
    }


def _weighted_mean(trail: Sequence[Point], evidence: Evidence) -> list[tuple[float, float]]:
    """The exponentially weighted mean after each message. It starts at the first score that is known."""
    if evidence.span_messages is None or not trail:
        return []
    weight, mean, line = 2.0 / (evidence.span_messages + 1.0), trail[0].distress, []
    for point in trail:
        mean += weight * (point.distress - mean)
        line.append((point.at, round(mean, 4)))
    return line


def channel_picture(alert: Alert, windows: Sequence[tuple[int, Row]], window_s: int) -> dict[str, Any]:
    """How often the rule's labels were in each window of the channel, and how often they usually are.

    Levels of the count rule (Anscombe, 1948) depend on how many messages a window has; they are given for
    each window. Where the rule measures otherwise they cannot be drawn in this unit, and are left out.
    """
    evidence = alert.evidence
    places = [ORDER.index(label) for label in evidence.labels if label in ORDER]
    hits = [sum(row.counts[place] for place in places) for _, row in windows]
    usual = evidence.baseline
    drawn = usual is not None and usual >= 0.0 and "expected count" in evidence.measure
    return {
        "kind": "channel",
        "labels": list(evidence.labels),
        "window_s": window_s,
        "windows": [[start, hit, row.messages] for (start, row), hit in zip(windows, hits, strict=True)],
        "usual": usual,
        "enter": _levels(windows, usual or 0.0, evidence.enter) if drawn else None,
        "leave": _levels(windows, usual or 0.0, evidence.leave) if drawn else None,
        "from": evidence.window_start.timestamp(),
        "to": evidence.window_end.timestamp(),
        "latest": alert.latest.window_start.timestamp() if alert.latest else None,
    }


def _levels(windows: Sequence[tuple[int, Row]], usual: float, deviations: float) -> list[float | None]:
    """The share at which a window of so many messages lies so many deviations above the expected count."""
    roots = [(deviations / 2 + sqrt(usual * row.messages + _ANSCOMBE), row.messages) for _, row in windows]
    # A product, since a power raises where the figures of a foreign record are beyond all floats.
    return [(root * root - _ANSCOMBE) / messages if messages else None for root, messages in roots]
