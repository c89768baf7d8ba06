"""A probe: logistic regressions on a frozen sentence encoder, where labels are too few to train a network.

    rows ──embed──► (N, width) ──a regression an output──► six emotions' presence, distress

It learns which emotions a text carries from BRIGHTER's English, and distress from the graded messages. As a
teacher it is asked of texts that nobody labelled in that way (``ASKED_TOO``). An English encoder learns both;
a multilingual one distress alone: networks that are trained in these languages know the emotions better. The
folder of a probe holds ``probe.npz``, and a ``run.json`` as runs have it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np

from model.labels import EMOTIONS, LABELS
from training.bases.base import MPNET
from training.bases.sentences import SentenceEncoder
from training.data.rows import Row
from training.fit.recipe import Source
from training.fit.regression import regress
from training.fit.targets import targets
from training.metrics import Floats
from training.runs import PROBE_FILE, command_line, read_arrays, write_facts

Output = Literal["presence", "distress"]
ENGLISH_SOURCES: Final[dict[Source, Output]] = {"brighter_en": "presence", "distress": "distress"}
MULTILINGUAL_SOURCES: Final[dict[Source, Output]] = {"distress": "distress", "languages": "distress"}
"""What the rows of each source teach. Calm messages without a grade, which count as the least one elsewhere,
teach nothing here: so many of them would teach a regression to tell calm from not, and little of grades.
"""
ASKED_TOO: Final[tuple[Source, ...]] = ("goemotions", "messages", "languages", "brighter", "brighter_en")
ENGLISH_PENALTY: Final = 1.0
MULTILINGUAL_PENALTY: Final = 10.0
"""Inverse strength of the L2 penalty (C of scikit-learn), chosen on validation rows."""
ORDINARY_WEIGHT: Final = 0.05
"""Of a 0 among messages of all kinds beside other grades, chosen there too."""


@dataclass(frozen=True, slots=True)
class Probe:
    """``weights`` (width, 8) and ``biases`` (8,), on the embeddings of ``base`` (``SentenceEncoder``): of the
    six emotions, neutral and distress; NaN for what it does not know.
    """

    base: str
    weights: Floats
    biases: Floats

    def outputs(self, embeddings: Floats) -> Floats:
        """Log-odds, shape (N, 8)."""
        said: Floats = embeddings @ self.weights + self.biases
        return said

    def save(self, folder: Path) -> None:
        """Write the folder that ``open`` reads, and ``fit --teacher``."""
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / PROBE_FILE, base=self.base, weights=self.weights, biases=self.biases)
        sources = sources_of(self.base)
        run = {
            "command": command_line(),
            "recipe": {
                "name": "probe",
                "presence": float("presence" in sources.values()),
                "distress": 1.0,
                "unranked": tuple(sources),
                "languages": languages_of(self.base),
                "asked": ASKED_TOO,
            },
            "train_rows": {source: {} for source in sources},
        }
        write_facts(folder, run)

    @classmethod
    def open(cls, folder: Path) -> "Probe":
        """The probe in a folder. Raises ``TrainingError`` where its file is cut."""
        remedy = "emotion-train probe makes it anew"
        base, weights, biases = read_arrays(folder / PROBE_FILE, remedy, "base", "weights", "biases")
        return cls(str(base), weights, biases)


def sources_of(base: str) -> dict[Source, Output]:
    """Whose rows teach a probe on that base, and what."""
    return ENGLISH_SOURCES if base == MPNET else MULTILINGUAL_SOURCES


def languages_of(base: str) -> tuple[str, ...]:
    """The languages that it reads; all where none is named."""
    return ("en",) if base == MPNET else ()


def fit_probe(rows: Sequence[Row], base: str, encoder: SentenceEncoder) -> Probe:
    """The probe of ``rows`` on ``base``, which is that of ``encoder``."""
    own = targets(rows, LABELS)
    sources = sources_of(base)
    kinds = np.array([sources.get(row.source) for row in rows])  # type: ignore[call-overload]
    of_presence, of_distress = kinds == "presence", (kinds == "distress") & (own.grade_weight > 0)
    taught = np.flatnonzero(of_presence | of_distress)
    penalty = ENGLISH_PENALTY if base == MPNET else MULTILINGUAL_PENALTY
    embeddings = encoder.embed([rows[i].text for i in taught.tolist()])
    weights = np.full((embeddings.shape[1], len(LABELS) + 1), np.nan)
    biases = np.full(len(LABELS) + 1, np.nan)
    for k in range(len(EMOTIONS)):
        known = of_presence[taught] & (own.known[taught, k] > 0)
        if own.present[taught[known], k].any():
            asked = taught[known]
            weights[:, k], biases[k] = regress(
                embeddings[known], own.present[asked, k], np.ones(len(asked)), penalty
            )
    graded = of_distress[taught]
    asked = taught[graded]
    counted = np.where(own.grade_weight[asked] < 1, ORDINARY_WEIGHT, 1.0)
    weights[:, -1], biases[-1] = regress(embeddings[graded], own.distress[asked], counted, penalty)
    return Probe(base, weights, biases)
