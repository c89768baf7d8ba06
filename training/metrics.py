"""What is measured: accuracy, F1, ROC-AUC, calibration error, and bootstrap intervals.

Probabilities have shape (N, K) and labels shape (N,), as indices of the columns.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from model.labels import EMOTIONS

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.integer[Any]]

BINS: Final = 15


def softmax(logits: Floats, temperature: float | Floats = 1.0) -> Floats:
    """Rows of probabilities, shape (N, K); ``temperature`` is one number, or one a row, shape (N, 1)."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    np.exp(scaled, out=scaled)
    probabilities: Floats = scaled / scaled.sum(axis=1, keepdims=True)
    return probabilities


def six_way(logits: Floats, temperature: float | Floats = 1.0) -> Floats:
    """The benchmark's probabilities, shape (N, 6): the softmax over the six emotion logits alone."""
    return softmax(logits[:, : len(EMOTIONS)], temperature)


def accuracy(predicted: Indices, labels: Indices) -> float:
    """The share of rows predicted right."""
    return float(np.mean(predicted == labels))


def f1_by_label(predicted: Indices, labels: Indices, count: int) -> Floats:
    """F1 of each of ``count`` labels, shape (count,); 0 for a label that is neither predicted nor there."""
    confusion = np.bincount(labels * count + predicted, minlength=count * count).reshape(count, count)
    hits = np.diag(confusion)
    scores: Floats = 2 * hits / np.maximum(confusion.sum(axis=0) + confusion.sum(axis=1), 1)
    return scores


def macro_f1(predicted: Indices, labels: Indices, count: int) -> float:
    """Mean F1 over the labels that occur in ``labels`` or ``predicted``."""
    present = np.union1d(predicted, labels)
    return float(f1_by_label(predicted, labels, count)[present].mean())


def presence_f1(predicted: npt.NDArray[np.bool_], present: Floats, known: Floats) -> float:
    """Macro-F1 of labels that a text carries side by side, all of shape (N, K); a label of which nothing is
    known in some row, or that no row carries, is left out.
    """
    scores = []
    for k in range(present.shape[1]):
        rows = known[:, k] > 0
        truth = present[rows, k] > 0
        if truth.any():
            said = predicted[rows, k]
            scores.append(2 * (said & truth).sum() / (said.sum() + truth.sum()))
    return float(np.mean(scores)) if scores else 0.0


def weighted_f1(predicted: Indices, labels: Indices, count: int) -> float:
    """Mean F1 over the labels, each by its share of ``labels``."""
    shares = np.bincount(labels, minlength=count) / len(labels)
    return float(f1_by_label(predicted, labels, count) @ shares)


def roc_auc(scores: Floats, labels: Indices, average: str) -> float:
    """One-vs-rest ROC-AUC, averaged "weighted" or "macro" over the labels that occur."""
    from sklearn.metrics import roc_auc_score

    present = np.unique(labels)
    truth = labels[:, None] == present[None, :]
    return float(roc_auc_score(truth, scores[:, present], average=average))


def hard_label_roc_auc(predicted: Indices, labels: Indices, count: int) -> float:
    """The weighted ROC-AUC of one-hot predictions: what the report publishes. It ignores how sure the model
    is.
    """
    return roc_auc(np.eye(count)[predicted], labels, "weighted")


@dataclass(frozen=True, slots=True)
class Reliability:
    """Confidence against accuracy in equal-width bins; empty bins are left out. All of shape (bins,)."""

    confidence: Floats
    accuracy: Floats
    rows: Indices

    @property
    def ece(self) -> float:
        """Expected calibration error (Guo et al., 2017): the mean gap, weighted by rows."""
        return float(np.abs(self.confidence - self.accuracy) @ self.rows / self.rows.sum())


def reliability(probabilities: Floats, labels: Indices, bins: int = BINS) -> Reliability:
    """How often the model is right when it is that sure."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    rows = np.bincount(place, minlength=bins)
    filled = rows > 0
    return Reliability(
        np.bincount(place, confidence, bins)[filled] / rows[filled],
        np.bincount(place, right, bins)[filled] / rows[filled],
        rows[filled],
    )


def ece(probabilities: Floats, labels: Indices) -> float:
    """Expected calibration error over 15 bins."""
    return reliability(probabilities, labels).ece


def bootstrap_interval(
    score: Callable[[Indices], float], rows: int, *, resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """The 95 % percentile interval of ``score``, called with the row numbers of each resample."""
    rng = np.random.default_rng(seed)
    scores = [score(rng.integers(rows, size=rows)) for _ in range(resamples)]
    low, high = np.percentile(scores, [2.5, 97.5])
    return float(low), float(high)
