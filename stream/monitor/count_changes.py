"""What one partition of the counts writes at a checkpoint, and how far it has come by then."""

from dataclasses import dataclass, field, replace
from typing import Any

from stream.monitor.channel_rules import ChannelState
from stream.monitor.channel_states import StateKey
from stream.monitor.events import Alert, WindowCounter
from stream.monitor.fold import Window, counted
from stream.monitor.watermark import SourceClock

WindowKey = tuple[str, int]
"""(channel, start of the base window)"""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a partition has come. All effects of the records up to ``offset`` are stored with it.

    ``watermark`` is how far event time has come; ``sources`` are the clocks that it is made of, by input
    partition; ``judged_until`` holds, by window length, the end of the newest window judged; ``late`` counts
    the late messages, ``early`` those ahead of their own publication. ``topic`` is Kafka's id of the counts
    topic: offsets of one that was made anew are others.
    """

    offset: int = -1
    watermark: int = 0
    judged_until: dict[str, int] = field(default_factory=dict)
    late: int = 0
    early: int = 0
    sources: dict[str, SourceClock] = field(default_factory=dict)
    topic: str | None = None

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Checkpoint":
        clocks = {name: SourceClock.from_json(clock) for name, clock in value.get("sources", {}).items()}
        late = value.get("late", 0)
        if isinstance(late, dict):  # version 0.1 kept them by channel
            late = counted(*late.values())
        return cls(**{**value, "sources": clocks, "late": late})

    def on_topic(self, topic: str | None) -> "Checkpoint":
        """The checkpoint for reading a topic with this id: an offset of another one means nothing."""
        if topic is not None and self.topic not in (None, topic):
            return replace(self, offset=-1, topic=topic)
        return replace(self, topic=topic or self.topic)


@dataclass(slots=True)
class CountChanges:
    """What a checkpoint has to publish (counters, alerts) and to store (all that follows).

    A state of None is deleted, and so are the alerts in ``forgotten_alerts``.
    """

    counters: list[WindowCounter]
    alerts: list[Alert]
    states: dict[StateKey, ChannelState | None]
    windows: dict[WindowKey, Window]
    expired: list[WindowKey]
    checkpoint: Checkpoint
    moved: bool
    forgotten_alerts: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether there is anything to write; ``moved`` says it of the checkpoint."""
        return bool(self.moved or self.windows or self.expired or self.states or self.alerts)
