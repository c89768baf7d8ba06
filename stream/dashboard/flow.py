"""What the labelled messages say of the last minutes: rate, delay, languages, and how authors went. Pure.

Everything is bounded: an hour of minutes, the newest messages, and of each of the authors seen last their
newest messages. Times are seconds since the epoch. What was labelled when goes by when we heard of it, by
``Clock``: an annotator's clock may be off, and a page that trusts it calls a dead one alive.
"""

from bisect import insort
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import orjson

MINUTE_S: Final = 60
MINUTES_KEPT: Final = 60
SECONDS_KEPT: Final = 120
RECENT: Final = 30
AUTHORS: Final = 4_000
AUTHOR_POINTS: Final = 60
DELAYS: Final = 500
TEXT_SHOWN: Final = 400
"""Characters of a message that the page shows."""
NAME_KEPT: Final = 1024
WORD_KEPT: Final = 64
LABELS_KEPT: Final = 16
MODELS: Final = 8
LANGUAGES: Final = 64
LANGUAGES_SHOWN: Final = 8


@dataclass(frozen=True, slots=True)
class Labelled:
    """What the dashboard reads of a labelled message. Fields that later versions add may be missing.

    ``heard_at`` is when we heard of it, or, of what was read back, when it was labelled. ``distress`` is None
    where the model did not read the message, since its weights were not measured in that language.
    """

    id: str
    partition: int
    at: float
    heard_at: float
    delay_s: float
    label: str
    labels: tuple[str, ...]
    confidence: float
    distress: float | None
    level: str
    author: str | None
    channel: str | None
    language: str | None
    text: str | None
    model: tuple[str, str]


class Point(NamedTuple):
    """One message of an author: when, its distress score, its label, its id, and when we heard of it."""

    at: float
    distress: float
    label: str
    id: str
    heard_at: float


@dataclass(slots=True)
class _Minute:
    messages: int = 0
    read: int = 0
    confidence: float = 0.0
    distressed: int = 0


