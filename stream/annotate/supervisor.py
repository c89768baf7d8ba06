"""Several annotators of one consumer group as processes, started and watched by one parent.

    emotion-stream annotate --workers 4
    emotion-stream annotate --devices cuda:0,cuda:1

    parent ─► worker 0 … N-1     SIGTERM, SIGINT: all drain, then the parent ends
       ▲          │              SIGHUP: all load their model anew (``stream.annotate.models``)
       └── ends ──┘              started again with growing pauses, unless it would only end again

A worker is the same command with its share of the machine. It ends with its parent, also where that was
killed: its standard input is a pipe that only the parent holds open. What the parent writes into it asks for
the model to be loaded anew: a worker that is just being started hears that once it can, where a signal would
end it.
"""

import asyncio
import contextlib
import os
import secrets
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog

from stream.annotate.shares import Share
from stream.deadline import Deadline
from stream.errors import RecordError, SettingsError, StreamError, TopicError
from stream.lastresort import stop_limit_s
from stream.reloading import on_reload
from stream.settings import Settings
from stream.sources import variable_name
from stream.stopping import on_stop

_log = structlog.get_logger(__name__)

FINAL: Final = frozenset({SettingsError.exit_code, TopicError.exit_code, RecordError.exit_code})
"""Exit codes that a start over would only end with again: a person has to do something."""

_FAILED: Final = frozenset({StreamError.exit_code, 6})
"""Refused, or a model that fails: may pass (a device that is busy), but not for long."""

_PAUSES_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
_SETTLED_S: Final = 60.0
"""A worker that lived longer than this had come up: the next pause is the shortest again."""

_KILL_AFTER_S: Final = 5.0
"""Beyond the time after which a worker ends itself, come what may."""


class WorkerProcess:
    """One worker, through all its lives. ``exit_code`` is the last life's; None while it runs or pauses."""

    def __init__(self, share: Share, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.share = share
        self.exit_code: int | None = None
        self.restarts = 0
        self._command = [*command, *share.flags()]
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None
        self._is_to_reload = False

    async def live(self, stopping: asyncio.Event) -> None:
        """Run, and run again after a failure that may pass, until it ends for good."""
        failures = 0
        while not stopping.is_set():
            began = time.monotonic()
            code = await self._run_once(stopping)
            failures = 1 if time.monotonic() - began > _SETTLED_S else failures + 1
            if stopping.is_set() or code == 0 or code in FINAL or self._is_hopeless(code, failures):
                self.exit_code = code
                self._say_ended(code, stopping)
                return
            pause_s = _PAUSES_S[min(failures, len(_PAUSES_S)) - 1]
            _log.warning(
                "worker ended and is started again",
                worker=self.share.index, ended=_ending(code), restarts=self.restarts, pause_s=pause_s,
            )  # fmt: skip
            self.restarts += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), pause_s)
        self.exit_code = 0  # it was pausing, and had nothing to finish

    def signal(self, signum: signal.Signals) -> None:
        """Pass a signal on, if it runs."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signum)

    def reload(self) -> None:
        """Have it load its model anew: now if it runs, and if it is being started, once it does."""
        process = self._process
        if process is None or process.returncode is not None:
            self._is_to_reload = True
            return
        assert process.stdin is not None
        process.stdin.write(b"reload\n")

    async def _run_once(self, stopping: asyncio.Event) -> int:
        self._is_to_reload = False
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            env=dict(self._environment),
            start_new_session=True,  # Ctrl-C reaches the parent alone, which stops all of them in order
        )
        share = self.share
        _log.info(
            "worker started",
            worker=share.index,
            pid=self._process.pid,
            device=share.device,
            threads=share.threads,
            http_port=share.http_port,
        )
        # What was asked for while it was being started:
        if stopping.is_set():
            self.signal(signal.SIGTERM)
        if self._is_to_reload:
            self.reload()
        return await self._process.wait()

    def _is_hopeless(self, code: int, failures: int) -> bool:
        return code in _FAILED and failures > len(_PAUSES_S)

    def _say_ended(self, code: int, stopping: asyncio.Event) -> None:
        if code == 0 or stopping.is_set():
            _log.info("worker ended", worker=self.share.index, ended=_ending(code))
        else:
            _log.error("worker ended for good: all are stopped", worker=self.share.index, ended=_ending(code))


class Supervisor:
    """The parent. ``command`` starts a worker when the options of its share are added."""

    def __init__(self, settings: Settings, shares: Sequence[Share], command: Sequence[str]) -> None:
        environment = _environment(settings)
        self.workers = [WorkerProcess(share, command, environment) for share in shares]
        self._codes: list[int] = []
        self._drain_s = stop_limit_s(settings.revoke_timeout_s) + _KILL_AFTER_S
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Let all workers finish what is in flight and end."""
        self._stopping.set()

    def reload(self) -> None:
        """Let all workers load their model anew."""
        for worker in self.workers:
            worker.reload()

    async def run(self) -> int:
        """Until all have ended; the exit code: that of the first worker that failed, in the order of time.

        A worker that was told to end before it could listen is killed by that signal, and has not failed.
        """
        lives = [asyncio.create_task(self._live(worker), name="worker") for worker in self.workers]
        stopping = asyncio.create_task(self._stopping.wait(), name="stopping")
        ended = asyncio.gather(*lives)
        first: set[asyncio.Future[Any]] = {stopping, ended}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        await self._stop_all(lives)
        await ended
        return next((_as_exit_code(code) for code in self._codes if code not in (0, -signal.SIGTERM)), 0)

    async def _live(self, worker: WorkerProcess) -> None:
        await worker.live(self._stopping)
        self._codes.append(worker.exit_code or 0)
        if worker.exit_code:
            self.stop()

    async def _stop_all(self, lives: Sequence["asyncio.Task[None]"]) -> None:
        if all(life.done() for life in lives):
            return
        for worker in self.workers:
            worker.signal(signal.SIGTERM)
        deadline = Deadline(self._drain_s)
        await asyncio.wait(lives, timeout=deadline.remaining_s)
        for worker, life in zip(self.workers, lives, strict=True):
            if not life.done():
                _log.error("worker does not end, so it is killed", worker=worker.share.index)
                worker.signal(signal.SIGKILL)
        await asyncio.wait(lives)


async def supervise(settings: Settings, shares: Sequence[Share], command: Sequence[str]) -> int:
    """The parent as a process: until all workers have ended; returns the exit code."""
    supervisor = Supervisor(settings, shares, command)
    on_stop(supervisor.stop)
    on_reload(supervisor.reload)
    return await supervisor.run()


def worker_command(flags: Sequence[str]) -> list[str]:
    """The command of a worker, with these of its parent's options."""
    return [sys.executable, "-m", "stream.annotate", *flags]


def _environment(settings: Settings) -> dict[str, str]:
    """The parent's own; and where no key was given one for all, so that an author has one pseudonym."""
    if settings.author_key is not None:
        return dict(os.environ)
    return os.environ | {variable_name("author_key"): secrets.token_hex(32)}


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"


def _as_exit_code(code: int) -> int:
    """As a shell gives it: 128 and the number of the signal that killed it."""
    return code if code >= 0 else 128 - code
