"""dair-ai/emotion's test split, six-way: what the literature reports. Shapes: N rows, K labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from model.labels import EMOTIONS, LABEL2ID
from training.data.leakage import contradicted
from training.data.rows import Row, Splits
from training.evaluate.calibrate import Validation, fit_temperature
from training.metrics import (
    Floats,
    Indices,
    Reliability,
    accuracy,
    bootstrap_interval,
    hard_label_roc_auc,
    macro_f1,
    reliability,
    roc_auc,
    six_way,
    weighted_f1,
)

CONFUSION_EXAMPLES: Final = 3


@dataclass(frozen=True, slots=True)
class Benchmark:
    """All that is measured on it."""

    scores: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    by_label: list[dict[str, Any]]
    confusion: list[list[int]]
    before: Reliability
    after: Reliability
    abstention: list[dict[str, float]]
    worst: list[dict[str, Any]]


def benchmark(
    logits: Floats, labels: Indices, emotion: Splits, *, temperature: float | Floats, own_temperature: float
) -> Benchmark:
    """Six-way scores of ``logits`` (N, K) on the test split: the softmax runs over the emotion logits alone.

    ``temperature`` is the shipped one, one number or one a row, shape (N, 1); ``own_temperature`` is fitted
    on this set's validation rows alone, as published calibration errors are.
    """
    probabilities = six_way(logits, temperature)
    predicted = probabilities.argmax(axis=1)
    count = len(EMOTIONS)
    consistent = ~np.array(contradicted(emotion.test, emotion.train))
    before = reliability(six_way(logits), labels)
    after = reliability(six_way(logits, own_temperature), labels)
    scores = {
        "accuracy": accuracy(predicted, labels),
        "macro_f1": macro_f1(predicted, labels, count),
        "weighted_f1": weighted_f1(predicted, labels, count),
        "weighted_precision": _weighted_precision(predicted, labels),
        "weighted_recall": accuracy(predicted, labels),
        "roc_auc_weighted": roc_auc(probabilities, labels, "weighted"),
        "roc_auc_macro": roc_auc(probabilities, labels, "macro"),
        "roc_auc_weighted_hard_labels": hard_label_roc_auc(predicted, labels, count),
        "ece_before": before.ece,
        "ece_after": after.ece,
        "ece_shipped": reliability(probabilities, labels).ece,
        "own_temperature": own_temperature,
        "rows": float(len(labels)),
        "consistent_rows": float(consistent.sum()),
        "consistent_accuracy": accuracy(predicted[consistent], labels[consistent]),
        "consistent_macro_f1": macro_f1(predicted[consistent], labels[consistent], count),
    }
    intervals = {
        "accuracy": bootstrap_interval(lambda rows: accuracy(predicted[rows], labels[rows]), len(labels)),
        "macro_f1": bootstrap_interval(
            lambda rows: macro_f1(predicted[rows], labels[rows], count), len(labels)
        ),
        "ece_after": bootstrap_interval(
            lambda rows: reliability(six_way(logits[rows], own_temperature), labels[rows]).ece, len(labels)
        ),
    }
    confusion = np.bincount(labels * count + predicted, minlength=count**2).reshape(count, count)
    return Benchmark(
        scores=scores,
        intervals=intervals,
        by_label=_by_label(confusion),
        confusion=confusion.tolist(),
        before=before,
        after=after,
        abstention=abstention_curve(probabilities, labels),
        worst=_worst_confusions(confusion, probabilities, labels, [row.text for row in emotion.test]),
    )


def abstention_curve(probabilities: Floats, labels: Indices) -> list[dict[str, float]]:
    """Precision, recall and F1 when the model abstains below a confidence, threshold by threshold.

    Micro-averaged: precision over the rows it answers, recall over all rows.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    curve = []
    for threshold in np.linspace(0.0, 0.99, 34):
        answered = confidence >= threshold
        hits = float((right & answered).sum())
        precision = hits / max(int(answered.sum()), 1)
        recall = hits / len(labels)
        f1 = 2 * precision * recall / max(precision + recall, 1e-12)
        curve.append({
            "threshold": float(threshold), "coverage": float(answered.mean()),
            "precision": precision, "recall": recall, "f1": f1,
        })  # fmt: skip
    return curve


def own_temperature(logits: Floats, rows: Sequence[Row]) -> float:
    """The temperature that is best on these validation rows of dair-ai/emotion."""
    labels = np.array([LABEL2ID[row.label] for row in rows])
    return fit_temperature([Validation(logits, labels, tuple(range(len(EMOTIONS))))])


def _by_label(confusion: Indices) -> list[dict[str, Any]]:
    hits, support, named = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    return [
        {
            "label": label,
            "precision": float(hits[i] / max(named[i], 1)),
            "recall": float(hits[i] / max(support[i], 1)),
            "f1": float(2 * hits[i] / max(named[i] + support[i], 1)),
            "rows": int(support[i]),
        }
        for i, label in enumerate(EMOTIONS)
    ]


def _weighted_precision(predicted: Indices, labels: Indices) -> float:
    named = np.maximum(np.bincount(predicted, minlength=len(EMOTIONS)), 1)
    hits = np.bincount(labels[predicted == labels], minlength=len(EMOTIONS))
    shares = np.bincount(labels, minlength=len(EMOTIONS)) / len(labels)
    return float(hits / named @ shares)


def _worst_confusions(
    confusion: Indices, probabilities: Floats, labels: Indices, texts: Sequence[str]
) -> list[dict[str, Any]]:
    """The five commonest confusions, each with the examples that the model was surest of."""
    off_diagonal = confusion * (1 - np.eye(len(confusion), dtype=int))
    predicted = probabilities.argmax(axis=1)
    worst = []
    for place in np.argsort(-off_diagonal, axis=None)[:5]:
        true, named = divmod(int(place), len(confusion))
        rows = np.flatnonzero((labels == true) & (predicted == named))
        surest = rows[np.argsort(-probabilities[rows, named])][:CONFUSION_EXAMPLES]
        worst.append({
            "label": EMOTIONS[true], "named": EMOTIONS[named], "rows": len(rows),
            "examples": [(texts[row], float(probabilities[row, named])) for row in surest],
        })  # fmt: skip
    return worst
