"""The start of a program that runs on: it waits for brokers, or a registry, that are not there yet.

Machines and pods start in any order. While nothing answers, the log and ``/readyz`` say so; ``/healthz`` is
ok, since a restart would not help. After ``start_timeout_s`` the process ends with exit code 3, so that its
supervisor sees that the outage lasts. A login or certificate that is refused is not waited for.

One broker that answers is not all of them: the next question may go to one that has just died. So whatever a
program asks at its start goes through here.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from stream.errors import BrokerError
from stream.outages import passes
from stream.settings import Settings

if TYPE_CHECKING:
    from stream.waiting import Waiting

PAUSES_S: Final = (0.5, 1.0, 2.0, 5.0)

Answer = TypeVar("Answer")

_log = structlog.get_logger(__name__)


async def answered(
    settings: Settings,
    stopped: asyncio.Event,
    ask: Callable[[], Awaitable[Answer]],
    whom: str = "a broker",
) -> Answer | None:
    """What the brokers say to ``ask``, asked again while they are away; None where we were stopped meanwhile.

    ``whom`` is waited for: where it is not a broker, it raises a ``BrokerError`` of its own while it is away.

    Raises:
        SettingsError: no cluster is named, or a setting is wrong.
        BrokerError: the brokers did not answer for ``start_timeout_s``, or they refused the login.
        TopicError: whatever ``ask`` finds wrong.
    """
    deadline = time.monotonic() + settings.start_timeout_s
    async with AsyncExitStack() as stack:
        waiting: Waiting | None = None
        for attempt in range(10**9):
            try:
                return await ask()
            except BrokerError as error:
                pause_s = PAUSES_S[min(attempt, len(PAUSES_S) - 1)]
                if not passes(error) or time.monotonic() + pause_s > deadline:
                    raise
                _log.warning(f"waiting for {whom} (start_timeout_s)", reason=str(error), pause_s=pause_s)
                if settings.http_port is not None:
                    # A web server's libraries take a third of a second, which a start without one is spared.
                    from stream.waiting import waiting_served

                    if waiting is None:
                        waiting = await stack.enter_async_context(waiting_served(settings))
                    waiting.reason = str(error)
            try:
                await asyncio.wait_for(stopped.wait(), pause_s)
                return None
            except TimeoutError:
                continue
    return None


async def unless_stopped(stopped: asyncio.Event, work: Awaitable[Answer]) -> Answer | None:
    """What ``work`` gives; None where we are stopped before. Then it is cancelled."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stopped.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)
