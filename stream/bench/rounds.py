"""Engines in turn, round by round, on the same texts.

In turn, so that a machine that grows slower or busier does so for all of them; medians, so that one
disturbed round does not decide.
"""

import json
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import IO, Any, Final

WARM_UP_TEXTS: Final = 8
SETTLE_S: Final = 0.5
"""Before each pass: the threads of the engine before go on spinning (OpenMP's by default for 200 ms)."""


@dataclass(frozen=True, slots=True)
class Engine:
    """What is measured: ``command`` starts a process that ``stream.bench.process`` describes.

    ``same_weights``: its labels can be held against the reference's.
    """

    key: str
    title: str
    command: tuple[str, ...]
    same_weights: bool = True


@dataclass(frozen=True, slots=True)
class Run:
    """One pass over the texts."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    labels: list[str]


@dataclass(slots=True)
class Measured:
    """An engine's passes over ``texts`` texts, or why there are none."""

    engine: Engine
    texts: int
    runs: list[Run] = field(default_factory=list)
    failure: str | None = None

    @property
    def rates(self) -> list[float]:
        """Messages a second of each round."""
        return [self.texts / run.seconds for run in self.runs]

    @property
    def rate(self) -> float:
        """Messages a second, the median of the rounds."""
        return statistics.median(self.rates)

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of processor time a message, the median of the rounds."""
        return statistics.median(run.cpu_seconds for run in self.runs) / self.texts * 1e3

    @property
    def peak_mb(self) -> float:
        return max(run.peak_mb for run in self.runs)

    def agreement(self, reference: "Measured | None") -> float | None:
        """The share of texts that get the reference's label; None where there is nothing to compare."""
        if reference is None or not reference.runs or not self.runs or not self.engine.same_weights:
            return None
        pairs = zip(self.runs[0].labels, reference.runs[0].labels, strict=True)
        return sum(ours == theirs for ours, theirs in pairs) / self.texts


class EngineError(Exception):
    """An engine could not be loaded, or its process ended."""


def measure(
    engines: Sequence[Engine],
    texts: Sequence[str],
    rounds: int,
    *,
    tell: Callable[[str], None] = lambda _: None,
) -> list[Measured]:
    """Every engine on every text, ``rounds`` times in turn; ``tell`` hears what is going on.

    An engine that fails is left out of the rounds that follow, and says why in ``failure``.
    """
    measured = [Measured(engine, len(texts)) for engine in engines]
    with ExitStack() as started:
        processes = {}
        for entry in measured:
            tell(f"loading {entry.engine.title}")
            try:
                processes[entry.engine.key] = started.enter_context(process_of(entry.engine))
            except OSError as error:
                entry.failure = f"{entry.engine.command[0]} cannot be started ({error.strerror})"
                continue
            _attempt(entry, processes[entry.engine.key], texts[:WARM_UP_TEXTS])
            entry.runs.clear()
        for number in range(rounds):
            for entry in measured:
                if entry.failure is None:
                    tell(f"round {number + 1} of {rounds}: {entry.engine.title}")
                    time.sleep(SETTLE_S)
                    _attempt(entry, processes[entry.engine.key], texts)
    return measured


def _attempt(entry: Measured, process: "EngineProcess", texts: Sequence[str]) -> None:
    try:
        entry.runs.append(process.label(texts))
    except EngineError as error:
        entry.failure = str(error)
        entry.runs.clear()


class EngineProcess:
    """A started engine; one request at a time."""

    def __init__(self, requests: IO[bytes], answers: IO[bytes]) -> None:
        self._requests = requests
        self._answers = answers

    def label(self, texts: Sequence[str]) -> Run:
        """Raises ``EngineError`` with one line."""
        try:
            self._requests.write(json.dumps(list(texts)).encode() + b"\n")
            self._requests.flush()
        except BrokenPipeError:
            pass  # it said why before it ended
        line = self._answers.readline()
        if not line:
            raise EngineError("its process ended by itself")
        answer: dict[str, Any] = json.loads(line)
        if "failure" in answer:
            raise EngineError(answer["failure"])
        return Run(**answer)


@contextmanager
def process_of(engine: Engine) -> Iterator[EngineProcess]:
    """The engine's process, ended when the block is left."""
    process = subprocess.Popen(
        engine.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield EngineProcess(process.stdin, process.stdout)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stdin.close()
