"""What every part needs: texts, reports, turns, and rounds against the clock."""

from __future__ import annotations

import json
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

import numpy as np

MESSAGES: Final = Path(__file__).parents[2] / "training" / "messages"
BATCH: Final = 4_096
"""Texts that are tokenized, run and decided at a time; no text comes twice in a batch."""


def texts(count: int) -> list[str]:
    """The messages that lie beside the trainer, each once, shuffled, and over again up to ``count``."""
    lines = [line for file in sorted(MESSAGES.glob("*.jsonl")) for line in file.open(encoding="utf-8")]
    found = list(dict.fromkeys(json.loads(line)["text"] for line in lines))
    order = np.random.default_rng(11).permutation(len(found)).tolist()
    return list(islice(cycle([found[i] for i in order]), count))


def batches(found: list[str]) -> list[list[str]]:
    return [found[start : start + BATCH] for start in range(0, len(found), BATCH)]


def report(**values: Any) -> None:
    """One line for the parent."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def turn() -> float:
    """Say that all is loaded, and wait; the seconds that this turn may take."""
    report(ready=True)
    return float(sys.stdin.readline() or sys.exit())


@contextmanager
def kept(name: str) -> Iterator[None]:
    """A measurement that may fail on hardware nobody has tried: its traceback is a result too."""
    try:
        yield
    except Exception:
        report(**{name: {"error": traceback.format_exc()[-3_000:]}})


def rounds(run: Callable[[], object], seconds: float, synchronize: Callable[[], None]) -> list[float]:
    """Seconds of each run, as many as fit, two at least; the first, which warms up, is left out."""
    run()
    synchronize()
    end = time.perf_counter() + seconds
    taken: list[float] = []
    while len(taken) < 2 or time.perf_counter() < end:
        began = time.perf_counter()
        run()
        synchronize()
        taken.append(time.perf_counter() - began)
    return taken


def rates(count: int, taken: list[float]) -> dict[str, float]:
    """Messages a second: median and the range over rounds."""
    return {
        "messages_per_s": round(count / statistics.median(taken)),
        "slowest": round(count / max(taken)),
        "fastest": round(count / min(taken)),
        "rounds": len(taken),
    }
