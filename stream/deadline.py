"""One monotonic time budget, shared by all the steps of a revoke or a shutdown."""

import time


class Deadline:
    """A point in time by which everything handed this object must be over."""

    def __init__(self, timeout_s: float) -> None:
        self._at = time.monotonic() + timeout_s

    @property
    def remaining_s(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._at - time.monotonic())
