"""Whether the annotator gets anywhere: lag, the age of what waits, and the stall watchdog. Pure."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Progress:
    """Notes of the last time that something was finished. Times are seconds on one monotonic clock."""

    stall_timeout_s: float
    last_at: float
    finished_messages: int = 0
    lag_messages: dict[int, int] = field(default_factory=dict)

    def note(self, now: float, messages: int = 0) -> None:
        """``messages`` were finished, or there is nothing to do: both count as getting somewhere."""
        self.last_at = now
        self.finished_messages += messages

    @property
    def lag(self) -> int:
        """Messages of our partitions that are not finished."""
        return sum(self.lag_messages.values())

    def stalled_for_s(self, now: float) -> float:
        """Seconds without progress while messages wait; 0 when none wait."""
        return now - self.last_at if self.lag > 0 else 0.0

    def stalled(self, now: float) -> bool:
        """Whether it is better to restart than to go on waiting."""
        return self.stalled_for_s(now) >= self.stall_timeout_s
