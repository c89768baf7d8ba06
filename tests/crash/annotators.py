"""Annotators and monitors as processes of their own, since only a process can be killed."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import SecretStr

from stream.settings import Settings
from tests.brokers import Broker

ROOT = Path(__file__).parents[2]
TAKEN_OVER = "partition taken over"


class Program:
    """One program of ours, with settings from its environment; its log lines can be asked for."""

    arguments: ClassVar[tuple[str, ...]]

    def __init__(self, settings: Settings, broker: Broker, log_file: Path) -> None:
        self._settings = settings
        self._broker = broker
        self._log_file = log_file
        with log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=log_file.parent,
                env=_environment(settings),
            )

    @property
    def group_id(self) -> str:
        """The consumer group that it is a member of."""
        return self._settings.group_id

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def log(self) -> list[dict[str, Any]]:
        """Its log so far; a line that is no JSON (a trace) counts as an event of level ``raw``."""
        return [_parsed(line) for line in self._log_file.read_text(errors="replace").splitlines()]

    def says(self, text: str) -> bool:
        """Whether a log line contains the text."""
        return any(text in str(line.get("event")) for line in self.log())

    def wait_until_it_says(self, text: str, timeout_s: float = 60.0) -> Self:
        """Wait for a log line that contains the text.

        Raises:
            AssertionError: it ended or took too long; with the end of its log.
        """
        wait_until(lambda: self.says(text) or not self.running, timeout_s, f"a program to say {text!r}")
        assert self.says(text), f"it ended before it said {text!r}:\n{self.tail()}"
        return self

    def kill(self) -> None:
        """SIGKILL: it gets to do nothing more."""
        self.process.kill()
        self.process.wait()
        self._broker.member_died(self.group_id, self._settings.client_id)

    def pause(self) -> None:
        """SIGSTOP, for longer than its session lasts."""
        self.process.send_signal(signal.SIGSTOP)
        self._broker.member_died(self.group_id, self._settings.client_id)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def terminate(self, timeout_s: float = 60.0) -> int:
        """SIGTERM; returns its exit code."""
        self.process.terminate()
        return self.wait(timeout_s)

    def wait(self, timeout_s: float) -> int:
        """Wait until it ends by itself; returns its exit code."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end:\n{self.tail()}") from None

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self._log_file.read_text(errors="replace").splitlines()[-lines:])


class AnnotatorProcess(Program):
    arguments = ("stream.annotate",)


class MonitorProcess(Program):
    arguments = ("stream.cli", "monitor")

    @property
    def group_id(self) -> str:
        return self._settings.monitor_group_id


class Annotators:
    """Starts annotators, and kills at the end those that still run."""

    def __init__(self, settings: Settings, broker: Broker, folder: Path) -> None:
        self.started: list[AnnotatorProcess] = []
        self.settings = settings
        self._broker = broker
        self._folder = folder

    def start(self, **overrides: Any) -> AnnotatorProcess:
        name = f"annotator-{len(self.started) + 1}"
        settings = self.settings.model_copy(update={"client_id": name, **overrides})
        annotator = AnnotatorProcess(settings, self._broker, self._folder / f"{name}.log")
        self.started.append(annotator)
        return annotator

    def drain(self, timeout_s: float = 90.0) -> None:
        """Run one annotator until all that is in the input topic now has its outcome."""
        annotator = self.start(drain=True)
        code = annotator.wait(timeout_s)
        assert code == 0, f"exit code {code}:\n{annotator.tail()}"

    @property
    def running(self) -> list[AnnotatorProcess]:
        return [annotator for annotator in self.started if annotator.running]

    def kill_all(self) -> None:
        for annotator in self.running:
            annotator.kill()


@contextlib.contextmanager
def annotators_of(settings: Settings, broker: Broker, folder: Path) -> Iterator[Annotators]:
    annotators = Annotators(settings, broker, folder)
    try:
        yield annotators
    finally:
        annotators.kill_all()
        for number, annotator in enumerate(annotators.started, 1):  # pytest shows it with a failure
            print(f"--- the end of the log of annotator {number}:\n{annotator.tail(12)}")  # noqa: T201


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Poll the condition.

    Raises:
        AssertionError: it took longer than ``timeout_s``.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s for {what}"
        time.sleep(0.02)


def _environment(settings: Settings) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EMOTION_")}
    given = settings.model_dump(exclude_unset=True, exclude_none=True)
    ours = {f"EMOTION_{name.upper()}": _as_text(value) for name, value in given.items()}
    return kept | ours | {"PYTHONPATH": str(ROOT)}


def _as_text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value).lower() if isinstance(value, bool) else str(value)


def _parsed(line: str) -> dict[str, Any]:
    with contextlib.suppress(json.JSONDecodeError):
        parsed = json.loads(line)
        if isinstance(parsed, dict):
            return parsed
    return {"event": line, "level": "raw"}
