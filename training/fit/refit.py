"""Rows of the last layer fitted anew on a network that stays as it is.

    texts ──network──► what its last layer reads (N, width) ──a regression a row──► distress.weight, .bias
                                                                                    presence.weight, .bias

The mean of several runs (``training.fit.average``) reads texts as well as they do, but the mean of their rows
beside the labels is no row that any of them learnt. A regression on what the last layer reads needs minutes,
and touches nothing else.

Messages that were written to be graded by distress are no stream: learnt alone, they made every fourth
ordinary message one to look at. So of messages that nobody graded, what the row before, or another run's,
said of them is learnt too. Which emotions a text carries is learnt from what teachers say of it, and where
people were asked for every emotion from these too.
"""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from model.decide import logistic
from model.folder import SAFETENSORS_FILE, ModelFolder
from model.labels import EMOTIONS
from model.outputs import Beside
from model.runtimes.pytorch import load_network
from model.tokenizer import Tokenizer
from training.data.rows import Row
from training.errors import TrainingError
from training.fit.device import Device
from training.fit.recipe import Source
from training.fit.regression import regress
from training.fit.targets import targets
from training.fit.validation import predict
from training.metrics import Floats
from training.runs import command_line, forget_calibration, run_of, weights_of, write_facts

if TYPE_CHECKING:
    from torch import Tensor

READ: Final[tuple[Source, ...]] = ("distress", "languages", "messages", "emotion", "goemotions", "written")
"""Sources whose rows are read. Some are of feelings that nobody graded, in a style that no graded message
has: left out, they are free to read as anything, and "I'm furious" read as despair.
"""
PENALTY: Final = 0.1
PRESENCE_PENALTY: Final = 0.01
"""Inverse strengths of the L2 penalty (C of scikit-learn) on features of unit variance, by validation."""
PRESENCE_READ: Final[tuple[Source, ...]] = ("brighter_en", "brighter", "xed", "goemotions", "messages")
MOST_PRESENCE_ROWS: Final = 9_000
"""Sources whose rows are read for presence, and how many of each: more of them only take longer."""
PRESENCE_COUNTED: Final = {"brighter_en": 3.0, "xed": 0.2}
"""What a row of a source counts beside those of others, by validation too."""
EVERY_EMOTION: Final = frozenset({"brighter_en", "brighter", "xed"})
"""Sources whose readers were asked for every emotion. Others name the first feeling alone, of most texts:
there a teacher's word, where it speaks, is all of the target.
"""
TEACHERS_SHARE: Final = 0.7
"""Of the target where readers were asked for every emotion."""
KEPT: Final = 12_000
KEPT_WEIGHT: Final = 1.0
"""How many messages without a grade are learnt as the row before said; what each counts beside a grade."""
LEAST_DEVIATION: Final = 1e-6


def refit_distress(
    run: Path, rows: Sequence[Row], labels: Sequence[str], device: Device, *, like: Path | None = None
) -> None:
    """Replace the row of distress in ``run`` by one fitted on the grades of ``rows``, and on what the run
    ``like`` (by default it itself, so far) says of those that have none (``KEPT`` of them); ``refitted`` in
    its ``run.json`` says so.

    Raises:
        TrainingError: one has no such row, or no row has a grade.
    """
    weights = _with_rows(run, "distress")
    graded = [row for row in rows if row.distress is not None]
    if not graded:
        raise TrainingError("no row has a grade of distress")
    ungraded = [row for row in rows if row.distress is None]
    kept = random.Random("refit").sample(ungraded, min(KEPT, len(ungraded)))
    read = _read_by_last_layer(run, [*graded, *kept], device)
    if like is None:
        before = _said_by_row(weights, read[len(graded) :])
    else:
        before = _said_by_row(_with_rows(like, "distress"), _read_by_last_layer(like, kept, device))
    own = targets(graded, labels)
    shares = np.concatenate([own.distress, before])
    counted = np.concatenate([own.grade_weight, np.full(len(kept), KEPT_WEIGHT)])
    row, bias = _row_of(read, shares, counted, PENALTY)
    weights["distress.weight"] = _as(weights["distress.weight"], row[None])
    weights["distress.bias"] = _as(weights["distress.bias"], np.array([bias]))
    _save(weights, run)


def presence_rows(rows: Sequence[Row]) -> list[Row]:
    """Those of ``rows`` from which presence is learnt: ``MOST_PRESENCE_ROWS`` of each source."""
    drawn: list[Row] = []
    for source in PRESENCE_READ:
        own = [row for row in rows if row.source == source]
        drawn += random.Random("refit").sample(own, min(MOST_PRESENCE_ROWS, len(own)))
    return drawn


