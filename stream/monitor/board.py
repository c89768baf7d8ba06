"""What the world can see: counters, alerts and reviews, folded from their topics. Pure.

Each monitor that serves them reads these topics whole, so that it answers for all partitions, whoever derived
them.
"""

from bisect import insort
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import inf, sqrt
from typing import Final, Literal

from stream.monitor.alerts import authors_named
from stream.monitor.events import Alert, Review, Verdict, WindowCounter
from stream.monitor.fold import bound_shards, counted
from stream.privacy import is_pseudonym

State = Literal["firing", "held", "acknowledged", "confirmed", "dismissed", "resolved"]

Shards = dict[int | None, WindowCounter]
"""The latest record of one window by the partition of the counts that it comes from."""

MAX_WINDOWS: Final = 180
"""Windows of each length that are kept of a channel: 3 h of minutes, 15 h of 5 min, a week of hours."""

ALL_WINDOWS: Final = 50_000
"""Windows that are kept of all channels together, those heard of last: some 100 MB."""

JUDGED: Final = frozenset[Verdict]({"confirmed", "dismissed"})

Z_95: Final = 1.959964


@dataclass(frozen=True, slots=True)
class Precision:
    """Of the alerts of a rule that people have judged, how many they confirmed; with its 95 % interval."""

    confirmed: int
    reviewed: int

    @property
    def ratio(self) -> float | None:
        return self.confirmed / self.reviewed if self.reviewed else None

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson score interval (Wilson, 1927): sensible for few reviews, too."""
        return wilson(self.confirmed, self.reviewed)


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """95 % interval of a proportion; (0, 1) where nothing was tried."""
    if not trials:
        return 0.0, 1.0
    share, spread = hits / trials, Z_95**2 / trials
    middle = share + spread / 2
    half = sqrt(share * (1 - share) * spread + spread**2 / 4)
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))


def whole(shards: Shards) -> WindowCounter:
    """A window's counts over all its shards. One without a shard, of version 0.1, went on as one with it."""
    parts = [counter for shard, counter in shards.items() if shard is not None] or list(shards.values())
    if len(parts) == 1:
        return parts[0]
    labels = {
        label: counted(*(part.labels.get(label, 0) for part in parts))
        for label in dict.fromkeys(label for part in parts for label in part.labels)
    }
    messages = counted(*labels.values())
    confidence = sum((part.mean_confidence or 0.0) * part.messages for part in parts)
    return parts[0].model_copy(
        update={
            "messages": messages,
            "labels": labels,
            "mean_confidence": min(confidence / messages, 1.0) if messages else None,
            "unknown": counted(*(part.unknown for part in parts)),
            "opted_out": counted(*(part.opted_out for part in parts)),
            "dead_lettered": counted(*(part.dead_lettered for part in parts)),
            "tombstones": counted(*(part.tombstones for part in parts)),
            "shard": None,
        }
    )


def last_word(reviews: Sequence[Review]) -> Verdict | None:
    """What holds of an alert's reviews, given by their time. An acknowledgement takes no judgement back."""
    verdicts = [review.verdict for review in reviews]
    judged = [verdict for verdict in verdicts if verdict in JUDGED]
    return judged[-1] if judged else verdicts[-1] if verdicts else None


def standing(alert: Alert, reviews: Sequence[Review]) -> State:
    """Where an alert stands: a person's judgement, else what its rule says and who looks after it."""
    verdict = last_word(reviews)
    if verdict is not None and verdict in JUDGED:
        return verdict
    if alert.status == "resolved":
        return "resolved"
    return verdict or ("held" if alert.held else "firing")


