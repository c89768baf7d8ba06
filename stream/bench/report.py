"""What was measured, as a table and as JSON. Both name the machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from stream.bench.engines import BASELINE, REFERENCES
from stream.bench.machine import instruction_sets, load_average, machine
from stream.bench.rounds import Measured

HEADINGS: Final = ("msg/s", "rounds", "CPU ms", "MB", "as fp32", "x", "x CPU")
"""The last two: how many times as fast as ``transformers.pipeline`` with batches of 32, by the clock and by
processor time."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of ``rounds`` rounds over ``texts`` texts of ``tokens`` tokens in the mean."""

    measured: Sequence[Measured]
    texts: int
    tokens: float
    rounds: int

    def __getitem__(self, key: str) -> Measured | None:
        """The engine of a key, if it was measured."""
        return next((m for m in self.measured if m.engine.key == key and m.runs), None)

    @property
    def reference(self) -> Measured | None:
        """The engine whose labels the others are held against."""
        return next((found for key in REFERENCES if (found := self[key])), None)

    def as_json(self) -> dict[str, Any]:
        """The whole report: figures of every round."""
        return {
            "machine": machine(),
            "instruction_sets": instruction_sets(),
            "load_average": load_average(),
            "messages": self.texts,
            "tokens_a_message": self.tokens,
            "rounds": self.rounds,
            "engines": [self._row(entry) for entry in self.measured],
        }

    def _row(self, entry: Measured) -> dict[str, Any]:
        named = {"key": entry.engine.key, "title": entry.engine.title}
        if not entry.runs:
            return {**named, "failure": entry.failure}
        return {
            **named,
            "messages_a_second": entry.rate,
            "all_rounds": entry.rates,
            "cpu_ms_a_message": entry.cpu_ms,
            "peak_mb": entry.peak_mb,
            "same_label_as_fp32": entry.agreement(self.reference),
            "times_the_pipeline": self._times(entry),
            "times_the_pipeline_by_cpu": self._times_by_cpu(entry),
        }

    def _times(self, entry: Measured) -> float | None:
        baseline = self[BASELINE]
        return None if baseline is None else entry.rate / baseline.rate

    def _times_by_cpu(self, entry: Measured) -> float | None:
        baseline = self[BASELINE]
        return None if baseline is None else baseline.cpu_ms / entry.cpu_ms

    def show(self, console: Console) -> None:
        """The table, what could not be measured, and the machine."""
        table = Table(
            title=f"{self.texts:,} messages of {self.tokens:.0f} tokens, {self.rounds} rounds",
            box=SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
        )
        table.add_column("engine", no_wrap=True)
        for heading in HEADINGS:
            table.add_column(heading, justify="right", no_wrap=True)
        for entry in self.measured:
            if entry.runs:
                table.add_row(*self._cells(entry))
        console.print(table)
        for entry in self.measured:
            if entry.failure is not None:
                console.print(f"not measured: {entry.engine.title}: {entry.failure}", markup=False)
        sets = ", ".join(instruction_sets()) or "instruction sets unknown"
        console.print("pipeline: transformers.pipeline, with its batch size", markup=False)
        console.print(f"{machine()}; {sets}; load {load_average():.1f}", markup=False)

    def _cells(self, entry: Measured) -> tuple[str, ...]:
        agreement, times = entry.agreement(self.reference), self._times(entry)
        by_cpu = self._times_by_cpu(entry)
        return (
            entry.engine.title,
            f"{entry.rate:,.0f}",
            f"{min(entry.rates):,.0f}–{max(entry.rates):,.0f}",
            f"{entry.cpu_ms:.1f}",
            f"{entry.peak_mb:.0f}",
            "" if agreement is None else f"{agreement:.1%}",
            "" if times is None else f"{times:.2f}",
            "" if by_cpu is None else f"{by_cpu:.2f}",
        )
