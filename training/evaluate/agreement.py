"""Where models of different kinds err alike, there is little left to gain: the label, not the model, is odd.

Measured on dair-ai/emotion's validation rows, so that the test split stays closed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from model.calibration import Calibration
from model.labels import LABEL2ID
from training.data.rows import load_emotion
from training.errors import TrainingError
from training.evaluate.predict import open_classifier, row_logits
from training.metrics import Floats, Indices, six_way
from training.runs import require_split, resplit_of

SURE: Final = 0.8
"""The confidence from which on a model is sure."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What several models say of the same rows.

    - ``accuracy``: of each model, by its name.
    - ``ensemble``: accuracy of their mean probabilities.
    - ``at_least_one``: share of rows that at least one model has right: what a perfect choice among them
      would reach.
    - ``errors``: rows that the ensemble has wrong; ``common``: rows that all models give the same label,
      which is not the row's; ``sure``: those of them where each model is sure.
    """

    accuracy: dict[str, float]
    ensemble: float
    at_least_one: float
    rows: int
    errors: int
    common: int
    sure: int

    def measures(self) -> dict[str, float | int]:
        """All but the models' own accuracies, by readable names."""
        return {
            "accuracy of their mean": self.ensemble,
            "at least one is right": self.at_least_one,
            "rows": self.rows,
            "wrong by their mean": self.errors,
            "wrong, all name the same label": self.common,
            f"wrong, all name the same label with a confidence of {SURE} or more": self.sure,
        }


def agreement(models: Sequence[Path], data: Path | None, *, device: str = "auto") -> Agreement:
    """Compare the models in ``models`` on the validation rows. Raises ``TrainingError``."""
    if len(models) < 2:
        raise TrainingError("agree compares models: name two or more")
    names = _names(models)
    resplit = resplit_of(models[0])
    require_split(resplit, models)
    rows = load_emotion(data, resplit).validation
    labels = np.array([LABEL2ID[row.label] for row in rows])
    probabilities = {
        name: six_way(
            row_logits(open_classifier(folder, device=device), rows), Calibration.load(folder).temperature
        )
        for name, folder in zip(names, models, strict=True)
    }
    return compared(probabilities, labels)


def _names(models: Sequence[Path]) -> list[str]:
    """The folders' names, or their paths where a name is that of two. Raises ``TrainingError`` for one folder
    that is named twice.
    """
    paths = [folder.resolve() for folder in models]
    if len(set(paths)) < len(paths):
        raise TrainingError("a model is named twice: agree compares different ones")
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else [str(folder) for folder in models]


def compared(probabilities: dict[str, Floats], labels: Indices) -> Agreement:
    """The agreement of models whose probabilities have shape (N, K), on rows with ``labels`` (N,)."""
    named = {name: part.argmax(axis=1) for name, part in probabilities.items()}
    stacked = np.stack(list(probabilities.values()))
    mean = stacked.mean(axis=0).argmax(axis=1)
    every = np.stack(list(named.values()))
    common = (every == every[0]).all(axis=0) & (every[0] != labels)
    sure: npt.NDArray[np.bool_] = (stacked.max(axis=2) >= SURE).all(axis=0)
    return Agreement(
        accuracy={name: float((part == labels).mean()) for name, part in named.items()},
        ensemble=float((mean == labels).mean()),
        at_least_one=float((every == labels).any(axis=0).mean()),
        rows=len(labels),
        errors=int((mean != labels).sum()),
        common=int(common.sum()),
        sure=int((common & sure).sum()),
    )
