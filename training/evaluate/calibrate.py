"""The numbers that ship beside the weights, all chosen on validation rows: temperature, neutral threshold,
distress.

validation logits ─► temperature ─► probabilities ─► neutral threshold
               │                                 └─► distress map and levels ─► calibration.json
               └─► when a text carries each emotion (several) ──────────────────────┘

A model with an output of its own for distress gets its map and levels from the messages graded by distress,
and from ordinary ones how low the levels may begin.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from model import manifest
from model.calibration import Calibration, DistressLevels, DistressWeights
from model.classifier import EmotionClassifier
from model.decide import DecisionRule, logistic, temperatures
from model.folder import SAFETENSORS_FILE, ModelFolder
from model.labels import LABEL2ID, LABELS, NEUTRAL
from model.outputs import beside
from model.runtimes.beside import rows_beside
from training.data.brighter import ENGLISH, load_brighter
from training.data.languages import MULTILINGUAL
from training.data.messages import load_distress, load_languages, load_messages
from training.data.rows import Row, load_emotion, load_goemotions
from training.data.xed import load_xed
from training.errors import TrainingError
from training.evaluate.distress import wanted
from training.evaluate.predict import (
    columns_of,
    open_classifier,
    require_model,
    row_logits,
    row_outputs,
    row_presences,
)
from training.evaluate.several import Carried, by_language, carried, fit_presences
from training.fit.validation import presence_logits
from training.metrics import Floats, Indices, macro_f1, softmax
from training.runs import facts_of, forget_calibration, resplit_of

# The sets whose validation rows a temperature is fitted on, where a model was trained on them.
TEMPERATURE_SETS: Final = ("emotion", "goemotions", "messages")
# The sets whose texts carry several labels.
SEVERAL_SETS: Final = ("brighter", "brighter_en", "xed")
MAX_TOKENS: Final = 128
OVERLAP_TOKENS: Final = 32
# The share of messages at or above a level that are truly sadness, fear or anger, on validation.
LEVEL_PRECISION: Final = {"watch": 0.7, "elevated": 0.85, "high": 0.95}
# The same of an output of its own: the share that a person would want to see. Lower, since whom the lowest
# level misses, nobody looks at.
OUTPUT_LEVEL_PRECISION: Final = {"watch": 0.65, "elevated": 0.8, "high": 0.95}
# The largest share of ordinary messages at or above the lowest level: of more, nobody looks at all.
ORDINARY_AT_WATCH: Final = 0.1
# What a neutral threshold has to gain in macro-F1: it calls texts neutral that the model finds anything but.
THRESHOLD_GAIN: Final = 0.005
NEUTRAL_THRESHOLDS: Final = tuple(float(threshold) for threshold in np.arange(0.0, 0.96, 0.025).round(3))
MAP_KNOTS: Final = 16
OUTPUT_RANGE: Final = 6.0
"""Logits of distress beyond this are read as this."""


@dataclass(frozen=True, slots=True)
class Validation:
    """Logits (N, K), labels (N,) of one data set's validation rows, and the labels that it can have."""

    logits: Floats
    labels: Indices
    columns: tuple[int, ...]


