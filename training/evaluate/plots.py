"""The plots of an evaluation, as PNG bytes."""

import io
from collections.abc import Callable
from typing import Any

from model.labels import EMOTIONS
from training.evaluate.benchmark import Benchmark
from training.evaluate.scores import Evaluation
from training.metrics import Reliability


def plots(evaluation: Evaluation) -> dict[str, bytes]:
    """PNG images by name: confusion, reliability, abstention, and the learning curve where a log exists."""
    drawn = {
        "confusion": _drawn(lambda axes: _confusion(axes, evaluation.benchmark)),
        "reliability": _drawn(lambda axes: _reliability(axes, evaluation.benchmark)),
        "abstention": _drawn(lambda axes: _abstention(axes, evaluation.benchmark)),
    }
    if evaluation.history:
        drawn["learning"] = _drawn(lambda axes: _learning(axes, evaluation.history))
    return drawn


def _drawn(draw: Callable[[Any], None]) -> bytes:
    """What ``draw`` puts on a pair of axes; needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4.5), layout="constrained")
    draw(figure.subplots())
    image = io.BytesIO()
    figure.canvas = FigureCanvasAgg(figure)
    figure.savefig(image, format="png")
    return image.getvalue()


def _confusion(axes: Any, benchmark: Benchmark) -> None:
    shares = [[cell / max(sum(row), 1) for cell in row] for row in benchmark.confusion]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for i, row in enumerate(benchmark.confusion):
        for j, cell in enumerate(row):
            axes.text(j, i, cell, ha="center", va="center", color="white" if shares[i][j] > 0.5 else "black")
    axes.set(xticks=range(len(EMOTIONS)), yticks=range(len(EMOTIONS)), xlabel="model", ylabel="label")
    axes.set_xticklabels(EMOTIONS, rotation=30)
    axes.set_yticklabels(EMOTIONS)


def _reliability(axes: Any, benchmark: Benchmark) -> None:
    def curve(measured: Reliability, name: str) -> None:
        axes.plot(measured.confidence, measured.accuracy, marker="o", label=f"{name}, ECE {measured.ece:.3f}")

    axes.plot([0, 1], [0, 1], color="grey", linestyle="--")
    curve(benchmark.before, "before temperature scaling")
    curve(benchmark.after, "after, own temperature")
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    axes.legend()


def _abstention(axes: Any, benchmark: Benchmark) -> None:
    thresholds = [point["threshold"] for point in benchmark.abstention]
    for name in ("precision", "recall", "f1", "coverage"):
        axes.plot(thresholds, [point[name] for point in benchmark.abstention], label=name)
    axes.set(xlabel="abstain below this confidence", ylabel="score", ylim=(0, 1.02))
    axes.legend()


def _learning(axes: Any, history: list[dict[str, float]]) -> None:
    epochs = [entry["epoch"] for entry in history]
    axes.plot(epochs, [entry["loss"] for entry in history], color="grey", label="training loss")
    axes.set(xlabel="epoch", ylabel="loss", xticks=epochs)
    scores = axes.twinx()
    for name in history[0]:
        if name.endswith(("_accuracy", "_macro_f1")):
            scores.plot(epochs, [entry[name] for entry in history], marker="o", label=name.replace("_", " "))
    scores.set(ylabel="validation score")
    scores.legend(loc="center right")
