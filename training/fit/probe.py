"""A probe: logistic regressions on a frozen sentence encoder, where labels are too few to train a network.

    rows ──embed──► (N, 768) ──a regression an output──► six emotions' presence, distress

It learns which emotions a text carries from BRIGHTER's English, and distress from the graded messages and,
as its least grade, from calm ones. As a teacher it is asked of texts that nobody labelled in that way
(``ASKED``). The folder of a probe holds ``probe.npz``, and a ``run.json`` as runs have it.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from model.labels import EMOTIONS, LABELS
from training.bases.sentences import SentenceEncoder
from training.data.rows import Row
from training.fit.recipes import Source
from training.fit.targets import targets
from training.metrics import Floats
from training.runs import RUN_FILE

PROBE_FILE: Final = "probe.npz"
ASKED: Final = ("brighter_en", "distress", "goemotions", "messages")
"""Sources whose rows a probe is asked of."""
TAUGHT_BY: Final[dict[Source, str]] = {
    "brighter_en": "presence",
    "distress": "distress",
    "messages": "distress",
}
PENALTY: Final = 1.0
"""Inverse strength of the L2 penalty (C of scikit-learn), chosen on validation rows."""


@dataclass(frozen=True, slots=True)
class Probe:
    """``weights`` (768, 8) and ``biases`` (8,): the six emotions, neutral (which it does not know: NaN), and
    distress.
    """

    weights: Floats
    biases: Floats

    def outputs(self, embeddings: Floats) -> Floats:
        """Log-odds, shape (N, 8)."""
        said: Floats = embeddings @ self.weights + self.biases
        return said

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / PROBE_FILE, weights=self.weights, biases=self.biases)
        run = {
            "command": " ".join(["emotion-train", *sys.argv[1:]]),
            "recipe": {
                "name": "probe",
                "presence": 1.0,
                "distress": 1.0,
                "unranked": tuple(TAUGHT_BY),
                "languages": ("en",),
                "asked": ASKED,
            },
            "train_rows": {source: {} for source in TAUGHT_BY},
        }
        (folder / RUN_FILE).write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def open(cls, folder: Path) -> "Probe":
        with np.load(folder / PROBE_FILE) as saved:
            return cls(saved["weights"], saved["biases"])


def fit_probe(rows: Sequence[Row], encoder: SentenceEncoder) -> Probe:
    """The probe of ``rows``; each teaches what ``TAUGHT_BY`` has for its source."""
    own = targets(rows, LABELS)
    kinds = np.array([TAUGHT_BY.get(row.source) for row in rows])  # type: ignore[call-overload]
    of_presence, of_distress = kinds == "presence", (kinds == "distress") & ~np.isnan(own.distress)
    taught = np.flatnonzero(of_presence | of_distress)
    embeddings = encoder.embed([rows[i].text for i in taught.tolist()])
    weights = np.full((embeddings.shape[1], len(LABELS) + 1), np.nan)
    biases = np.full(len(LABELS) + 1, np.nan)
    for k in range(len(EMOTIONS)):
        known = of_presence[taught] & (own.known[taught, k] > 0)
        if own.present[taught[known], k].any():
            weights[:, k], biases[k] = _regress(embeddings[known], own.present[taught[known], k])
    graded = of_distress[taught]
    weights[:, -1], biases[-1] = _regress(embeddings[graded], own.distress[taught[graded]])
    return Probe(weights, biases)


def _regress(inputs: Floats, shares: Floats) -> tuple[Floats, float]:
    """Weights (768,) and bias of a logistic regression towards shares from 0 to 1: each row counts as both
    answers, with its share of either.
    """
    from sklearn.linear_model import LogisticRegression

    answers = np.repeat([1, 0], len(inputs))
    counted = np.concatenate([shares, 1 - shares])
    fitted = LogisticRegression(C=PENALTY, max_iter=1000).fit(np.tile(inputs, (2, 1)), answers, counted)
    return fitted.coef_[0], float(fitted.intercept_[0])