def labelled(
    value: bytes, partition: int, now: float, *, live: bool, ahead_s: float = 0.0
) -> Labelled | None:
    """The event in a record's value; None where it is none. ``live``: we hear of it as it comes.

    ``ahead_s``: how far the clock that ``now`` is of is ahead of those that set time stamps.
    """
    try:
        event = orjson.loads(value)
        distress = event.get("distress") or {"score": None, "level": "none"}
        text, at, labelled_at = event.get("text"), _seconds(event["ts"]), _seconds(event["labelled_at"])
        return Labelled(
            id=str(event["id"])[:NAME_KEPT],
            partition=partition,
            at=at,
            heard_at=now if live else min(labelled_at + ahead_s, now),
            delay_s=max(0.0, labelled_at - at),
            label=str(event["label"])[:WORD_KEPT],
            labels=tuple(str(label)[:WORD_KEPT] for label in (event.get("labels") or ())[:LABELS_KEPT]),
            confidence=_share(event["confidence"]),
            distress=None if distress["score"] is None else _share(distress["score"]),
            level=str(distress["level"])[:WORD_KEPT],
            author=_text(event.get("author"), NAME_KEPT),
            channel=_text(event.get("channel"), NAME_KEPT),
            language=_text(event.get("language"), WORD_KEPT),
            text=text[:TEXT_SHOWN] if isinstance(text, str) else None,
            model=(str(event["model"]["name"])[:NAME_KEPT], str(event["model"]["revision"])[:NAME_KEPT]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _share(value: Any) -> float:
    share = float(value)
    if not 0.0 <= share <= 1.0:
        raise ValueError("beyond 0 to 1")
    return share


def _text(value: Any, most: int) -> str | None:
    """A name; of another type, what a later version may have made of it, is left out."""
    return value[:most] if isinstance(value, str) and value else None


class Flow:
    """The fold of the labelled topic."""

    def __init__(self) -> None:
        self.version = 0
        self.recent: list[Labelled] = []
        self.partitions: dict[int, float] = {}
        self.models: dict[tuple[str, str], float] = {}
        self._seconds: OrderedDict[int, int] = OrderedDict()
        self._minutes: OrderedDict[int, _Minute] = OrderedDict()
        self._languages: OrderedDict[int, Counter[str]] = OrderedDict()
        self._trails: OrderedDict[str, deque[Point]] = OrderedDict()
        self._delays: deque[float] = deque(maxlen=DELAYS)

    @property
    def last_heard_at(self) -> float | None:
        """When we last heard of a message of any partition."""
        return max(self.partitions.values(), default=None)

    def take(self, event: Labelled) -> None:
        """Fold one message in."""
        self.version += 1
        known = self.partitions.get(event.partition, 0.0)
        self.partitions[event.partition] = max(known, event.heard_at)
        self.models[event.model] = max(event.heard_at, self.models.get(event.model, 0.0))
        if len(self.models) > MODELS:
            del self.models[min(self.models, key=lambda model: self.models[model])]
        insort(self.recent, event, key=lambda one: one.heard_at)  # partitions are read back one by one
        del self.recent[:-RECENT]
        self._delays.append(event.delay_s)
        self._count(event)
        if event.author is not None and event.distress is not None:
            point = Point(event.at, event.distress, event.label, event.id, event.heard_at)
            self._follow(event.author, point)

    def prune(self, before: float) -> None:
        """Drop messages that we heard of before a time in seconds."""
        if any(event.heard_at < before for event in self.recent):
            self.version += 1
            self.recent = [one for one in self.recent if one.heard_at >= before]
        for author, trail in list(self._trails.items()):
            while trail and trail[0].heard_at < before:
                trail.popleft()
            if not trail:
                del self._trails[author]

    def rate(self, now: float, span_s: int) -> float:
        """Messages labelled a second, over the ``span_s`` whole seconds before ``now``."""
        end = int(now)
        return sum(self._seconds.get(second, 0) for second in range(end - span_s, end)) / span_s

    def rates(self, now: float) -> list[int]:
        """Messages labelled in each of the last minutes, the oldest first; the one that runs is left out."""
        current = int(now) // MINUTE_S
        found = (self._minutes.get(minute) for minute in range(current - MINUTES_KEPT, current))
        return [one.messages if one else 0 for one in found]

    def confidence(self, now: float, minutes: int = 5) -> float | None:
        """Mean confidence of the messages read in the last minutes."""
        spans = self._last(now, minutes)
        read = sum(one.read for one in spans)
        return sum(one.confidence for one in spans) / read if read else None

    def distressed(self, now: float, minutes: int = 5) -> float | None:
        """Share of the messages read in the last minutes that have a distress level above none."""
        spans = self._last(now, minutes)
        read = sum(one.read for one in spans)
        return sum(one.distressed for one in spans) / read if read else None

    def languages(self, now: float, minutes: int = 15) -> list[tuple[str, float]]:
        """The most frequent languages of the last minutes, each with its share of all that have one."""
        current, counts = int(now) // MINUTE_S, Counter[str]()
        for minute in range(current - minutes + 1, current + 1):
            counts.update(self._languages.get(minute, {}))
        total = counts.total()
        return [
            (language, round(count / total, 4)) for language, count in counts.most_common(LANGUAGES_SHOWN)
        ]

    def delays_s(self) -> tuple[float, float] | None:
        """Median and 95th percentile of written to labelled, over the newest messages."""
        if not self._delays:
            return None
        ordered = sorted(self._delays)
        return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]

    def trail(self, author: str) -> list[Point]:
        """The newest messages of an author, the oldest first."""
        return sorted(self._trails.get(author, ()))

    def _last(self, now: float, minutes: int) -> list[_Minute]:
        current = int(now) // MINUTE_S
        found = (self._minutes.get(minute) for minute in range(current - minutes + 1, current + 1))
        return [one for one in found if one]

    def _count(self, event: Labelled) -> None:
        second = int(event.heard_at)
        self._seconds[second] = self._seconds.get(second, 0) + 1
        minute = self._minutes.setdefault(second // MINUTE_S, _Minute())
        minute.messages += 1
        if event.distress is not None:
            minute.read += 1
            minute.confidence += event.confidence
            minute.distressed += event.level != "none"
        if event.language is not None:
            counts = self._languages.setdefault(second // MINUTE_S, Counter())
            if event.language in counts or len(counts) < LANGUAGES:
                counts[event.language] += 1
        for kept, most in (
            (self._seconds, SECONDS_KEPT),
            (self._minutes, MINUTES_KEPT + 1),
            (self._languages, MINUTES_KEPT + 1),
        ):
            while len(kept) > most:
                del kept[min(kept)]

    def _follow(self, author: str, point: Point) -> None:
        trail = self._trails.get(author)
        if trail is None:
            trail = self._trails[author] = deque(maxlen=AUTHOR_POINTS)
            if len(self._trails) > AUTHORS:
                self._trails.popitem(last=False)
        self._trails.move_to_end(author)
        trail.append(point)
