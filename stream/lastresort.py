"""The last resort of a process that was told to end: it is ended, if it has not by itself.

Clients of Kafka may hang when they are stopped and their broker is gone, or swallow the cancellation that
should have ended them. Each wait on them is bounded where it is made; this bounds them all together, in a
thread of its own, so that what hangs may be the event loop, or the interpreter that waits for a thread.
"""

import os
import threading
from collections.abc import Callable
from typing import Final

import structlog

from stream.errors import StreamError

BEYOND_S: Final = 10.0

_log = structlog.get_logger(__name__)


def stop_limit_s(revoke_timeout_s: float) -> float:
    """Seconds in which a program that was told to end has done so, unless it hangs.

    It gives its partitions up and leaves the group, in ``revoke_timeout_s`` each, and closes all the rest.
    """
    return 2 * revoke_timeout_s + BEYOND_S


def exit_code_of(error: BaseException | None) -> int:
    """What a process ends with that hung in its end: the code of what ended it, else that of a failure."""
    return error.exit_code if isinstance(error, StreamError) else StreamError.exit_code


class LastResort:
    """Ends this process ``limit_s`` after ``begin``, with ``end``."""

    def __init__(self, limit_s: float, end: Callable[[int], object] = os._exit) -> None:
        self._limit_s = limit_s
        self._end = end
        self._because: BaseException | None = None
        self._timer: threading.Timer | None = None

    def begin(self, because: BaseException | None = None) -> None:
        """The end begins: the first call counts for its time, the first error for the exit code."""
        self._because = self._because or because
        if self._timer is None:
            self._timer = threading.Timer(self._limit_s, self._end_now)
            self._timer.daemon = True
            self._timer.start()

    def _end_now(self) -> None:
        exit_code = exit_code_of(self._because)
        _log.error("it does not end by itself; it is ended", exit_code=exit_code, after_s=self._limit_s)
        self._end(exit_code)
