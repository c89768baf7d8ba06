"""The row of distress fitted anew on a network that stays as it is.

    graded messages ──network──► what its last layer reads (N, width) ──a regression──► distress.weight, .bias

The mean of several runs (``training.fit.average``) reads texts as well as they do, but the mean of their rows
for distress is no row that any of them learnt. A regression on what the last layer reads needs a few hundred
grades and a minute, and touches nothing else. Messages that were written to be graded are no stream: learnt
alone, they made every fourth ordinary message one to look at. So of messages that nobody graded, what the row
before, or another run's, said of them is learnt too.
"""

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from model.classifier import EmotionClassifier
from model.decide import logistic
from model.folder import SAFETENSORS_FILE
from model.runtimes.pytorch import load_network
from training.data.rows import Row
from training.errors import TrainingError
from training.fit.regression import regress
from training.fit.targets import targets
from training.metrics import Floats
from training.runs import RUN_FILE, command_line

if TYPE_CHECKING:
    from torch import Tensor

PENALTY: Final = 0.1
"""Inverse strength of the L2 penalty (C of scikit-learn) on features of unit variance; by validation rows."""
KEPT: Final = 9_000
KEPT_WEIGHT: Final = 1.0
"""How many messages without a grade are learnt as the row before said; what each counts beside a grade."""
LEAST_DEVIATION: Final = 1e-6
BATCH: Final = 64


def refit_distress(
    run: Path, rows: Sequence[Row], labels: Sequence[str], *, like: Path | None = None
) -> None:
    """Replace the row of distress in ``run`` by one fitted on the grades of ``rows``, and on what the run
    ``like`` (by default it itself, so far) says of those that have none (``KEPT`` of them); ``refitted`` in
    its ``run.json`` says so.

    Raises:
        TrainingError: one has no such row, or no row has a grade.
    """
    from safetensors.torch import save_file

    weights = _with_distress(run)
    graded = [row for row in rows if row.distress is not None]
    if not graded:
        raise TrainingError("no row has a grade of distress")
    ungraded = [row for row in rows if row.distress is None]
    kept = random.Random("refit").sample(ungraded, min(KEPT, len(ungraded)))
    read = _read_by_last_layer(run, [row.text for row in (*graded, *kept)])
    if like is None:
        before = _said_by_row(weights, read[len(graded) :])
    else:
        before = _said_by_row(_with_distress(like), _read_by_last_layer(like, [row.text for row in kept]))
    own = targets(graded, labels)
    shares = np.concatenate([own.distress, before])
    counted = np.concatenate([own.grade_weight, np.full(len(kept), KEPT_WEIGHT)])
    centre, deviation = read.mean(axis=0), np.maximum(read.std(axis=0), LEAST_DEVIATION)
    scaled, bias = regress((read - centre) / deviation, shares, counted, PENALTY)
    row = scaled / deviation
    weights["distress.weight"] = _as(weights["distress.weight"], row[None])
    weights["distress.bias"] = _as(weights["distress.bias"], np.array([bias - row @ centre]))
    save_file(weights, run / SAFETENSORS_FILE, metadata={"format": "pt"})
    facts = json.loads((run / RUN_FILE).read_text(encoding="utf-8"))
    facts["refitted"] = command_line()
    (run / RUN_FILE).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _with_distress(run: Path) -> "dict[str, Tensor]":
    from safetensors.torch import load_file

    weights: dict[str, Tensor] = load_file(run / SAFETENSORS_FILE)
    if "distress.weight" not in weights:
        raise TrainingError(f"{run} has no output for distress: its recipe trains none")
    return weights


def _said_by_row(weights: "Mapping[str, Tensor]", read: Floats) -> Floats:
    """What the run's row for distress says of what its last layer reads, from 0 to 1."""
    row, bias = (weights[f"distress.{part}"].double().numpy() for part in ("weight", "bias"))
    return logistic(read @ row[0] + bias)


def languages_of(run: Path) -> tuple[str, ...]:
    """The languages that the run was trained on; all where none is named. Raises ``TrainingError``."""
    file = run / RUN_FILE
    if not file.is_file():
        raise TrainingError(f"{run} is no run: emotion-train fit --out {run} makes one")
    return tuple(json.loads(file.read_text(encoding="utf-8"))["recipe"].get("languages", ()))


def _as(before: "Tensor", numbers: Floats) -> "Tensor":
    import torch

    return torch.from_numpy(np.asarray(numbers)).to(before)


def _read_by_last_layer(run: Path, texts: Sequence[str]) -> Floats:
    """What the last layer reads of each text, (N, width); of a text of several windows, of the first."""
    import torch

    from model.runtimes.padding import pad

    network, classifier = load_network(run), EmotionClassifier.load(run, "cpu", "fp32")
    seen: list[Tensor] = []
    network.classifier.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    windows = [encoded.windows[0] for encoded in classifier.tokenize(texts)]
    order = np.argsort([len(window) for window in windows], kind="stable")
    with torch.inference_mode():
        for start in range(0, len(order), BATCH):
            part = [windows[i] for i in order[start : start + BATCH].tolist()]
            input_ids, mask = (torch.from_numpy(array) for array in pad(part, network.config.pad_token_id))
            network(input_ids=input_ids, attention_mask=mask)
    read = torch.cat(seen).double().numpy()
    places = np.empty(len(order), dtype=int)
    places[order] = np.arange(len(order))
    found: Floats = read[places]
    return found
