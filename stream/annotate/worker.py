"""A thread of its own for work that would stop the event loop: tokenizing, inference.

A daemon thread instead of an executor: the interpreter waits for executors at exit, and a model that
hangs must not keep a stalled process alive.
"""

import asyncio
import os
import queue
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

R = TypeVar("R")

_Job = tuple[Callable[[], Any], "asyncio.Future[Any]", asyncio.AbstractEventLoop]


_workers: "weakref.WeakSet[Worker]" = weakref.WeakSet()


def leave(code: int) -> NoReturn:
    """End the process, also while a model hangs.

    An interpreter that ends unwinds its threads; one that is inside a model's native code aborts the whole
    process there, with a signal instead of the exit code. So it is not given the time.
    """
    if any(worker.busy for worker in _workers):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


class Worker:
    """Runs one call at a time, in the order they come; every caller gets a result or the error."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._busy = False
        _workers.add(self)
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def run(self, call: Callable[[], R]) -> R:
        """Result of ``call``, run in the thread; what it raises is raised here."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[R] = loop.create_future()
        self._jobs.put((call, answer, loop))
        return await answer

    @property
    def busy(self) -> bool:
        """Whether the thread is inside a call."""
        return self._busy

    def stop(self) -> None:
        """End the thread after the calls that wait. Does not wait for it."""
        self._jobs.put(None)

    def _work(self) -> None:
        while self._did_next():
            pass

    def _did_next(self) -> bool:
        """One call. While it waits, it holds nothing of the one before: not a model that was exchanged."""
        job = self._jobs.get()
        if job is None:
            return False
        call, answer, loop = job
        self._busy = True
        try:
            result, error = call(), None
        except BaseException as raised:  # the caller gets whatever it is
            result, error = None, raised
        self._busy = False
        try:
            loop.call_soon_threadsafe(_settle, answer, result, error)
        except RuntimeError:
            return False  # the loop is closed: nobody waits any more
        return True


def _settle(answer: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)
