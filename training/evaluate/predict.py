"""What a saved model says of rows: through the classifier that ships, so that what is measured is what
runs.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from model.classifier import EmotionClassifier
from model.folder import SAFETENSORS_FILE, revision_of
from model.labels import LABEL2ID
from training.data.rows import Row
from training.errors import TrainingError
from training.metrics import Floats, softmax
from training.runs import RUN_FILE


def open_classifier(folder: Path, *, device: str = "auto", precision: str = "fp32") -> EmotionClassifier:
    """The classifier in a run's or an exported folder. Raises ``TrainingError`` or ``ModelError``."""
    if not (folder / "config.json").is_file():
        raise TrainingError(f"{folder} holds no model: emotion-train fit --out {folder} makes one")
    return EmotionClassifier.load(folder, device=device, precision=precision)


def row_logits(classifier: EmotionClassifier, rows: Sequence[Row]) -> Floats:
    """Logits of each row's labels, shape (N, K); of several windows, their mean weighted by tokens."""
    return row_outputs(classifier, rows)[:, : len(classifier.columns)]


def row_outputs(classifier: EmotionClassifier, rows: Sequence[Row]) -> Floats:
    """What ``row_logits`` gives, and after it distress where the model has an output for it."""
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

    Each teacher reads the texts with its own tokenizer, without earlier messages, and only rows of the
    sources that it was trained on; a row that none of them knows keeps its own label. What a teacher said
    of a text stays in its folder, so that other runs need not ask again. (Hinton et al., "Distilling the
    Knowledge in a Neural Network", 2015.)
    """
    total, asked = np.zeros((len(rows), labels)), np.zeros(len(rows))
    for folder in teachers:
        sources = _sources(folder)
        known = [i for i, row in enumerate(rows) if row.source in sources]
        if not known:
            continue
        logits = _teacher_logits(folder, [rows[i].text for i in known], device, precision)
        if logits.shape[1] != labels:
            raise TrainingError(f"teacher {folder} has {logits.shape[1]} labels, {labels} are needed")
        total[known] += softmax(logits)
        asked[known] += 1
    for i, row in enumerate(rows):
        if not asked[i]:
            total[i, [LABEL2ID[label] for label in row.labels]] = 1
            asked[i] = len(row.labels)
    return total / asked[:, None]


def _sources(teacher: Path) -> frozenset[str]:
    """The sources that a run was trained on."""
    file = teacher / RUN_FILE
    if not file.is_file():
        raise TrainingError(f"teacher {teacher} is no run: emotion-train fit --out {teacher} makes one")
    return frozenset(json.loads(file.read_text(encoding="utf-8"))["train_rows"])


def _teacher_logits(folder: Path, texts: Sequence[str], device: str, precision: str) -> Floats:
    """Logits of each text, shape (N, K); only texts that the teacher was never asked of are read."""
    classifier = open_classifier(folder, device=device, precision=precision)
    weights = revision_of(folder / SAFETENSORS_FILE)
    file = folder / f"soft-{weights}-{precision}.npz"
    keys = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in texts]
    known: dict[str, Floats] = {}
    if file.is_file():
        with np.load(file) as kept:
            known = dict(zip(kept["keys"].tolist(), kept["logits"], strict=True))
    new = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
    if new:
        known |= zip(new, row_logits(classifier, [Row(text, "", "") for text in new.values()]), strict=True)
        partial = file.with_suffix(".partial.npz")
        np.savez(partial, keys=list(known), logits=np.array(list(known.values())))
        partial.replace(file)
    return np.array([known[key] for key in keys])
