"""Cross-fitted readings: which emotions BRIGHTER's texts carry, as said by what has not learnt from them.

    texts ─┬─ embeddings of frozen encoders ─ a regression each ─┐
           └─ n-grams of characters ───────── a regression ──────┴─ log-odds ─ stacked ─► emotions, neutral

    fitted on four fifths of a language's rows ─► said of the fifth that is left, for each fifth in turn

A language has one to four thousand labelled rows: enough for regressions, and so few that a network learns
them by heart; a teacher that has trained on them can only repeat their labels. Out of fold, soft labels hold
what a text tells of its emotions, and how surely. (Wolpert, "Stacked generalization", 1992; Chernozhukov et
al., "Double/debiased machine learning", 2018.) The folder holds ``crossfit.npz``, and a ``run.json`` as runs
have it: a teacher that is asked of these texts alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from model.decide import logistic
from model.labels import EMOTIONS, LABELS
from training.bases.sentences import SentenceEncoder
from training.data.rows import Row, text_key
from training.errors import TrainingError
from training.fit.probe import languages_of
from training.fit.recipe import Source
from training.fit.targets import Targets, targets
from training.metrics import Floats, Indices
from training.runs import CROSSFIT_FILE, command_line, read_arrays, write_facts

SOURCES: Final[tuple[Source, ...]] = ("brighter", "brighter_en")
FOLDS: Final = 5
LEAST_ROWS: Final = 10
"""Of a label that so few texts of a language carry, nothing is said."""
PENALTY: Final = 10.0
STACKED_PENALTY: Final = 1.0
"""Inverse strength of the L2 penalty (C of scikit-learn), chosen on validation rows; of what is stacked, as
scikit-learn has it.
"""
NGRAMS: Final = (2, 5)
"""Characters, from and to."""
LEAST_SHARE: Final = 1e-4
"""Of a label that a text does not carry: a softmax has no 0."""


@dataclass(frozen=True, slots=True)
class CrossFit:
    """``outputs`` (N, 13) by the ``keys`` of their texts, as a network with outputs of presence has them: the
    logits of the seven labels, then those of each emotion's presence; NaN where nothing is said of one.
    """

    keys: tuple[str, ...]
    outputs: Floats

    def of(self, texts: Sequence[str]) -> Floats:
        """Outputs of these texts. Raises ``TrainingError`` for one that it holds nothing of."""
        place = {key: i for i, key in enumerate(self.keys)}
        try:
            return self.outputs[[place[text_key(text)] for text in texts]]
        except KeyError:
            raise TrainingError(
                "these readings are of other texts of BRIGHTER: emotion-train crossfit makes them anew"
            ) from None

    def save(self, folder: Path) -> None:
        """Write the folder that ``open`` reads, and ``fit --teacher``."""
        np.savez(folder / CROSSFIT_FILE, keys=self.keys, outputs=self.outputs)
        run = {
            "command": command_line(),
            "recipe": {"name": "crossfit", "presence": 1.0, "presence_output": True},
            "train_rows": {source: {} for source in SOURCES},
        }
        write_facts(folder, run)

    @classmethod
    def open(cls, folder: Path) -> "CrossFit":
        """The readings in a folder. Raises ``TrainingError`` where their file is cut."""
        remedy = "emotion-train crossfit makes it anew"
        keys, outputs = read_arrays(folder / CROSSFIT_FILE, remedy, "keys", "outputs")
        return cls(tuple(keys.tolist()), outputs)


def cross_fit(
    rows: Sequence[Row],
    encoders: dict[str, SentenceEncoder],
    told: Callable[[str], object] | None = None,
) -> CrossFit:
    """The readings of ``rows``, each language for itself; ``encoders`` by base, each of the languages that it
    reads. ``told`` hears of each language that is done.
    """
    outputs = np.full((len(rows), len(LABELS) + len(EMOTIONS)), np.nan)
    for language in sorted({row.language for row in rows}):
        places = np.array([i for i, row in enumerate(rows) if row.language == language])
        texts = [rows[i].text for i in places]
        reading = [
            encoder for base, encoder in encoders.items() if language in (languages_of(base) or (language,))
        ]
        inputs = [_ngrams(texts), *(encoder.embed(texts) for encoder in reading)]
        present = _presence(inputs, targets([rows[i] for i in places], LABELS))
        outputs[places, : len(LABELS)] = np.log(np.maximum(first_labels(present), LEAST_SHARE))
        outputs[places, len(LABELS) :] = present[:, : len(EMOTIONS)]
        if told is not None:
            told(language)
    return CrossFit(tuple(text_key(row.text) for row in rows), outputs)


def first_labels(present: Floats) -> Floats:
    """How likely each label is the first of a text's that is come to, (N, 7), going through them from the
    likeliest one on: from log-odds of the emotions and of neutral, (N, 7), as if independent of each other.

    So the likeliest label is as likely as people are to mark it, whatever else the text carries; where it is
    so unlikely that another would outgrow it by what is left to share, both have the lead. Equal shares for
    all that a text carries would make a network the less sure of a label the more of them are right, and of
    two feelings neither would outweigh a neutral that is less likely than both.
    """
    likely = np.nan_to_num(logistic(present))
    order = np.argsort(-likely, axis=1)
    falling = np.take_along_axis(likely, order, axis=1)
    before = np.cumprod(np.insert(1 - falling[:, :-1], 0, 1, axis=1), axis=1)
    later = np.maximum((falling * before)[:, 1:], LEAST_SHARE)
    later *= (1 - falling[:, :1]) / later.sum(axis=1, keepdims=True)
    later = np.minimum(later, falling[:, :1])  # where nothing is likely, the rest is not what stands first
    first: Floats = np.empty_like(likely)
    np.put_along_axis(first, order, np.insert(later, 0, falling[:, 0], axis=1), axis=1)
    first /= first.sum(axis=1, keepdims=True)
    return first


def _presence(inputs: Sequence[Any], own: Targets) -> Floats:
    """Log-odds out of fold that a text carries each label, (N, 7); NaN for one that too few texts carry."""
    said = np.full(own.present.shape, np.nan)
    for k in range(own.present.shape[1]):
        known = np.flatnonzero(own.known[:, k])
        there = own.present[known, k] > 0
        if LEAST_ROWS <= there.sum() <= len(there) - LEAST_ROWS:
            folds = _folds(there)
            each = np.stack([_out_of_fold(part, known, there, folds) for part in inputs], axis=1)
            said[known, k] = _out_of_fold(each, np.arange(len(known)), there, folds, STACKED_PENALTY)
    return said


def _folds(there: Any) -> Indices:
    """The fold of each row, (N,): every fold has as many of those that carry the label."""
    from sklearn.model_selection import StratifiedKFold

    folds = np.empty(len(there), dtype=np.int64)
    splits = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(there, there)
    for fold, (_, held) in enumerate(splits):
        folds[held] = fold
    return folds


def _out_of_fold(inputs: Any, known: Indices, there: Any, folds: Indices, penalty: float = PENALTY) -> Floats:
    """Log-odds of each known row, (N,), by a regression on the other folds; ``inputs`` may be sparse."""
    from sklearn.linear_model import LogisticRegression

    solver = "lbfgs" if isinstance(inputs, np.ndarray) else "liblinear"  # each some times faster there
    said = np.empty(len(known))
    for fold in range(FOLDS):
        rest, held = folds != fold, folds == fold
        fitted = LogisticRegression(C=penalty, solver=solver, max_iter=1000).fit(
            inputs[known[rest]], there[rest]
        )
        said[held] = fitted.decision_function(inputs[known[held]])
    return said


def _ngrams(texts: Sequence[str]) -> Any:
    """Characters within words by how telling they are (TF-IDF), sparse, (N, n-grams)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    counted = TfidfVectorizer(analyzer="char_wb", ngram_range=NGRAMS, min_df=2, sublinear_tf=True)
    return counted.fit_transform(texts)
