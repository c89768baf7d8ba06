"""A command that is told to end, or whose terminal is closed, puts away what it has made: as at Ctrl-C.

By itself SIGTERM or SIGHUP ends a program on the spot. What stands on its own would stay behind then: the
programs beside a demo, temporary folders, the topics of a trial; and messages that were handed over might not
leave. Programs that run on have handlers of their own instead (``stream.stopping``).
"""

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import Final

from stream.errors import OutputError

AGAIN_S: Final = 1.0
"""A terminal that is closed says so twice, its shell too: within this time that is one wish, not two."""

_came: dict[int, float] = {}
"""The signals that were heard, the first one first, and when (``time.monotonic``)."""


def unwind_on_signals() -> None:
    """From now on SIGTERM and SIGHUP are a Ctrl-C. One that is ignored, as under nohup, stays so.

    For when there is something to put away: while modules are imported, an interrupt may be swallowed. Only
    the main thread can hear signals; a command that is called in another leaves them to its caller.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)


def end_as_told() -> None:
    """End by the signal that was heard, so that whoever sent it sees that; returns where there was none."""
    for number in _came:
        for output in filter(None, (sys.stdout, sys.stderr)):
            with suppress(OSError, OutputError):  # the terminal may have gone, or whoever read a pipe
                output.flush()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def _interrupt(number: int, _: FrameType | None) -> None:
    now = time.monotonic()
    if _came and now - max(_came.values()) < AGAIN_S:
        return
    _came[number] = now
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a script
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)
