"""Alerts in the order in which people should look at them, and what was said of them. Pure.

A fold of the alerts' and the reviews' topics on top of the monitor's board. What stands first is what is
severe, fires, and waits longest. Alerts of one author or channel stand together, and so do those of one
cause: the same rule, risen in several channels within ``CAUSE_S``.
"""

from bisect import insort
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import Final, Literal

from stream.monitor.board import Board, Precision, State, standing
from stream.monitor.events import Alert, Review

SubjectKind = Literal["author", "conversation", "channel"]
GroupKind = Literal[SubjectKind, "cause"]

ALERTS: Final = 5_000
SPARE: Final = 250
"""So many more are held for a moment: making room one by one would look through all of them each time."""
REVIEWS: Final = 200
"""Of the audit log, how many the page shows; the topic holds them all."""

CAUSE_S: Final = 15 * 60
"""So far apart alerts of a rule may begin in different channels and be taken for one cause."""

SEVERITIES: Final = ("critical", "warning", "info")
_URGENCY: Final[dict[State, int]] = {"firing": 0, "held": 1, "acknowledged": 2, "resolved": 3}


@dataclass(frozen=True, slots=True)
class Item:
    """An alert and where it stands, its reviews included."""

    alert: Alert
    standing: State
    reviews: tuple[Review, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Alerts about one author, conversation or channel, or of one cause: then ``name`` is the rule's.

    The most urgent stand first.
    """

    kind: GroupKind
    name: str
    items: tuple[Item, ...]


def urgency(item: Item) -> tuple[int, int, float, str]:
    """What to sort by: whether it waits for a person, its severity, its age."""
    alert = item.alert
    place = _URGENCY.get(item.standing, 4)
    return place, SEVERITIES.index(alert.severity), alert.starts_at.timestamp(), alert.id


def subject(alert: Alert) -> tuple[SubjectKind, str]:
    """Whom or what an alert is about."""
    if alert.author:
        return "author", alert.author
    if alert.conversation:
        return "conversation", alert.conversation
    return "channel", alert.channel or "-"


def grouped(items: Iterable[Item]) -> list[Group]:
    """Items, given with the most urgent first, by cause where several channels share one, else by subject.

    Alerts about people are never put together with those about others.
    """
    found: dict[tuple[GroupKind, str, int], list[Item]] = {}
    ordered = list(items)
    causes = _causes(ordered)
    for item in ordered:
        cause = causes.get(item.alert.id)
        kind, name = subject(item.alert)
        key: tuple[GroupKind, str, int] = (kind, name, 0)
        if cause is not None:
            key = "cause", item.alert.rule, cause
        found.setdefault(key, []).append(item)
    return [Group(kind, name, tuple(members)) for (kind, name, _), members in found.items()]


def _causes(items: Iterable[Item]) -> dict[str, int]:
    """The number of the cause of each alert that shares one with another channel's, by the alert's id."""
    by_rule: defaultdict[str, list[Alert]] = defaultdict(list)
    for item in items:
        if subject(item.alert)[0] == "channel":
            by_rule[item.alert.rule].append(item.alert)
    bursts = [burst for alerts in by_rule.values() for burst in _bursts(alerts)]
    return {
        alert.id: number
        for number, burst in enumerate(bursts)
        if len({alert.channel for alert in burst}) > 1
        for alert in burst
    }


def _bursts(alerts: list[Alert]) -> Iterator[list[Alert]]:
    """Alerts that began within ``CAUSE_S`` of the first of them."""
    burst: list[Alert] = []
    for alert in sorted(alerts, key=lambda one: one.starts_at):
        if burst and (alert.starts_at - burst[0].starts_at).total_seconds() > CAUSE_S:
            yield burst
            burst = []
        burst.append(alert)
    yield burst


class Queue:
    """The fold of alerts and reviews. ``dropped`` counts alerts that had to go for newer ones."""

    def __init__(self) -> None:
        self.version = 0
        self.dropped = 0
        self.audit: list[Review] = []
        self._board = Board()
        self._items: dict[str, Item] = {}

    def take_alert(self, alert: Alert, published_at: float = inf) -> bool:
        """Fold one record in; whether it was news. ``published_at`` is its time stamp, in seconds."""
        if not self._board.take_alert(alert, published_at):
            return False
        self._renew(alert.id)
        if len(self._items) > ALERTS + SPARE:
            self._make_room()
        return True

    def take_tombstone(self, key: str, published_at: float) -> None:
        """Fold a record in that deletes an alert, or says that an author was forgotten."""
        for alert_id in self._board.take_tombstone(key, published_at):
            self._renew(alert_id)

    def prune(self, before: float) -> None:
        """Drop alerts that ended, and were published last before a time in seconds."""
        self._board.prune(datetime.fromtimestamp(before, UTC))
        for alert_id in self._items.keys() - self._board.alerts.keys():
            self._renew(alert_id)

    def take_review(self, review: Review) -> None:
        """Fold one review in; one that is known already changes nothing."""
        if self._board.take_review(review):
            insort(self.audit, review, key=lambda one: one.at)
            del self.audit[:-REVIEWS]
            self._renew(review.alert_id)

    def item(self, alert_id: str) -> Item | None:
        """An alert with its reviews, in the order of their time."""
        return self._items.get(alert_id)

    def items(self) -> list[Item]:
        """All alerts, the most urgent first."""
        return sorted(self._items.values(), key=urgency)

    def precision(self) -> dict[str, Precision]:
        """By rule: confirmed over judged."""
        return self._board.precision()

    def _renew(self, alert_id: str) -> None:
        self.version += 1
        alert = self._board.alerts.get(alert_id)
        if alert is None:
            self._items.pop(alert_id, None)
        else:
            reviews = tuple(self._board.reviews.get(alert_id, ()))
            self._items[alert_id] = Item(alert, standing(alert, reviews), reviews)

    def _make_room(self) -> None:
        """Drop what is above ``ALERTS``: of those that ended, then of all, what was heard of least lately."""
        alerts = sorted(
            self._board.alerts.values(), key=lambda alert: (alert.status != "resolved", alert.updated_at)
        )
        for alert in alerts[: len(alerts) - ALERTS]:
            self._board.drop_alert(alert.id)
            self._renew(alert.id)
            self.dropped += 1
