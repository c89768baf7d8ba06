"""The parts of the page as plain values for JSON, made from the folds. Pure.

health: how the stream goes     channels: who differs       queue: alerts by subject
mix:    windows of a channel    recent:   newest messages   log:   reviews, precision by rule
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

from stream.dashboard.flow import Flow, Labelled
from stream.dashboard.history import ORDER, History, Row
from stream.dashboard.queue import Group, Item, Queue, grouped
from stream.events import ALL_CHANNELS
from stream.monitor.board import JUDGED

State = Literal["loading", "live", "quiet", "stale", "missing", "down"]

QUIET_S: Final = 60.0
"""So long without a labelled message is worth saying."""
GROUPS: Final = 100
MEMBERS: Final = 100
LINES: Final = 500
"""Alerts that the page lists, in so many groups of so many at most: it gets them anew with each change."""
CHANNELS: Final = 12
CLOSED: Final = 50


@dataclass(slots=True)
class Reach:
    """What the feed knows of the cluster. ``waiting`` are messages that no annotator has finished yet.

    ``problem`` says in one line why nothing comes, ``missing`` that topics are; ``skipped`` counts labelled
    messages passed over because the dashboard fell behind.
    """

    caught_up: bool = False
    problem: str | None = None
    missing: bool = False
    problem_since: float | None = None
    waiting: int | None = None
    partitions: int = 0
    behind: int = 0
    skipped: int = 0
    refused: int = 0
    counters_at: float | None = None


def state_of(reach: Reach, flow: Flow, now: float) -> State:
    """How the stream goes, in one word."""
    if reach.problem is not None:
        return "missing" if reach.missing else "down"
    if not reach.caught_up:
        return "loading"
    last = flow.last_heard_at
    if last is not None and now - last < QUIET_S:
        return "live"
    return "stale" if reach.waiting else "quiet"


def health(reach: Reach, flow: Flow, drift: float | None, now: float) -> dict[str, Any]:
    """Figures of the stream as a whole, and how old each of its partitions is. ``now`` is of ``Clock``."""
    delays = flow.delays_s()
    return {
        "at": round(now, 1),
        "state": state_of(reach, flow, now),
        "problem": reach.problem,
        "problem_since": reach.problem_since,
        "last_heard_at": flow.last_heard_at,
        "counters_at": reach.counters_at,
        "partitions": [[number, flow.partitions.get(number)] for number in range(reach.partitions)],
        "waiting": reach.waiting,
        "behind": reach.behind,
        "skipped": reach.skipped,
        "refused": reach.refused,
        "rate": round(flow.rate(now, 10), 2),
        "rates": flow.rates(now),
        "confidence": flow.confidence(now),
        "distressed": flow.distressed(now),
        "languages": flow.languages(now),
        "delay_s": None if delays is None else [round(delay, 2) for delay in delays],
        "drift": drift,
        "models": [
            {"name": name, "revision": revision, "at": at}
            for (name, revision), at in sorted(flow.models.items(), key=lambda known: -known[1])
        ],
    }


def mix(history: History, channel: str, window_s: int | None, now: float) -> dict[str, Any]:
    """The windows of a channel; of the shortest length there is where it is not said or not there."""
    lengths = history.lengths
    chosen = window_s if window_s in lengths else (lengths[0] if lengths else None)
    windows = history.windows(channel, chosen, now) if chosen is not None else []
    return {
        "channel": channel,
        "window_s": chosen,
        "lengths": lengths,
        "labels": ORDER,
        "windows": [
            [start, *row.counts[:-1], row.counts[-1] + row.unknown, _mean_confidence(row)]
            for start, row in windows
        ],
    }


def _mean_confidence(row: Row) -> float | None:
    return round(row.confidence / row.messages, 3) if row.messages else None


def channels(history: History, now: float) -> dict[str, Any]:
    """The channels that differ most from their usual."""
    _, known = history.names(most=0)
    return {
        "known": known,
        "dropped": history.dropped,
        "changes": [
            {
                "channel": one.channel,
                "messages": one.messages,
                "label": one.label,
                "share": round(one.share, 4),
                "usual": round(one.usual, 4),
                "deviations": None if one.deviations is None else round(one.deviations, 2),
            }
            for one in history.changes(CHANNELS, now)
        ],
    }


def recent(flow: Flow) -> list[dict[str, Any]]:
    """The newest messages, the newest first."""
    return [message(event) for event in reversed(flow.recent)]


def message(event: Labelled) -> dict[str, Any]:
    """One labelled message; fields that the stream does not carry are left out."""
    shown = {
        "at": event.at,
        "label": event.label,
        "labels": event.labels or None,
        "confidence": round(event.confidence, 3),
        "level": event.level,
        "channel": event.channel,
        "language": event.language,
        "text": event.text,
    }
    return {name: value for name, value in shown.items() if value is not None}


def queue(alerts: Queue) -> dict[str, Any]:
    """Alerts that wait for a person, by subject, and those judged last."""
    items, left, shown = alerts.items(), LINES, list[dict[str, Any]]()
    groups = grouped(item for item in items if item.standing not in JUDGED)
    judged = [item for item in items if item.standing in JUDGED]
    judged.sort(key=lambda item: item.reviews[-1].at, reverse=True)
    for group in groups[:GROUPS]:
        if left > 0:
            shown.append(_group(group, min(left, MEMBERS)))
            left -= len(shown[-1]["items"])
    return {
        "waiting": sum(_waits(item) for item in items),
        "critical": sum(_waits(item) and item.alert.severity == "critical" for item in items),
        "groups": shown,
        "groups_more": len(groups) - len(shown),
        "closed": [summary(item) for item in judged[:CLOSED]],
        "closed_more": max(0, len(judged) - CLOSED),
        "dropped": alerts.dropped,
    }


def log(alerts: Queue) -> dict[str, Any]:
    """Who did what when, the newest first, and the precision of each rule."""
    return {
        "reviews": [
            {**one.model_dump(exclude={"id", "at"}), "at": one.at.timestamp()}
            for one in reversed(alerts.audit)
        ],
        "precision": [
            {
                "rule": rule,
                "confirmed": known.confirmed,
                "reviewed": known.reviewed,
                "ratio": known.ratio,
                "interval": known.interval,
            }
            for rule, known in alerts.precision().items()
        ],
    }


def summary(item: Item) -> dict[str, Any]:
    """An alert as a line of the queue."""
    alert, evidence = item.alert, item.alert.evidence
    return {
        "id": alert.id,
        "revision": alert.revision,
        "rule": alert.rule,
        "severity": alert.severity,
        "standing": item.standing,
        "author": alert.author,
        "channel": alert.channel if alert.channel != ALL_CHANNELS else None,
        "score": evidence.score,
        "enter": evidence.enter,
        "messages": evidence.messages,
        "starts_at": alert.starts_at.timestamp(),
        "ends_at": alert.ends_at.timestamp() if alert.ends_at else None,
        "reviews": len(item.reviews),
        "reviewer": item.reviews[-1].reviewer if item.reviews else None,
    }


def detail(item: Item, picture: dict[str, Any]) -> dict[str, Any]:
    """One alert with all there is to judge it by."""
    alert, evidence = item.alert, item.alert.evidence
    return {
        **summary(item),
        "kind": alert.kind,
        "summary": alert.summary,
        "notice": alert.notice,
        "recipients": alert.recipients,
        "conversation": alert.conversation,
        "model": alert.model.model_dump() if alert.model else None,
        "measure": evidence.measure,
        "leave": evidence.leave,
        "baseline": evidence.baseline,
        "baseline_messages": evidence.baseline_messages,
        "confidence": evidence.confidence,
        "message_ids": evidence.message_ids,
        "texts": evidence.texts,
        "sources": [source.model_dump() for source in evidence.sources],
        "window": [evidence.window_start.timestamp(), evidence.window_end.timestamp()],
        "latest": {"score": alert.latest.score, "at": alert.latest.window_end.timestamp()}
        if alert.latest
        else None,
        "ended_by": alert.ended_by,
        "picture": picture,
        "history": [
            {**one.model_dump(include={"verdict", "reviewer", "note"}), "at": one.at.timestamp()}
            for one in item.reviews
        ],
    }


def _group(group: Group, most: int) -> dict[str, Any]:
    members = [summary(item) for item in group.items[:most]]
    return {
        "kind": group.kind,
        "name": group.name,
        "items": members,
        "more": len(group.items) - len(members),
        "channels": len({item.alert.channel for item in group.items}),
    }


def _waits(item: Item) -> bool:
    return item.standing in ("firing", "held")
