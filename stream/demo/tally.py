"""What the demo has seen: which messages were sent, what became of each, and how long it took. Pure.

A message is known by its place in the input topic, and every output names that place; so the tally can
tell whether each message has exactly one outcome. Times are seconds on one monotonic clock.
"""

from collections import Counter, deque
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Final

from stream.events import UNKNOWN

Place = tuple[int, int]
"""Partition and offset of a message in the input topic."""

RECENT_ROWS: Final = 200
RATE_SPAN_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Labelled:
    """One labelled message, as far as people are shown it."""

    label: str
    confidence: float
    distress: str
    channel: str
    text: str


@dataclass(frozen=True, slots=True)
class DeadLettered:
    """One message that could not be labelled."""

    cause: str
    error: str


Outcome = Labelled | DeadLettered


@dataclass(slots=True)
class Tally:
    """Counts of one demo run. ``started_at`` is when its command began."""

    started_at: float
    sent_at: dict[Place, float] = field(default_factory=dict)
    outcomes: Counter[Place] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    recent: deque[Outcome] = field(default_factory=lambda: deque(maxlen=RECENT_ROWS))
    first_label_at: float | None = None
    _read_at: dict[Place, float] = field(default_factory=dict)
    _last_reads: deque[float] = field(default_factory=deque)

    def sent(self, place: Place, at: float) -> None:
        """A message was given to the producer at this time and lies at this place."""
        self.sent_at[place] = at

    def seen(self, place: Place, outcome: Outcome, at: float) -> None:
        """The outcome of the message at this place was read, committed, at this time."""
        self.outcomes[place] += 1
        self._read_at.setdefault(place, at)
        self._last_reads.append(at)
        self.recent.append(outcome)
        if isinstance(outcome, Labelled):
            self.labels[outcome.label] += 1
            self.first_label_at = self.first_label_at or at
        else:
            self.causes[outcome.cause] += 1

    @property
    def read(self) -> int:
        """Messages that the model read: the monitor counts the unknown ones apart."""
        return self.labels.total() - self.labels[UNKNOWN]

    @property
    def lag(self) -> int:
        """Messages sent that have no outcome yet."""
        return max(0, len(self.sent_at) - len(self.outcomes))

    @property
    def missing(self) -> int:
        """Messages sent that have no outcome, counted one by one: at the end, what was lost."""
        return sum(place not in self.outcomes for place in self.sent_at)

    @property
    def doubled(self) -> int:
        """Messages that have more than one outcome."""
        return sum(count > 1 for count in self.outcomes.values())

    @property
    def exactly_once(self) -> bool:
        """Whether every message sent has exactly one outcome."""
        return not self.missing and not self.doubled

    @property
    def first_label_s(self) -> float | None:
        """From the start of the command to the first label."""
        return None if self.first_label_at is None else self.first_label_at - self.started_at

    def rate(self, now: float) -> float:
        """Outcomes a second over the last ``RATE_SPAN_S``."""
        while self._last_reads and self._last_reads[0] <= now - RATE_SPAN_S:
            self._last_reads.popleft()
        return len(self._last_reads) / RATE_SPAN_S

    def latencies_ms(self) -> tuple[float, float] | None:
        """Median and 95th percentile from giving a message to the producer to reading its outcome."""
        taken = [
            (self._read_at[place] - at) * 1000 for place, at in self.sent_at.items() if place in self._read_at
        ]
        if not taken:
            return None
        cuts = quantiles(taken, n=100, method="inclusive") if len(taken) > 1 else taken * 99
        return cuts[49], cuts[94]
