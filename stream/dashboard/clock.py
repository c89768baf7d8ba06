"""When the dashboard heard of something, by a clock that nobody sets.

The host's is set back or ahead by NTP, or as a machine resumes. By it, an annotator that has died stays live
for as long as the clock went back, and what comes meanwhile is counted before what came earlier.
"""

import time
from collections.abc import Callable


class Clock:
    """Seconds since the epoch as the host had them when this was made, and steady from then on."""

    def __init__(
        self, host: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._host = host
        self._steady = steady
        self._began = host() - steady()

    def now(self) -> float:
        return self._began + self._steady()

    @property
    def ahead_s(self) -> float:
        """How far it is ahead of the host's clock; below zero where it is behind."""
        return self.now() - self._host()
