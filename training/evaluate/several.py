"""Several feelings in a text: when one is there, and how well that is said, language by language.

Shapes: N rows, the 6 emotions in the order of ``EMOTIONS``. Of a label that nobody was asked for in a set,
nothing is counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from model.calibration import Presence
from model.decide import logistic
from model.labels import EMOTIONS
from training.data.rows import Row
from training.metrics import Floats, presence_f1

THRESHOLDS: Final = tuple(float(threshold) for threshold in np.arange(0.1, 0.91, 0.02).round(2))
FOLDS: Final = 5
LEAST_ROWS: Final = 20
"""A threshold of its own is fitted for an emotion that so many texts carry."""


@dataclass(frozen=True, slots=True)
class Carried:
    """Logits of the emotions, which of them each text carries, and of which that is known; all (N, 6)."""

    logits: Floats
    present: Floats
    known: Floats

    def part(self, rows: npt.NDArray[np.integer]) -> "Carried":
        """Some of the rows."""
        return Carried(self.logits[rows], self.present[rows], self.known[rows])


def carried(rows: Sequence[Row], logits: Floats) -> Carried:
    """``logits`` (N, K) of a model whose first six labels are the emotions, beside what the rows say."""
    place = {emotion: k for k, emotion in enumerate(EMOTIONS)}
    present, known = np.zeros((len(rows), len(EMOTIONS))), np.ones((len(rows), len(EMOTIONS)))
    for i, row in enumerate(rows):
        present[i, [place[label] for label in row.labels if label in place]] = 1
        known[i, [place[label] for label in row.unknown if label in place]] = 0
    return Carried(logits[:, : len(EMOTIONS)], present, known)


def fit_presences(sets: Sequence[Carried]) -> dict[str, Presence]:
    """When a text carries each emotion: Platt's two numbers, and the threshold with the best mean F1.

    Each set has the same weight. Emotions that no set knows are left out.
    """
    fitted = {}
    for k, emotion in enumerate(EMOTIONS):
        asked = [part for part in sets if (part.present * part.known)[:, k].sum() >= LEAST_ROWS]
        if asked:
            fitted[emotion] = _fit_presence(asked, k)
    return fitted


def _fit_presence(sets: Sequence[Carried], k: int) -> Presence:
    from sklearn.linear_model import LogisticRegression

    rows = [np.flatnonzero(part.known[:, k]) for part in sets]
    logits = np.concatenate([part.logits[place, k] for part, place in zip(sets, rows, strict=True)])
    present = np.concatenate([part.present[place, k] for part, place in zip(sets, rows, strict=True)])
    weights = np.concatenate([np.full(len(place), 1 / len(place)) for place in rows])
    platt = LogisticRegression(C=1e6).fit(logits[:, None], present > 0, weights * len(logits) / len(sets))
    scale, bias = max(0.01, round(float(platt.coef_[0, 0]), 4)), round(float(platt.intercept_[0]), 4)

    def score(threshold: float) -> float:
        return float(
            np.mean(
                [
                    _f1(
                        logistic(part.logits[place, k] * scale + bias) >= threshold,
                        part.present[place, k] > 0,
                    )
                    for part, place in zip(sets, rows, strict=True)
                ]
            )
        )

    threshold = max(THRESHOLDS, key=lambda threshold: (round(score(threshold), 4), -abs(threshold - 0.5)))
    return Presence(scale=scale, bias=bias, threshold=threshold)


def cross_validated_f1(part: Carried, seed: int = 0) -> float:
    """Macro-F1 over the emotions, with one threshold for all that is chosen on the other folds."""
    order = np.random.default_rng(seed).permutation(len(part.present))
    said = np.zeros_like(part.present, dtype=bool)
    likely = logistic(part.logits)
    for fold in range(FOLDS):
        held = order[fold::FOLDS]
        rest = np.setdiff1d(order, held)
        best = max(
            THRESHOLDS,
            key=lambda threshold, rest=rest: presence_f1(  # type: ignore[misc]
                likely[rest] >= threshold, part.present[rest], part.known[rest]
            ),
        )
        said[held] = likely[held] >= best
    return presence_f1(said, part.present, part.known)


def by_language(rows: Sequence[Row], logits: Floats) -> dict[str, float]:
    """``cross_validated_f1`` of each language's rows, by BCP 47 tag."""
    places: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        places.setdefault(row.language, []).append(i)
    every = carried(rows, logits)
    return {tag: cross_validated_f1(every.part(np.array(place))) for tag, place in sorted(places.items())}


def _f1(said: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> float:
    found = int(said.sum() + truth.sum())
    return 2 * int((said & truth).sum()) / max(1, found)
