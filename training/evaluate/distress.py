"""Distress as an output of its own: what its score means, and how it is measured.

Of graded messages (``training.data.messages``), a person would want to see those of the two upper grades:
suffering to look at today, and despair or danger. The score is calibrated to be the share of such messages.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from model.calibration import Calibration
from training.data.rows import Row
from training.metrics import Floats

WANTED: Final = 2
"""The least grade that a reviewer would want to see."""


def wanted(rows: Sequence[Row]) -> npt.NDArray[np.bool_]:
    """Whether a reviewer would want to see each graded row, shape (N,)."""
    return np.array([row.distress is not None and row.distress >= WANTED for row in rows])


def distress_scores(scores: Floats, rows: Sequence[Row], calibration: Calibration) -> dict[str, float]:
    """How well ``scores`` (N,), as published, order the graded ``rows``, and what each level holds."""
    from scipy.stats import spearmanr  # type: ignore[import-untyped]  # ships no types
    from sklearn.metrics import roc_auc_score

    truth, grades = wanted(rows), np.array([row.distress or 0 for row in rows])
    measured = {
        "rows": float(len(rows)),
        "auc": float(roc_auc_score(truth, scores)),
        "despair_auc": float(roc_auc_score(grades == grades.max(), scores)),
        # Scores that are all alike, as a model that has learnt nothing gives, have no rank.
        "rank_correlation": float(spearmanr(grades, scores).statistic) if np.ptp(scores) else 0.0,
    }
    for level, start in calibration.distress_levels.model_dump().items():
        reached = scores >= start
        measured[f"{level}_precision"] = float(truth[reached].mean()) if reached.any() else 0.0
        measured[f"{level}_recall"] = float(reached[truth].mean())
    return measured
