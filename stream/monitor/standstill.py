"""Which partition stands still while records wait: only committed progress counts. Pure: time comes in.

A partition that we lose and get again has not moved by that, so its time adds up over all the times that it
was ours.
"""

from collections.abc import Iterable
from dataclasses import dataclass

Partition = tuple[str, int]
"""(topic, number)"""

NEVER = -1
"""Committed offset of a partition that has not been taken over yet."""


@dataclass(slots=True)
class _Place:
    committed: int
    still_s: float = 0.0
    waits: bool = False


class Standstill:
    """How long each partition has stood still, over all the times that it was ours."""

    def __init__(self) -> None:
        self._places: dict[Partition, _Place] = {}
        self._looked_at: float | None = None

    def look(self, ours: Iterable[tuple[Partition, int, bool]], now: float) -> None:
        """Look at what is ours now: partition, committed offset, whether any of its records wait."""
        passed_s = 0.0 if self._looked_at is None else now - self._looked_at
        self._looked_at = now
        for tp, committed, waits in ours:
            place = self._places.get(tp)
            moved = place is None or (committed != NEVER and committed != place.committed)
            if place is None or moved or not waits:
                before = NEVER if place is None else place.committed
                self._places[tp] = _Place(before if committed == NEVER else committed, waits=waits)
            elif place.waits:
                place.still_s += passed_s
            self._places[tp].waits = waits

    def longest(self) -> tuple[Partition, float]:
        """The partition that has stood still for longest, and the seconds."""
        still = [(place.still_s, tp) for tp, place in self._places.items()]
        seconds, tp = max(still, default=(0.0, ("", -1)))
        return tp, seconds