def refit_presence(
    run: Path, rows: Sequence[Row], labels: Sequence[str], said: Floats, device: Device
) -> None:
    """Replace the rows of presence in ``run`` by ones fitted on ``rows``, and on what teachers say of them:
    ``said`` (N, K) as in ``SoftTargets.present``. An emotion of which nobody says anything keeps its row.

    Raises:
        TrainingError: the run has no such rows.
    """
    weights = _with_rows(run, "presence")
    read = _read_by_last_layer(run, rows, device)
    target, counted = _presence_targets(rows, labels, said)
    fitted, biases = (weights[f"presence.{part}"].double().numpy() for part in ("weight", "bias"))
    for k in range(len(EMOTIONS)):
        told = np.flatnonzero(counted[:, k])
        if len(told):
            fitted[k], biases[k] = _row_of(read[told], target[told, k], counted[told, k], PRESENCE_PENALTY)
    weights["presence.weight"] = _as(weights["presence.weight"], fitted)
    weights["presence.bias"] = _as(weights["presence.bias"], biases)
    _save(weights, run)


def _presence_targets(rows: Sequence[Row], labels: Sequence[str], said: Floats) -> tuple[Floats, Floats]:
    """Of each of the six emotions how likely each text carries it, and what that counts; both (N, 6)."""
    own, emotions = targets(rows, labels), slice(0, len(EMOTIONS))
    present, known, said = own.present[:, emotions], own.known[:, emotions] > 0, said[:, emotions]
    asked_for_all = np.array([row.source in EVERY_EMOTION for row in rows])[:, None]
    share = np.where(known & asked_for_all, TEACHERS_SHARE, 1.0) * ~np.isnan(said)
    by_row = np.array([PRESENCE_COUNTED.get(row.source, 1.0) for row in rows])[:, None]
    return (1 - share) * present + share * np.nan_to_num(said), by_row * (known | ~np.isnan(said))


def _row_of(read: Floats, shares: Floats, counted: Floats, penalty: float) -> tuple[Floats, float]:
    """A row of the last layer and its bias, by a regression of what that reads (N, width) towards shares."""
    centre, deviation = read.mean(axis=0), np.maximum(read.std(axis=0), LEAST_DEVIATION)
    scaled, bias = regress((read - centre) / deviation, shares, counted, penalty)
    row: Floats = scaled / deviation
    return row, float(bias - row @ centre)


def _save(weights: "dict[str, Tensor]", run: Path) -> None:
    """Write the weights of a run, and in its ``run.json`` by which command; a calibration was of others."""
    from safetensors.torch import save_file

    facts = run_of(run)
    forget_calibration(run)
    save_file(weights, run / SAFETENSORS_FILE, metadata={"format": "pt"})
    write_facts(run, facts.changed(refitted=command_line()))


def _with_rows(run: Path, name: Beside) -> "dict[str, Tensor]":
    """The run's weights, among them the rows of that name."""
    weights = weights_of(run)
    if f"{name}.weight" not in weights:
        raise TrainingError(f"{run} has no output for {name}: its recipe trains none")
    return weights


def _said_by_row(weights: "Mapping[str, Tensor]", read: Floats) -> Floats:
    """What the run's row for distress says of what its last layer reads, from 0 to 1."""
    row, bias = (weights[f"distress.{part}"].double().numpy() for part in ("weight", "bias"))
    return logistic(read @ row[0] + bias)


def languages_of(run: Path) -> tuple[str, ...]:
    """The languages that the run was trained on; all where none is named. Raises ``TrainingError``."""
    return run_of(run).recipe.languages


def _as(before: "Tensor", numbers: Floats) -> "Tensor":
    import torch

    return torch.from_numpy(np.asarray(numbers)).to(before)


def _read_by_last_layer(run: Path, rows: Sequence[Row], device: Device) -> Floats:
    """What the last layer reads of each row, (N, width); of a text of several windows, of the first."""
    import torch

    opened, network = ModelFolder.open(run), load_network(run).to(device.name)
    network.classifier = torch.nn.Identity()  # what it would read is what comes out
    tokenizer = Tokenizer.load(
        run,
        max_tokens=opened.max_tokens,
        overlap_tokens=min(opened.calibration.overlap_tokens, opened.max_tokens // 2),
    )
    return predict(network, tokenizer, rows, device, network.config.pad_token_id)
