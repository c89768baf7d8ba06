"""Alerts in the order in which people should look at them, and what was said of them. Pure.

A fold of the alerts' and the reviews' topics on top of the monitor's board. What stands first is what is
severe, fires, and waits longest; alerts of one author, or of one channel, stand together.
"""

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from stream.monitor.board import Board, Precision
from stream.monitor.events import Alert, Review

Standing = Literal["firing", "held", "acknowledged", "confirmed", "dismissed", "resolved"]

ALERTS: Final = 5_000
REVIEWS: Final = 200
"""Of the audit log, how many the page shows; the topic holds them all."""

SEVERITIES: Final = ("critical", "warning", "info")
JUDGED: Final = frozenset({"confirmed", "dismissed"})
_URGENCY: Final[dict[Standing, int]] = {"firing": 0, "held": 1, "acknowledged": 2, "resolved": 3}


@dataclass(frozen=True, slots=True)
class Item:
    """An alert and where it stands, its reviews included."""

    alert: Alert
    standing: Standing
    reviews: tuple[Review, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Alerts about one author, conversation or channel, the most urgent first."""

    kind: Literal["author", "conversation", "channel"]
    name: str
    items: tuple[Item, ...]


def standing(alert: Alert, reviews: Iterable[Review]) -> Standing:
    """Where an alert stands: a person's last word, else what its rule says."""
    verdict: str | None = None
    for review in reviews:
        # An acknowledgement after a judgement takes nothing back.
        if review.verdict in JUDGED or verdict is None:
            verdict = review.verdict
    if verdict in JUDGED:
        return verdict  # type: ignore[return-value]  # both are standings
    if alert.status == "resolved":
        return "resolved"
    if verdict == "acknowledged":
        return "acknowledged"
    return "held" if alert.held else "firing"


def urgency(item: Item) -> tuple[int, int, float, str]:
    """What to sort by: whether it waits for a person, its severity, its age."""
    alert = item.alert
    place = _URGENCY.get(item.standing, 4)
    return place, SEVERITIES.index(alert.severity), alert.starts_at.timestamp(), alert.id


def subject(alert: Alert) -> tuple[Literal["author", "conversation", "channel"], str]:
    """Whom or what an alert is about."""
    if alert.author:
        return "author", alert.author
    if alert.conversation:
        return "conversation", alert.conversation
    return "channel", alert.channel or "-"


class Queue:
    """The fold of alerts and reviews. ``dropped`` counts alerts that had to go for newer ones."""

    def __init__(self) -> None:
        self.version = 0
        self.dropped = 0
        self.audit: list[Review] = []
        self._board = Board()

    def take_alert(self, alert: Alert) -> bool:
        """Fold one record in; whether it was news."""
        if not self._board.take_alert(alert):
            return False
        self.version += 1
        while len(self._board.alerts) > ALERTS:
            self._drop_least_urgent()
        return True

    def drop_alert(self, alert_id: str) -> None:
        """Its author has been forgotten, or its time has passed."""
        self._board.drop_alert(alert_id)
        self.version += 1

    def take_review(self, review: Review) -> None:
        """Fold one review in; one that is known already changes nothing."""
        known = len(self._board.reviews[review.alert_id])
        self._board.take_review(review)
        if len(self._board.reviews[review.alert_id]) > known:
            insort(self.audit, review, key=lambda one: one.at)
            del self.audit[:-REVIEWS]
            self.version += 1

    def item(self, alert_id: str) -> Item | None:
        """An alert with its reviews, in the order of their time."""
        alert = self._board.alerts.get(alert_id)
        return None if alert is None else self._item(alert)

    def groups(self) -> list[Group]:
        """All alerts that wait for a person, by whom they are about, the most urgent first."""
        found: dict[tuple[Literal["author", "conversation", "channel"], str], list[Item]] = {}
        for item in self.items():
            if item.standing not in JUDGED:
                found.setdefault(subject(item.alert), []).append(item)
        return [Group(kind, name, tuple(items)) for (kind, name), items in found.items()]

    def items(self) -> list[Item]:
        """All alerts, the most urgent first."""
        return sorted((self._item(alert) for alert in self._board.alerts.values()), key=urgency)

    def precision(self) -> dict[str, Precision]:
        """By rule: confirmed over judged."""
        return self._board.precision()

    def _item(self, alert: Alert) -> Item:
        reviews = tuple(sorted(self._board.reviews.get(alert.id, ()), key=lambda one: one.at))
        return Item(alert, standing(alert, reviews), reviews)

    def _drop_least_urgent(self) -> None:
        ended = [alert for alert in self._board.alerts.values() if alert.status == "resolved"]
        oldest = min(ended or self._board.alerts.values(), key=lambda alert: alert.updated_at)
        self._board.drop_alert(oldest.id)
        self.dropped += 1