class Board:
    """The latest record of every counter and alert, and all reviews. What is ``hidden`` is for nobody."""

    def __init__(self) -> None:
        self.alerts: dict[str, Alert] = {}
        self.hidden: dict[str, Alert] = {}
        """What a monitor that was behind has published of alerts that were deleted, or whose authors were
        forgotten: the topic holds it until it is deleted there."""
        self.reviews: defaultdict[str, list[Review]] = defaultdict(list)
        self._forgotten: dict[str, float] = {}
        """Ids of alerts that were deleted, and authors who were forgotten; when, in seconds."""
        self._published_at: dict[str, float] = {}
        self._counters: defaultdict[tuple[str, int], dict[float, Shards]] = defaultdict(dict)
        self._heard: OrderedDict[tuple[str, int, float], float] = OrderedDict()
        """The windows in ``_counters``, that which was heard of last at the end, and when each was published
        last."""
        self._judged: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])

    def take_alert(self, alert: Alert, published_at: float = inf) -> bool:
        """Take a record; whether it was news to anybody. Of two revisions the greater holds.

        ``published_at`` is the record's time stamp, in seconds: of a stream that is replayed, the alert's own
        times are old.
        """
        known = self.alerts.get(alert.id) or self.hidden.get(alert.id)
        if known is not None and known.revision >= alert.revision:
            return False
        self._published_at[alert.id] = published_at
        if alert.id in self.hidden or self.is_forgotten(alert):
            self.hidden[alert.id] = alert
            return False
        self.alerts[alert.id] = alert
        return True

    def take_tombstone(self, key: str, published_at: float) -> list[str]:
        """Take a record that deletes; the ids of the alerts that are shown no more.

        Its key is an alert's id; or a pseudonym, no id of an alert, and then its author has been forgotten:
        whatever names them and began until it was published, in seconds, is for nobody.
        """
        if published_at <= self._forgotten.get(key, -inf):
            return []
        self._forgotten[key] = published_at
        gone = [key] if key in self.alerts else []
        self.drop_alert(key)
        if is_pseudonym(key):
            gone = [alert.id for alert in self.alerts.values() if self.is_forgotten(alert)]
            self.hidden.update((alert_id, self.alerts.pop(alert_id)) for alert_id in gone)
        return gone

    def is_forgotten(self, alert: Alert) -> bool:
        """Whether it was deleted, or names an author who was forgotten after it began."""
        if alert.id in self._forgotten:
            return True
        began = alert.starts_at.timestamp()
        return any(began <= self._forgotten.get(name, -inf) for name in authors_named(alert))

    def published(self) -> Iterator[Alert]:
        """All alerts that the topic holds, for who deletes them there."""
        yield from self.alerts.values()
        yield from self.hidden.values()

    def drop_alert(self, alert_id: str) -> None:
        """It has been deleted, or its time has passed."""
        self.alerts.pop(alert_id, None)
        self.hidden.pop(alert_id, None)
        self._published_at.pop(alert_id, None)

    def prune(self, before: datetime) -> None:
        """Drop what was published so long ago that the topic no longer holds it: windows, alerts that have
        ended or are hidden, and who was forgotten, for no message from before that is left either.
        """
        oldest = before.timestamp()
        ended = [one for one in self.alerts.values() if one.ends_at is not None]
        for alert in [*ended, *self.hidden.values()]:
            if self._published_at[alert.id] < oldest:
                self.drop_alert(alert.id)
        for key in [one for one, at in self._forgotten.items() if at < oldest]:
            del self._forgotten[key]
        for window in [one for one, at in self._heard.items() if at < oldest]:
            self._drop_window(*window)

    def take_review(self, review: Review) -> bool:
        """Take a review, by its time, so that all readers agree which came last; whether it was news."""
        known = self.reviews[review.alert_id]
        if any(one.id == review.id for one in known):
            return False
        self._count(known, -1)
        insort(known, review, key=lambda one: (one.at, one.id))
        self._count(known, 1)
        return True

    def take_counter(self, counter: WindowCounter, published_at: float = inf) -> None:
        """Take a record, with its time stamp as ``take_alert``."""
        channel, window_s, start = counter.channel, counter.window_s, counter.start.timestamp()
        windows = self._counters[channel, window_s]
        shards = windows.setdefault(start, {})
        known = shards.get(counter.shard)
        if known is None or known.messages <= counter.messages:
            shards[counter.shard] = counter
            bound_shards(shards)
        self._heard[channel, window_s, start] = published_at
        self._heard.move_to_end((channel, window_s, start))
        if len(windows) > MAX_WINDOWS:
            self._drop_window(channel, window_s, min(windows))
        if len(self._heard) > ALL_WINDOWS:
            self._drop_window(*next(iter(self._heard)))

    def counters(self, channel: str | None = None, window_s: int | None = None) -> list[WindowCounter]:
        """Counters, newest windows first."""
        found = [
            whole(shards)
            for (name, length_s), windows in self._counters.items()
            if channel in (None, name) and window_s in (None, length_s)
            for shards in windows.values()
        ]
        return sorted(found, key=lambda counter: (counter.start, counter.channel), reverse=True)

    def state(self, alert: Alert) -> State:
        """Where an alert stands, its reviews included."""
        return standing(alert, self.reviews.get(alert.id, ()))

    def precision(self) -> dict[str, Precision]:
        """By rule, from the last verdict on each alert; an acknowledgement alone is none."""
        judged = sorted(self._judged.items())
        return {rule: Precision(confirmed, reviewed) for rule, (confirmed, reviewed) in judged if reviewed}

    def _drop_window(self, channel: str, window_s: int, start: float) -> None:
        del self._heard[channel, window_s, start]
        windows = self._counters[channel, window_s]
        del windows[start]
        if not windows:
            del self._counters[channel, window_s]

    def _count(self, reviews: Sequence[Review], by: int) -> None:
        """Count what holds of an alert's reviews in, or out again."""
        verdict = last_word(reviews)
        if verdict in JUDGED:
            counts = self._judged[reviews[-1].rule]
            counts[0] += by * (verdict == "confirmed")
            counts[1] += by