def calibrate(
    folder: Path, data: Path | None, *, device: str = "auto", name: str | None = None
) -> Calibration:
    """Fit all of it on the validation rows of dair-ai/emotion, GoEmotions and the messages; writes
    ``calibration.json``.

    Raises ``TrainingError`` for a folder that was exported: what to fit is known of its run alone.
    """
    facts = facts_of(folder)
    require_model(folder)
    read = {
        "emotion": load_emotion(data, resplit_of(folder)).validation,
        "goemotions": load_goemotions(data).validation,
    }
    _require_trained(folder, exported=facts is None)
    forget_calibration(folder)
    classifier, messages = open_classifier(folder, device=device), load_messages().validation
    sets = {source: _validation(rows, row_logits(classifier, rows)) for source, rows in read.items()}
    outputs = row_outputs(classifier, messages)
    sets["messages"] = _validation(messages, outputs[:, : len(classifier.columns)])
    opened = ModelFolder.open(folder)
    base = Calibration(
        name=name, revision=opened.trained_revision, max_tokens=min(MAX_TOKENS, opened.max_tokens)
    )
    judged = sets if facts is None or facts.validation_rows is None else facts.validation_rows
    trained_on = [source for source in TEMPERATURE_SETS if source in judged]
    calibration = fit_calibration(sets, columns_of(classifier), base, trained_on)
    sources = set() if facts is None else set(facts.train_rows)
    if facts is None or facts.recipe.languages != ("en",):
        sources.discard("xed")  # it may have been trained on translations of what is held out
    if any(source in sources for source in SEVERAL_SETS):
        said = carried(messages, presence_logits(outputs, len(classifier.columns)))
        calibration = _with_presences(calibration, classifier, data, sources, said)
    if "distress" in beside(len(classifier.columns), outputs.shape[1]):
        calm = outputs[[not row.distress for row in messages], -1]
        calibration = _with_distress_output(calibration, classifier, calm)
    calibration.save(folder)
    return calibration


def _require_trained(folder: Path, *, exported: bool) -> None:
    """Refuse, before the calibration that is there goes, a folder without weights for torch, and where
    nobody says what it was trained on one with outputs beside its labels, or a manifest.
    """
    weights = folder / SAFETENSORS_FILE
    if exported and ((folder / manifest.FILE_NAME).is_file() or (weights.is_file() and rows_beside(weights))):
        raise TrainingError(
            f"{folder} was exported, and its run alone says what to fit: calibrate that, then export it"
        )
    if not weights.is_file():
        raise TrainingError(f"{weights} is missing: a run has the weights for torch, which are calibrated")


def _with_presences(
    calibration: Calibration,
    classifier: EmotionClassifier,
    data: Path | None,
    sources: Collection[str],
    messages: Carried,
) -> Calibration:
    """The calibration with when a text carries each emotion, and the languages that this was fitted on.

    Those who labelled BRIGHTER and XED were not asked for love: when a text carries that, the messages say.
    """
    known = {"brighter": MULTILINGUAL, "brighter_en": (ENGLISH,)}
    languages = next((known[source] for source in known if source in sources), ())
    brighter = load_brighter(data, languages).validation
    sets = [rows for rows in (brighter, load_xed(data).validation if "xed" in sources else ()) if rows]
    logits = [row_presences(classifier, rows) for rows in sets]
    presence = fit_presences([messages]) | fit_presences(
        [carried(rows, part) for rows, part in zip(sets, logits, strict=True)]
    )
    scores = by_language(brighter, logits[0]) if brighter else {}
    return calibration.model_copy(
        update={"presence": presence, "languages": {tag: round(score, 4) for tag, score in scores.items()}}
    )


def _with_distress_output(
    calibration: Calibration, classifier: EmotionClassifier, calm: Floats
) -> Calibration:
    """The calibration with map and levels of distress; ``calm`` is what it says of ordinary messages."""
    rows = [
        row
        for splits in (load_distress(), load_languages())
        for row in splits.validation
        if row.distress is not None and calibration.reads(row.language)
    ]
    knots, levels = fit_distress_output(row_outputs(classifier, rows)[:, -1], wanted(rows), calm)
    return calibration.model_copy(update={"distress_map": knots, "distress_levels": levels})


