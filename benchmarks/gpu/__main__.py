"""Runs the parts one after the other, each in a process of its own, and writes what they report as it comes.

A GPU that is met for the first time may refuse a kernel, and a fault on it spoils the whole process: so each
part has its own, loads while the others do, waits for its turn, and is stopped when its time is over. A part
that fails leaves its traceback in the file, and the rest goes on.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pkgutil
import queue
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from benchmarks.machine import machine

LOADING_S: Final = 45.0
"""What parts may take to load; several load at a time, and a cold disk is slow."""

PARTS: Final = {
    "network": "benchmarks.gpu.network:main",
    "threads": "benchmarks.gpu.bare:threads",
    "workers": "benchmarks.gpu.bare:worker",
    "profile": "benchmarks.gpu.network:profiled",
    "peer": "benchmarks.gpu.peer:main",
    "compiled": "benchmarks.gpu.network:compiled",
}
"""What a process of each part runs: it loads, says so, waits for its turn, and reports line by line."""

SHARES: Final = {
    "network": 0.36,
    "threads": 0.22,
    "workers": 0.14,
    "profile": 0.08,
    "peer": 0.14,
    "compiled": 1.0,
}
"""The order of the parts, and the most that each may take of the time that is left when all have loaded."""

ENVIRONMENT: Final = {
    "PYTHONUNBUFFERED": "1",
    "PYTHONFAULTHANDLER": "1",
    "TOKENIZERS_PARALLELISM": "false",  # tokenizing has threads of the benchmark
}

LATE_S: Final = 20.0
"""What a part may still take to load when its turn comes."""

LAST_LINES: Final = 4_000
"""Characters of a failed process's standard error that are kept."""


@dataclass
class Process:
    """A part in a process of its own, which reports JSON lines on its standard output."""

    part: str
    popen: subprocess.Popen[str]
    errors: IO[str]
    lines: queue.Queue[dict[str, Any] | None] = field(default_factory=queue.Queue)
    ready: bool = False

    @classmethod
    def start(cls, part: str, arguments: argparse.Namespace) -> Process:
        errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - read after the process
        command = [sys.executable, "-m", "benchmarks.gpu", "--part", part, "--device", arguments.device]
        popen = subprocess.Popen(
            [*command, "--texts", str(arguments.texts), "--round", str(arguments.round)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | ENVIRONMENT,
        )
        process = cls(part, popen, errors)
        threading.Thread(target=process._read, daemon=True).start()
        return process

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            with contextlib.suppress(json.JSONDecodeError):  # a library that prints
                if isinstance(values := json.loads(line), dict):
                    self.lines.put(values)
        self.lines.put(None)

    def next(self, deadline: float) -> dict[str, Any] | None:
        """The next report; None when the process has ended, or raises ``queue.Empty`` at the deadline."""
        line = self.lines.get(timeout=max(0.01, deadline - time.monotonic()))
        if line is None:
            self.lines.put(None)  # it stays ended
        return line

    def wait(self, deadline: float) -> bool:
        """Whether it says by then that it has loaded."""
        with contextlib.suppress(queue.Empty):
            self.ready = self.ready or bool((self.next(deadline) or {}).get("ready"))
        return self.ready

    def go(self, seconds: float) -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.write(f"{seconds}\n")
        self.popen.stdin.flush()

    def stop(self) -> str:
        """End it; what it wrote to standard error: where it was, if it was still at work."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGABRT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(3)
            self.popen.kill()
        self.popen.wait()
        self.errors.seek(0)
        return self.errors.read()[-LAST_LINES:]


class Report:
    """What is known so far, on disk after every line."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._began = time.monotonic()
        self.content: dict[str, Any] = {"machine": machine(), "command": " ".join(sys.argv), "failed": {}}

    def add(self, part: str, line: dict[str, Any]) -> None:
        self.content.setdefault(part, {}).update(line)
        self.content["seconds"] = round(time.monotonic() - self._began, 1)
        written = self._file.with_suffix(".part")
        written.write_text(json.dumps(self.content, indent=1), encoding="utf-8")
        written.replace(self._file)
        print(f"{self.content['seconds']:6.1f} s  {part}: {json.dumps(line)[:600]}", flush=True)

    def fail(self, part: str, why: str) -> None:
        self.add("failed", {part: why})


def run(process: Process, report: Report, seconds: float, end: float) -> None:
    """Let a part measure for ``seconds``, and take what it reports."""
    if not process.wait(min(end, time.monotonic() + LATE_S)):
        report.fail(process.part, f"did not load\n{process.stop()}")
        return
    deadline = min(end + 3, time.monotonic() + seconds * 1.3 + 2)
    try:
        process.go(seconds)
        while (line := process.next(deadline)) is not None:
            report.add(process.part, line)
        if process.popen.wait():
            report.fail(process.part, process.stop())
    except (queue.Empty, OSError) as error:
        report.fail(process.part, f"stopped: {error!r}\n{process.stop()}")


def run_workers(processes: list[Process], report: Report, seconds: float) -> None:
    """Many processes, then fewer, each with its own classifier on the same GPU."""
    ready = [process for process in processes if process.wait(time.monotonic() + 1)]
    for process in processes:
        if not process.ready:
            report.fail(f"worker {process.popen.pid}", process.stop())
    counts = [count for count in (8, 4, 2, 1) if count <= len(ready)]
    each = seconds / (len(counts) or 1)
    for count in counts:
        try:
            for process in ready[:count]:
                process.go(each)
            lines = [process.next(time.monotonic() + each * 2 + 5) for process in ready[:count]]
            # They are ready for the next turn.
            again = [process.next(time.monotonic() + 5) for process in ready[:count]]
        except (queue.Empty, OSError) as error:
            report.fail(f"workers {count}", repr(error) + ready[0].stop())
            return
        rates = [line["messages_per_s"] for line in lines if line and "messages_per_s" in line]
        found = {"messages_per_s": round(sum(rates)), "processes": len(rates), "left": sum(map(bool, again))}
        report.add("workers", {str(count): found})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=100.0)
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--device", default="cuda", help="cpu tries the script itself")
    parser.add_argument("--texts", type=int, default=40_000, help="texts in a round")
    parser.add_argument("--round", type=float, default=1.0, help="seconds of one measurement")
    parser.add_argument("--workers", type=int, default=8, help="processes side by side on the GPU")
    parser.add_argument("--parts", default=",".join(SHARES), help="the parts to run, by commas")
    parser.add_argument("--part", choices=[*PARTS], help="what a child process runs")
    arguments = parser.parse_args()
    if arguments.part:
        pkgutil.resolve_name(PARTS[arguments.part])(arguments)
        return
    began = time.monotonic()
    end = began + arguments.seconds
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    report = Report(arguments.out)
    wanted = {part: share for part, share in SHARES.items() if part in arguments.parts.split(",")}
    parts = {part: Process.start(part, arguments) for part in wanted if part != "workers"}
    count = arguments.workers if "workers" in wanted else 0
    workers = [Process.start("workers", arguments) for _ in range(count)]
    for process in [*parts.values(), *workers]:
        process.wait(min(end, began + LOADING_S))
    whole = end - time.monotonic()
    report.add("loading", {"seconds": round(arguments.seconds - whole, 1)})
    for part, share in wanted.items():
        seconds = min(end - time.monotonic(), share / min(1.0, sum(wanted.values())) * whole)
        if seconds < 1:
            report.fail(part, "no time left")
        elif part == "workers":
            run_workers(workers, report, seconds)
        else:
            run(parts[part], report, seconds, end)
    for process in [*parts.values(), *workers]:
        process.popen.kill()
    print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
