"""What a row asks of the model, as arrays: N rows, K labels."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from model.labels import NEUTRAL
from training.data.rows import Row
from training.metrics import Floats

HIGHEST_GRADE: Final = 3
CALM: Final = frozenset({"joy", "love", "surprise", NEUTRAL})


@dataclass(frozen=True, slots=True)
class Targets:
    """The rows' own labels as numbers.

    - ``present``: 1 where the text carries the label, shape (N, K).
    - ``known``: 1 where somebody said whether it does, shape (N, K).
    - ``shares``: what the softmax should be, shape (N, K): the text's labels in equal shares; all zero where
      one of them is not known.
    - ``distress``: from 0 to 1, shape (N,); NaN where nobody said.
    """

    present: Floats
    known: Floats
    shares: Floats
    distress: Floats


@dataclass(frozen=True, slots=True)
class SoftTargets:
    """What teachers say of the rows, a mean over those that were asked.

    - ``shares``: of the softmax, shape (N, K).
    - ``present``: of the sigmoids, shape (N, K); NaN where no teacher was asked that has learnt them.
    - ``distress``: from 0 to 1, shape (N,); NaN where no teacher was asked that has the output.
    """

    shares: Floats
    present: Floats
    distress: Floats


def targets(rows: Sequence[Row], labels: Sequence[str], unranked: Collection[str] = ()) -> Targets:
    """The targets of ``rows`` for a model with these labels; ``unranked`` as in ``Recipe``."""
    column = {label: place for place, label in enumerate(labels)}
    present, known = np.zeros((len(rows), len(labels))), np.ones((len(rows), len(labels)))
    for i, row in enumerate(rows):
        present[i, [column[label] for label in row.labels]] = 1
        known[i, [column[label] for label in row.unknown if label in column]] = 0
        if row.source in unranked and row.label != NEUTRAL:
            known[i, column[NEUTRAL]] = 0
    ranked = np.array([row.source not in unranked or row.label == NEUTRAL for row in rows])
    settled = (np.all(present <= known, axis=1) & ranked)[:, None]
    shares = np.where(settled, present / present.sum(axis=1, keepdims=True), 0.0)
    return Targets(present, known, shares, np.array([_distress(row) for row in rows]))


def _distress(row: Row) -> float:
    """The row's grade as a share of the highest; 0 where its feelings are known, and all of them calm."""
    if row.distress is not None:
        return row.distress / HIGHEST_GRADE
    calm = not row.unknown and all(label in CALM for label in row.labels)
    return 0.0 if calm else float("nan")
