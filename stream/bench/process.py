"""An engine in a process of its own, so that its memory and processor time are its own.

A line of JSON in, a list of texts; a line of JSON out, their labels and what they cost. The first list warms
the engine up. What libraries print goes to stderr.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Labeller = Callable[[Sequence[str]], list[str]]
"""Texts to the label that the model gives most, in order."""


def serve(load: Callable[[], Labeller]) -> None:
    """Load an engine and answer until stdin ends. An engine that cannot be loaded answers why, once."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def answer(**fields: Any) -> None:
        answers.write(json.dumps(fields).encode() + b"\n")
        answers.flush()

    try:
        label = load()
    except Exception as error:  # whatever an engine's libraries raise, it is why the engine has no figures
        answer(failure=(str(error).strip().splitlines() or [type(error).__name__])[0])
        return
    for line in sys.stdin.buffer:
        texts = json.loads(line)
        wall, cpu = time.perf_counter(), time.process_time()
        labels = label(texts)
        answer(
            seconds=time.perf_counter() - wall,
            cpu_seconds=time.process_time() - cpu,
            peak_mb=peak_mb(),
            labels=labels,
        )


def peak_mb() -> float:
    """The most memory that was resident since the start of this process."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count what the parent had, too
        lines = status.read_text(encoding="ascii", errors="replace").splitlines()
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / 1024
