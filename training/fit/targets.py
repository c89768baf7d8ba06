"""What a row asks of the model, as arrays: N rows, K labels."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from model.labels import NEUTRAL
from training.data.rows import Row
from training.metrics import Floats

HIGHEST_GRADE: Final = 3
CALM: Final = frozenset({"joy", "love", "surprise", NEUTRAL})
GRADED: Final = "distress"
"""The source whose texts were written to be graded: its 0s look like more."""
CALM_WEIGHT: Final = 0.2
"""Of a calm text, and of a 0 among messages of all kinds, beside a graded one, as far as distress goes. They
are so many that a network would learn to tell calm from not, and little of grades.
"""


@dataclass(frozen=True, slots=True)
class Targets:
    """The rows' own labels as numbers.

    - ``present``: 1 where the text carries the label, shape (N, K).
    - ``known``: 1 where somebody said whether it does, shape (N, K).
    - ``shares``: what the softmax should be, shape (N, K): the text's labels in equal shares; all zero where
      one of them is not known.
    - ``distress``: from 0 to 1, shape (N,).
    - ``grade_weight``: how much that counts, shape (N,); 0 where nobody said.
    """

    present: Floats
    known: Floats
    shares: Floats
    distress: Floats
    grade_weight: Floats


@dataclass(frozen=True, slots=True)
class SoftTargets:
    """What teachers say of the rows, a mean over those that were asked.

    - ``shares``: of the softmax, shape (N, K).
    - ``present``: of the sigmoids, shape (N, K); NaN where no teacher was asked that has learnt them.
    - ``distress``: from 0 to 1, shape (N,); NaN where no teacher was asked that has the output.
    - ``alone``: whether the softmax is for them alone to say, shape (N,), not for the rows' own labels.
    """

    shares: Floats
    present: Floats
    distress: Floats
    alone: npt.NDArray[np.bool_]


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
    distress = [_distress(row) for row in rows]
    return Targets(present, known, shares, *(np.array(part) for part in zip(*distress, strict=True)))


def _distress(row: Row) -> tuple[float, float]:
    """The row's grade as a share of the highest, and its weight; 0 where its feelings are known, and all of
    them calm.
    """
    if row.distress or (row.distress is not None and row.source == GRADED):
        return row.distress / HIGHEST_GRADE, 1.0
    if row.distress is not None:
        return 0.0, CALM_WEIGHT
    calm = not row.unknown and all(label in CALM for label in row.labels)
    return 0.0, CALM_WEIGHT * calm
