"""What a saved model says of rows: through the classifier that ships, so that what is measured is what
runs.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from model.classifier import EmotionClassifier
from training.data import Row
from training.errors import TrainingError
from training.metrics import Floats, softmax


def open_classifier(folder: Path, *, device: str = "auto", precision: str = "fp32") -> EmotionClassifier:
    """The classifier in a run's or an exported folder. Raises ``TrainingError`` or ``ModelError``."""
    if not (folder / "config.json").is_file():
        raise TrainingError(f"{folder} holds no model: emotion-train fit --out {folder} makes one")
    return EmotionClassifier.load(folder, device=device, precision=precision)


def row_logits(classifier: EmotionClassifier, rows: Sequence[Row]) -> Floats:
    """Logits of each row, shape (N, K); of a text in several windows, their mean weighted by tokens."""
    with_context = any(row.context for row in rows)
    batch = classifier.tokenize(
        [row.text for row in rows], [row.context for row in rows] if with_context else None
    )
    by_window = classifier.forward(batch)
    weights = np.array([len(window) for encoded in batch for window in encoded.windows], dtype=np.float64)
    starts = np.cumsum([0, *(len(encoded.windows) for encoded in batch[:-1])])
    sums = np.add.reduceat(by_window * weights[:, None], starts, axis=0)
    logits: Floats = sums / np.add.reduceat(weights, starts)[:, None]
    return logits


def soft_labels(
    teachers: Sequence[Path],
    rows: Sequence[Row],
    labels: int,
    *,
    device: str = "auto",
    precision: str = "fp32",
) -> Floats:
    """The mean probabilities that the runs in ``teachers`` give each row, shape (N, labels): what is
    distilled.

    Each teacher reads the texts with its own tokenizer, and keeps what it said of them in its folder, so that
    runs of other seeds need not ask again. (Hinton et al., "Distilling the Knowledge in a Neural Network",
    2015.)
    """
    predictions = []
    for folder in teachers:
        logits = _teacher_logits(folder, rows, device, precision)
        if logits.shape[1] != labels:
            raise TrainingError(f"teacher {folder} has {logits.shape[1]} labels, {labels} are needed")
        predictions.append(softmax(logits))
    mean: Floats = np.mean(predictions, axis=0)
    return mean


def _teacher_logits(folder: Path, rows: Sequence[Row], device: str, precision: str) -> Floats:
    classifier = open_classifier(folder, device=device, precision=precision)
    asked = json.dumps([classifier.info.revision, precision, [(row.text, row.context) for row in rows]])
    file = folder / f"soft-{hashlib.sha256(asked.encode()).hexdigest()[:12]}.npy"
    if file.is_file():
        kept: Floats = np.load(file)
        return kept
    logits = row_logits(classifier, rows)
    partial = file.with_suffix(".partial.npy")
    np.save(partial, logits)
    partial.replace(file)
    return logits
