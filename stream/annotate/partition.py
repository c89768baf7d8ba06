"""The states of a partition that is ours, and which may follow which. Pure.

INITIALISING ──► RUNNING ◄──► PAUSED
     │              │            │
     │              ▼            ▼
     │           DRAINING ◄──────┘
     ▼              ▼
     └─────────► CLOSED          (revoked, stopped, or its producer was fenced)
"""

from enum import Enum


class PartitionState(Enum):
    """What may be done with a partition now."""

    INITIALISING = "initialising"  # the old owner is being fenced, the committed offset read
    RUNNING = "running"
    PAUSED = "paused"  # its in-flight bound is reached: not fetched, still published
    DRAINING = "draining"  # taken away: nothing new is admitted, what is finished is committed
    CLOSED = "closed"

    @property
    def admits(self) -> bool:
        """Whether polled messages are taken in."""
        return self in {PartitionState.RUNNING, PartitionState.PAUSED}

    @property
    def publishes(self) -> bool:
        """Whether finished messages may still be committed."""
        return self.admits or self is PartitionState.DRAINING


_ALLOWED = {
    PartitionState.INITIALISING: {PartitionState.RUNNING, PartitionState.CLOSED},
    PartitionState.RUNNING: {PartitionState.PAUSED, PartitionState.DRAINING, PartitionState.CLOSED},
    PartitionState.PAUSED: {PartitionState.RUNNING, PartitionState.DRAINING, PartitionState.CLOSED},
    PartitionState.DRAINING: {PartitionState.CLOSED},
    PartitionState.CLOSED: set(),
}


def transition(current: PartitionState, target: PartitionState) -> PartitionState:
    """``target``, if it may follow ``current``.

    Raises:
        ValueError: it may not.
    """
    if target not in _ALLOWED[current]:
        raise ValueError(f"a partition that is {current.value} cannot become {target.value}")
    return target
