"""Figures of a benchmark as small SVG files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any


def draw_engines(figures: dict[str, Any], file: Path) -> None:
    """Processor time a message on each engine, cheapest at the top."""
    rows = sorted((row for row in figures["engines"] if "failure" not in row), key=_cost, reverse=True)

    def draw(axes: Any) -> None:
        ours = ["tab:orange" if row["title"].startswith("emotion-stream") else "tab:blue" for row in rows]
        bars = axes.barh([row["title"] for row in rows], [_cost(row) for row in rows], color=ours)
        axes.bar_label(bars, fmt="%.1f", padding=3)
        axes.set(xlabel="ms of a core a message", title=_machine(figures))
        axes.margins(x=0.12)

    _write(file, draw)


def draw_growth(figures: dict[str, Any], file: Path) -> None:
    """Processor time by tokens of the message, beside a line of constant cost a token."""
    points = figures["growth"]
    tokens, costs = [point["tokens"] for point in points], [point["cpu_ms"] for point in points]

    def draw(axes: Any) -> None:
        axes.plot(tokens, costs, marker="o", label="measured")
        axes.plot(tokens, [costs[2] / tokens[2] * t for t in tokens], "--", color="grey", label="by token")
        axes.set(xscale="log", yscale="log", xlabel="tokens of the message", ylabel="ms of a core a message")
        axes.set_xticks(tokens, [str(t) for t in tokens])
        axes.set_title(_machine(figures))
        axes.minorticks_off()
        axes.legend()

    _write(file, draw)


def _cost(row: dict[str, Any]) -> float:
    cost: float = row["cpu_ms_a_message"]
    return cost


def _machine(figures: dict[str, Any]) -> str:
    return f"{figures['machine'].partition(', Python')[0]}, {', '.join(figures['instruction_sets'])}"


def _write(file: Path, draw: Callable[[Any], None]) -> None:
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # Text as text keeps the file small; without a date and with fixed ids, equal figures give equal files.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "emotion-stream"}):
        figure = Figure(figsize=(7, 4.5), layout="constrained")
        draw(figure.subplots())
        figure.canvas = FigureCanvasSVG(figure)
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, format="svg", metadata={"Date": None})