def fit_calibration(
    sets: dict[str, Validation], columns: Sequence[int], base: Calibration, trained_on: Sequence[str]
) -> Calibration:
    """``base`` with everything fitted on ``sets``; ``columns[k]`` is the label of logit k.

    The temperature and its exponent are fitted on the sets that the model was ``trained_on``. Thresholds
    and levels depend on how common each label is, so dair-ai/emotion, which has no neutral, has no say in
    them where there are others: the neutral threshold is fitted on all others, each with the same weight,
    distress on GoEmotions, the one with rows enough.
    """
    overlap = min(OVERLAP_TOKENS, base.max_tokens // 4)
    temperature, exponent = fit_entropy_temperature([sets[name] for name in trained_on])
    update = {"temperature": temperature, "temperature_entropy": exponent, "overlap_tokens": overlap}
    fitted = base.model_copy(update=update)
    rule = DecisionRule(fitted, columns)
    with_neutral = {name: part for name, part in sets.items() if LABEL2ID[NEUTRAL] in part.columns} or sets
    placed = {
        name: (rule.probabilities(part.logits.astype(np.float32)), part.labels)
        for name, part in with_neutral.items()
    }
    threshold = fit_neutral_threshold(list(placed.values()), columns, least_gain=THRESHOLD_GAIN)
    knots, levels = fit_distress(
        *(placed.get("goemotions") or next(iter(placed.values()))), base.distress_weights
    )
    return fitted.model_copy(
        update={"neutral_threshold": threshold, "distress_map": knots, "distress_levels": levels}
    )


def fit_temperature(sets: Sequence[Validation]) -> float:
    """The temperature with the least negative log-likelihood, each data set with the same weight."""
    from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]  # ships no types

    def loss(log_temperature: float) -> float:
        return sum(_nll(part, float(np.exp(log_temperature))) for part in sets)

    found = minimize_scalar(loss, bounds=(np.log(0.2), np.log(5.0)), method="bounded")
    return round(float(np.exp(found.x)), 4)


def fit_entropy_temperature(sets: Sequence[Validation]) -> tuple[float, float]:
    """Temperature and exponent (``model.decide.temperatures``) with the least negative log-likelihood, each
    data set with the same weight.
    """
    from scipy.optimize import minimize

    def loss(parameters: Floats) -> float:
        log_temperature, exponent = (float(parameter) for parameter in parameters)
        return sum(
            _nll(part, temperatures(part.logits, float(np.exp(log_temperature)), exponent)) for part in sets
        )

    bounds = [(np.log(0.2), np.log(5.0)), (0.0, 1.0)]
    found = minimize(loss, x0=(0.0, 0.05), bounds=bounds, method="Nelder-Mead")
    return round(float(np.exp(found.x[0])), 4), round(float(found.x[1]), 4)


def fit_neutral_threshold(
    sets: Sequence[tuple[Floats, Indices]], columns: Sequence[int], *, least_gain: float = 0.0
) -> float:
    """The threshold with the best macro-F1 over seven labels, as a mean over ``sets``; 0 where none gains
    more than ``least_gain`` over the plain argmax.

    Each set is probabilities (N, 7) in the order of ``LABELS``, and labels (N,). The least of equally good
    thresholds is taken.
    """

    def score(threshold: float) -> float:
        rule = DecisionRule(Calibration(neutral_threshold=threshold), tuple(columns))
        return sum(macro_f1(rule.choose(part), labels, len(LABELS)) for part, labels in sets) / len(sets)

    best = max(NEUTRAL_THRESHOLDS, key=lambda threshold: (round(score(threshold), 6), -threshold))
    return best if score(best) > score(0.0) + least_gain else 0.0


def fit_distress(
    probabilities: Floats, labels: Indices, weights: DistressWeights
) -> tuple[tuple[tuple[float, float], ...], DistressLevels]:
    """An isotonic map from the weighted sum to the weight of the true label, and where each level begins."""
    by_label = np.zeros(len(LABELS))
    for label, weight in weights.model_dump().items():
        by_label[LABEL2ID[label]] = weight
    return fit_distress_map(probabilities @ by_label, by_label[labels])


