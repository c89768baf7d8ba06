"""How well a model reads the rows that it is judged by."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from model.labels import EMOTIONS, NEUTRAL
from model.outputs import presence
from model.tokenizer import Tokenizer
from training.bases.base import HfModel
from training.data.rows import Row
from training.fit.batches import encode, ordered_batches
from training.fit.device import Device
from training.fit.targets import targets
from training.metrics import Floats, accuracy, macro_f1, presence_f1, softmax

if TYPE_CHECKING:
    from torch import Tensor

EVAL_BATCH: Final = 128


def predict(model: HfModel, tokenizer: Tokenizer, rows: Sequence[Row], device: Device, pad_id: int) -> Floats:
    """Outputs of each row (``model.outputs``). Leaves the model in evaluation mode."""
    import torch

    ids = encode(tokenizer, rows)
    parts: dict[int, Floats] = {}
    model.eval()
    with torch.inference_mode():
        for batch in ordered_batches(ids, EVAL_BATCH, pad_id):
            placed = (batch.input_ids.to(device.name), batch.attention_mask.to(device.name))
            parts |= zip(batch.rows, forward(model, *placed, device).cpu().numpy(), strict=True)
    return np.array([parts[row] for row in range(len(rows))], dtype=np.float64)


def forward(model: HfModel, input_ids: "Tensor", attention_mask: "Tensor", device: Device) -> "Tensor":
    """Outputs of one batch in float32, shape (B, K + those beside the labels)."""
    with device.autocast():
        output = model(input_ids=input_ids, attention_mask=attention_mask)
    logits: Tensor = output.logits.float()
    return logits


def presence_logits(outputs: Floats, labels: int) -> Floats:
    """The logits whose sigmoids say whether each label is there, shape (N, labels), of all outputs of a model
    with so many labels: of the emotions its outputs for that where it has them.
    """
    logits: Floats = outputs[:, :labels].copy()
    if place := presence(labels, outputs.shape[1]):
        logits[:, : len(EMOTIONS)] = outputs[:, place]
    return logits


def validation_score(outputs: Floats, rows: Sequence[Row], labels: Sequence[str]) -> dict[str, float]:
    """Accuracy and macro-F1, over the labels that the rows can have: dair-ai/emotion has no neutral.

    Where nobody was asked for some label, as in BRIGHTER, none of a row's labels stands first: accuracy is
    the share whose most probable label is one of theirs, and macro-F1 is of the emotions that are more likely
    there than not, a mean over the languages.
    """
    if any(row.unknown for row in rows):
        return _several_labels_score(outputs, rows, labels)
    names = sorted({row.label for row in rows}, key=list(labels).index)
    columns = [list(labels).index(name) for name in names]
    truth = np.array([names.index(row.label) for row in rows])
    logits = outputs[:, : len(labels)]
    predicted = logits[:, columns].argmax(axis=1)
    log_likelihood = np.log(softmax(logits[:, columns])[np.arange(len(rows)), truth] + 1e-12)
    return {
        "accuracy": accuracy(predicted, truth),
        "macro_f1": macro_f1(predicted, truth, len(names)),
        "nll": float(-log_likelihood.mean()),
    }


def _several_labels_score(outputs: Floats, rows: Sequence[Row], labels: Sequence[str]) -> dict[str, float]:
    own, logits = targets(rows, labels), presence_logits(outputs, len(labels))
    hits = own.present[np.arange(len(rows)), outputs[:, : len(labels)].argmax(axis=1)]
    by_language: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        by_language.setdefault(row.language, []).append(i)
    emotions = [k for k, label in enumerate(labels) if label != NEUTRAL]
    said, present, known = logits[:, emotions] > 0, own.present[:, emotions], own.known[:, emotions]
    scores = [presence_f1(said[place], present[place], known[place]) for place in by_language.values()]
    likely = np.where(own.known > 0, np.abs(own.present - 1 / (1 + np.exp(np.clip(logits, -30, 30)))), 1.0)
    return {
        "accuracy": float(hits.mean()),
        "macro_f1": float(np.mean(scores)),
        "nll": float(-np.log(np.maximum(likely, 1e-12)).mean()),
    }
