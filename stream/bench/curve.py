"""Latency against load as a table, as JSON, and as a picture. All name the machine."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table

from stream.bench.latency import Curve, Point
from stream.bench.machine import load_average, machine
from stream.errors import OutputError, SettingsError
from stream.settings import Settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PERCENTILES: Final = (50.0, 95.0, 99.0)


@dataclass(frozen=True, slots=True)
class Report:
    """A measured curve, with the settings and the kind of broker that it was measured under."""

    curve: Curve
    settings: Settings
    broker: str

    def bound_s(self, point: Point) -> float:
        """What a message may take while nothing queues: waiting for company, for the batch before its own,
        being read, waiting for the commit.
        """
        waits_ms = self.settings.max_wait_ms + self.settings.commit_interval_ms
        return waits_ms / 1000 + 2 * point.work.batch_s

    def as_json(self) -> dict[str, Any]:
        """The whole report: percentiles in milliseconds."""
        return {
            "machine": machine(),
            "load_average": load_average(),
            "broker": self.broker,
            "capacity_messages_per_s": self.curve.capacity,
            "points": [
                {
                    "load": point.load,
                    "messages_per_s": point.rate,
                    "messages": len(point.latencies_s),
                    **{f"p{percent:g}_ms": 1000 * point.percentile(percent) for percent in PERCENTILES},
                    "bound_ms": 1000 * self.bound_s(point),
                    "batch_ms": 1000 * point.work.batch_s,
                    "commit_ms": 1000 * point.work.commit_s,
                }
                for point in self.curve.points
            ],
        }

    def show(self, console: Console) -> None:
        table = Table(title="milliseconds from due to labelled", box=None, pad_edge=False)
        columns = ("load", "messages/s", "sent", *(f"p{percent:g}" for percent in PERCENTILES))
        for name in (*columns, "bound", "batch", "commit"):
            table.add_column(name, justify="right", no_wrap=True)
        for point in self.curve.points:
            work = point.work
            times = [point.percentile(percent) for percent in PERCENTILES]
            times += [self.bound_s(point), work.batch_s, work.commit_s]
            table.add_row(
                *(f"{point.load:.0%}", f"{point.rate:,.1f}", f"{len(point.latencies_s):,}"),
                *(f"{1000 * seconds:,.0f}" for seconds in times),
            )
        console.print(table)
        settings = self.settings
        console.print(f"capacity {self.curve.capacity:,.1f} messages/s", soft_wrap=True)
        console.print(
            f"bound: max_wait_ms {settings.max_wait_ms:g} + 2 batches + commit_interval_ms "
            f"{settings.commit_interval_ms:g}",
            soft_wrap=True,
        )
        console.print(
            f"{machine()}; {self.broker} on the same cores; load average {load_average():.1f}",
            markup=False,
            soft_wrap=True,
        )

    def draw(self, file: Path) -> None:
        """Write the picture, in the format of the file's suffix.

        Raises:
            SettingsError: matplotlib is not installed.
            OutputError: the file cannot be written.
        """
        figure = _figure()(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        loads = [100 * point.load for point in self.curve.points]
        for percent in PERCENTILES:
            values = [1000 * point.percentile(percent) for point in self.curve.points]
            axes.plot(loads, values, marker="o", label=f"p{percent:g}")
        axes.plot(
            loads,
            [1000 * self.bound_s(point) for point in self.curve.points],
            linestyle="--",
            color="gray",
            label="deadline + 2 batches + commit interval",
        )
        axes.set_yscale("log")
        axes.set_xlabel(f"offered load, % of {self.curve.capacity:,.0f} messages/s")
        axes.set_ylabel("milliseconds from due to labelled")
        axes.set_title(machine(), fontsize="small")
        axes.grid(visible=True, which="both", alpha=0.3)
        axes.legend()
        try:
            figure.savefig(file)
        except OSError as error:
            raise OutputError(f"{file} cannot be written ({error.strerror})") from error


def check_picture(file: Path) -> None:
    """Refuse what ``Report.draw`` could not write, before there is a report.

    Raises:
        SettingsError: there is no such format, the file cannot be written, or matplotlib is not installed.
    """
    formats = _figure()().canvas.get_supported_filetypes()
    if file.suffix.lower().removeprefix(".") not in formats:
        raise SettingsError(
            f"{file}: the name of a picture must end in one of .{', .'.join(sorted(formats))}"
        )
    try:
        there = file.exists()
        with file.open("ab"):
            pass
        if not there:
            file.unlink()
    except OSError as error:
        raise SettingsError(f"{file} cannot be written ({error.strerror}): name another file") from error


def _figure() -> type["Figure"]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SettingsError("a plot needs matplotlib: pip install 'emotion-stream[train]'") from error
    return Figure