def fit_distress_map(raw: Floats, truth: Floats) -> tuple[tuple[tuple[float, float], ...], DistressLevels]:
    """An isotonic map from a reading to how much of it is true, both of shape (N,) in [0, 1], and where each
    level begins.
    """
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(raw, truth)
    knots = _thinned(fitted.X_thresholds_, fitted.y_thresholds_)
    xs, ys = zip(*knots, strict=True)
    score = np.interp(raw, xs, ys)
    return knots, DistressLevels(**_level_starts(score, truth > 0, LEVEL_PRECISION))


def fit_distress_output(
    output: Floats, distressed: npt.NDArray[np.bool_], ordinary: Floats
) -> tuple[tuple[tuple[float, float], ...], DistressLevels]:
    """A map from the logistic of ``output`` to the share of truly distressed messages, and where each level
    begins; both of shape (N,). ``ordinary`` is the output of messages as they come, shape (M,).

    Graded messages are few, and isotonic regression makes steps of them. Two numbers do not (Platt,
    "Probabilistic Outputs for Support Vector Machines", 1999).
    """
    from sklearn.linear_model import LogisticRegression

    platt = LogisticRegression(C=1e6).fit(output[:, None], distressed)
    scale, bias = max(0.01, float(platt.coef_[0, 0])), float(platt.intercept_[0])
    places = np.linspace(-OUTPUT_RANGE, OUTPUT_RANGE, MAP_KNOTS)
    knots = _thinned(logistic(places), logistic(places * scale + bias))
    xs, ys = zip(*knots, strict=True)
    score, ordinary_score = (np.interp(logistic(part), xs, ys) for part in (output, ordinary))
    least = float(np.quantile(ordinary_score, 1 - ORDINARY_AT_WATCH)) if len(ordinary) else 0.0
    return knots, DistressLevels(**_level_starts(score, distressed, OUTPUT_LEVEL_PRECISION, least))


def _level_starts(
    score: Floats, distressed: npt.NDArray[np.bool_], precisions: dict[str, float], least: float = 0.0
) -> dict[str, float]:
    """For each level the least score from which on the wanted share of messages is truly distressed; none
    below ``least``.
    """
    starts: dict[str, float] = {}
    least = max(0.05, round(least, 2))
    for level, precision in precisions.items():
        reached = [start for start in np.arange(0.05, 1.0, 0.01) if (score >= start).any()
                   and distressed[score >= start].mean() >= precision]  # fmt: skip
        least = max(least, round(float(reached[0]), 2) if reached else 0.99)
        starts[level] = least
    return starts


def _thinned(xs: Floats, ys: Floats) -> tuple[tuple[float, float], ...]:
    """At most ``MAP_KNOTS`` knots of a non-decreasing map, strictly ascending in x after rounding."""
    places = np.unique(np.linspace(0, len(xs) - 1, MAP_KNOTS).round().astype(int))
    knots = [(round(float(xs[i]), 4), round(float(ys[i]), 4)) for i in places]
    kept = [knots[0], *(after for before, after in pairwise(knots) if after[0] > before[0])]
    return tuple(kept) if len(kept) > 1 else ((0.0, kept[0][1]), (1.0, kept[0][1]))


def _validation(rows: Sequence[Row], logits: Floats) -> Validation:
    labels = np.array([LABEL2ID[row.label] for row in rows])
    return Validation(logits, labels, tuple(sorted({int(label) for label in labels})))


def _nll(part: Validation, temperature: float | Floats) -> float:
    """Mean negative log-likelihood over the labels that the set can have and the model knows."""
    known = [column for column in part.columns if column < part.logits.shape[1]]
    rows = np.isin(part.labels, known)
    if not rows.any():
        raise TrainingError("no validation row has a label that the model knows")
    chosen = np.searchsorted(known, part.labels[rows])
    if not isinstance(temperature, float):
        temperature = temperature[rows]
    probabilities = softmax(part.logits[rows][:, known], temperature)
    return float(-np.log(probabilities[np.arange(len(chosen)), chosen] + 1e-12).mean())
