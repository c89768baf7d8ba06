"""How a program that runs on is told to load its model anew: SIGHUP, which waits until there is one."""

import asyncio
import signal
from collections.abc import Callable

_ASKED = {signal.SIGHUP}


def hold_reload() -> None:
    """From now on SIGHUP waits; it would end a program that does not hear it yet."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _ASKED)


def on_reload(reload: Callable[[], object]) -> None:
    """Have the running loop call ``reload`` at SIGHUP, also at one that has waited."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKED)
