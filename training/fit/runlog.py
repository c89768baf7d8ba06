"""The learning curve of a run: ``log.csv``, a row an epoch, and what early stopping decides by."""

import csv
from pathlib import Path
from typing import Any

from training.runs import LOG_FILE


class RunLog:
    """Scores after each epoch. The score a run is judged by is the mean of all accuracies and macro-F1s."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / LOG_FILE
        self.history: list[dict[str, float]] = []

    def add(
        self,
        epoch: int,
        loss: float,
        learning_rate: float,
        scores: dict[str, dict[str, float]],
        seconds: float,
    ) -> bool:
        """Append one epoch and write the file; whether it is the best so far."""
        judged = [values[metric] for values in scores.values() for metric in ("accuracy", "macro_f1")]
        flat = {
            f"{name}_{metric}": value for name, values in scores.items() for metric, value in values.items()
        }
        best_before = self.best_score
        score = sum(judged) / len(judged)
        self.history.append(
            {"epoch": epoch, "seconds": round(seconds, 1), "loss": loss, "learning_rate": learning_rate}
            | {"score": score}
            | flat
        )
        self._write()
        return score > best_before

    @property
    def best_score(self) -> float:
        """The best score so far; minus infinity before the first epoch."""
        return max((entry["score"] for entry in self.history), default=float("-inf"))

    @property
    def best_epoch(self) -> int:
        """The epoch of the best score, from 1."""
        return int(max(self.history, key=lambda entry: entry["score"])["epoch"])

    @property
    def epochs_since_best(self) -> int:
        """Epochs that have passed without a better score."""
        return int(self.history[-1]["epoch"]) - self.best_epoch

    @property
    def seconds(self) -> float:
        """How long training and validation have taken."""
        return self.history[-1]["seconds"] if self.history else 0.0

    def state(self) -> list[dict[str, Any]]:
        """What a checkpoint keeps."""
        return self.history

    def restore(self, history: list[dict[str, Any]]) -> None:
        """Go on from a checkpoint."""
        self.history = history
        self._write()

    def _write(self) -> None:
        with self._file.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(self.history[0]))
            writer.writeheader()
            writer.writerows(self.history)
