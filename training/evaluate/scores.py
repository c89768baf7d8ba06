"""Everything that is measured of one model, as plain numbers; ``report`` beside it makes them readable.

The test split is opened here and nowhere else, once for each published row. Shapes: N rows, K labels.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from model.calibration import Calibration
from model.classifier import EmotionClassifier
from model.decide import DecisionRule
from model.labels import EMOTIONS, LABEL2ID, LABELS
from training.data.brighter import load_brighter
from training.data.languages import BRIGHTER
from training.data.messages import load_distress, load_languages, load_messages, load_replies
from training.data.rows import Row, load_emotion, load_goemotions
from training.data.xed import load_xed
from training.errors import TrainingError
from training.evaluate.behaviour import Outcome, pass_rates, run_cases
from training.evaluate.benchmark import Benchmark, benchmark, own_temperature
from training.evaluate.distress import distress_scores
from training.evaluate.predict import columns_of, open_classifier, row_logits, row_outputs, row_presences
from training.evaluate.several import by_language, carried
from training.fit.validation import presence_logits
from training.metrics import (
    Floats,
    Indices,
    accuracy,
    bootstrap_interval,
    ece,
    f1_by_label,
    macro_f1,
    presence_f1,
)
from training.runs import LOG_FILE, facts_of, resplit_of

# The two example sentences of the report that this project follows, and what they should be.
EXAMPLES: Final = (
    ("I can't believe how beautiful this day is!", "joy"),
    ("Why would you betray me like this?", "anger"),
)

TOLD: Final = ("command", "recipe", "seed", "seconds", "train_rows", "parameters")
"""What a report says of a run, where the run says it."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All measurements of one model."""

    model: dict[str, Any]
    benchmark: Benchmark
    seven_way: dict[str, float]
    goemotions: dict[str, float]
    messages: dict[str, float]
    replies: dict[str, float]
    languages: dict[str, float]
    distress: dict[str, float]
    behaviour: dict[str, tuple[int, int]]
    behaviour_failures: list[Outcome]
    examples: list[dict[str, Any]]
    history: list[dict[str, float]]

    def as_json(self) -> dict[str, Any]:
        """The numbers without example texts: what comparisons and the model card read."""
        return {
            "model": self.model,
            "benchmark": self.benchmark.scores,
            "intervals": self.benchmark.intervals,
            "by_label": self.benchmark.by_label,
            "seven_way": self.seven_way,
            "goemotions": self.goemotions,
            "messages": self.messages,
            "replies": self.replies,
            "languages": self.languages,
            "distress": self.distress,
            "behaviour": self.behaviour,
        }


def evaluate(folder: Path, data: Path | None, *, device: str = "auto", precision: str = "fp32") -> Evaluation:
    """Measure the model in ``folder`` on the test splits and the behavioural set."""
    classifier = open_classifier(folder, device=device, precision=precision)
    calibration = Calibration.load(folder)
    emotion = load_emotion(data, resplit_of(folder))
    logits = row_logits(classifier, emotion.test)
    labels = np.array([LABEL2ID[row.label] for row in emotion.test])
    rule = DecisionRule(calibration, columns_of(classifier))
    outcomes = run_cases(classifier)
    return Evaluation(
        model=_describe(folder, classifier, calibration),
        benchmark=benchmark(
            logits,
            labels,
            emotion,
            temperature=rule.temperatures(logits),
            own_temperature=own_temperature(row_logits(classifier, emotion.validation), emotion.validation),
        ),
        seven_way=_seven_way(logits, labels, rule),
        goemotions=goemotions_scores(classifier, rule, data),
        messages=_written_scores(classifier, rule, load_messages().test),
        replies=_written_scores(classifier, rule, load_replies()),
        languages=language_scores(classifier, rule, data),
        distress=_distress(classifier, calibration),
        behaviour=pass_rates(outcomes),
        behaviour_failures=[outcome for outcome in outcomes if not outcome.passed],
        examples=_examples(classifier),
        history=_history(folder),
    )


def goemotions_scores(
    classifier: EmotionClassifier, rule: DecisionRule, data: Path | None
) -> dict[str, float]:
    """Seven-way scores on GoEmotions' single-label test rows, by the shipped rule.

    A model without a neutral logit gets the neutral threshold that is best on the validation rows.
    """
    scores: dict[str, float] = {"neutral_threshold": rule.calibration.neutral_threshold}
    for name, ekman in (("", False), ("ekman_", True)):
        rows = load_goemotions(data, ekman=ekman).test
        probabilities, labels = _placed(classifier, rule, rows)
        predicted = rule.choose(probabilities)
        scores[f"{name}rows"] = float(len(rows))
        scores[f"{name}accuracy"] = accuracy(predicted, labels)
        scores[f"{name}macro_f1"] = macro_f1(predicted, labels, len(LABELS))
        if not ekman:
            by_label = f1_by_label(predicted, labels, len(LABELS))
            scores["ece"] = ece(probabilities, labels)
            scores |= {f"f1_{label}": float(f1) for label, f1 in zip(LABELS, by_label, strict=True)}
            low, high = bootstrap_interval(
                lambda part, predicted=predicted, labels=labels: macro_f1(  # type: ignore[misc]
                    predicted[part], labels[part], len(LABELS)
                ),
                len(labels),
            )
            scores |= {"macro_f1_low": low, "macro_f1_high": high}
    return scores


def _placed(classifier: EmotionClassifier, rule: DecisionRule, rows: Sequence[Row]) -> tuple[Floats, Indices]:
    """Calibrated probabilities of the seven labels, (N, 7), and each row's label, (N,)."""
    probabilities = rule.probabilities(row_logits(classifier, rows).astype(np.float32))
    return probabilities, np.array([LABEL2ID[row.label] for row in rows])


def _seven_way(logits: Floats, labels: Indices, rule: DecisionRule) -> dict[str, float]:
    """The shipped decision on the benchmark's rows: every "neutral" is an error there."""
    predicted = rule.choose(rule.probabilities(logits.astype(np.float32)))
    return {
        "accuracy": accuracy(predicted, labels),
        "called_neutral": float((predicted == LABEL2ID["neutral"]).mean()),
    }


def _written_scores(
    classifier: EmotionClassifier, rule: DecisionRule, rows: Sequence[Row]
) -> dict[str, float]:
    """Seven-way scores on messages written for this project to test with."""
    probabilities, labels = _placed(classifier, rule, rows)
    predicted = rule.choose(probabilities)
    return {
        "rows": float(len(rows)),
        "accuracy": accuracy(predicted, labels),
        "macro_f1": macro_f1(predicted, labels, len(LABELS)),
        "ece": ece(probabilities, labels),
    }


def language_scores(classifier: EmotionClassifier, rule: DecisionRule, data: Path | None) -> dict[str, float]:
    """Macro-F1 of several emotions a text: on BRIGHTER's dev rows by language, on XED's held-out tenth where
    the model reads English alone (``training.data.xed``), and accuracy on the written messages by language.
    Without a folder that holds the sets, the messages alone.

    BRIGHTER's threshold is cross-validated on the dev rows, one for all emotions; on XED each emotion has the
    shipped one. Of BRIGHTER's English rows, ``labels`` is of what an event says, and ``ece`` takes a label
    for right where it is one of theirs.
    """
    scores: dict[str, float] = {}
    if data is not None and (data / "brighter").is_dir():
        rows = load_brighter(data, BRIGHTER).validation
        outputs = row_outputs(classifier, rows)
        f1 = by_language(rows, presence_logits(outputs, len(classifier.columns)))
        claimed = set(rule.calibration.measured_languages)
        scores |= {f"brighter_{tag}": score for tag, score in f1.items()}
        scores["brighter_claimed_mean"] = float(np.mean([f1[tag] for tag in claimed if tag in f1] or [0.0]))
        english = [i for i, row in enumerate(rows) if row.language == "en"]
        scores["brighter_en_ece"] = _any_label_ece(rule, outputs[english], [rows[i] for i in english])
        scores["brighter_en_labels"] = _published_score(rule, outputs[english], [rows[i] for i in english])
    english_alone = set(rule.calibration.measured_languages) <= {"en"}
    if english_alone and data is not None and (data / "xed").is_dir():
        scores["xed_en"] = _xed_score(classifier, rule, data)
    test = load_languages().test
    if test:
        probabilities, labels = _placed(classifier, rule, test)
        right = rule.choose(probabilities) == labels
        for tag in sorted({row.language for row in test}):
            place = [i for i, row in enumerate(test) if row.language == tag]
            scores[f"messages_{tag}"] = float(right[place].mean())
    return scores


def _published_score(rule: DecisionRule, outputs: Floats, rows: Sequence[Row]) -> float:
    """Macro-F1 of ``labels`` as an event has them: at the shipped thresholds, none where it is neutral."""
    single = outputs.astype(np.float32)
    published = rule.labels(rule.choose(rule.probabilities(single)), rule.presences(single))
    said = np.array([[emotion in labels for emotion in EMOTIONS] for labels in published])
    every = carried(rows, outputs)
    return presence_f1(said, every.present, every.known)


def _any_label_ece(rule: DecisionRule, outputs: Floats, rows: Sequence[Row]) -> float:
    """ECE where any label of a text is right, so that a text of two feelings does not make a model wrong."""
    probabilities = rule.probabilities(outputs.astype(np.float32))
    chosen = probabilities.argmax(axis=1)
    hit = [LABELS[label] in row.labels for label, row in zip(chosen.tolist(), rows, strict=True)]
    return ece(probabilities, np.where(hit, chosen, (chosen + 1) % len(LABELS)))


def _xed_score(classifier: EmotionClassifier, rule: DecisionRule, data: Path) -> float:
    rows = load_xed(data).test
    every = carried(rows, row_presences(classifier, rows))
    said = rule.carried(every.logits)
    return presence_f1(said, every.present, every.known)


def _distress(classifier: EmotionClassifier, calibration: Calibration) -> dict[str, float]:
    """The published distress score on the messages graded to test with, in the languages measured."""
    rows = [row for row in load_distress().test if calibration.reads(row.language)]
    emotions = classifier.classify([row.text for row in rows])
    return distress_scores(np.array([emotion.distress.score for emotion in emotions]), rows, calibration)


def _examples(classifier: EmotionClassifier) -> list[dict[str, Any]]:
    emotions = classifier.classify([text for text, _ in EXAMPLES])
    return [
        {"text": text, "expected": expected, "label": emotion.label, "confidence": emotion.confidence}
        for (text, expected), emotion in zip(EXAMPLES, emotions, strict=True)
    ]


def _describe(folder: Path, classifier: EmotionClassifier, calibration: Calibration) -> dict[str, Any]:
    """Which model this is: from the classifier, and from the run's own file where there is one."""
    info = classifier.info
    described: dict[str, Any] = {
        "name": info.name,
        "revision": info.revision,
        "languages": ", ".join(info.languages),
        "precision": info.precision,
        "temperature": calibration.temperature,
        "temperature_entropy": calibration.temperature_entropy,
        "neutral_threshold": calibration.neutral_threshold,
    }
    if run := facts_of(folder):
        told = run.model_dump(mode="json", include=set(TOLD), exclude_unset=True)
        described |= {name: told[name] for name in TOLD if told.get(name) is not None}
    return described


def _history(folder: Path) -> list[dict[str, float]]:
    file = folder / LOG_FILE
    if not file.is_file():
        return []
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(lines)]
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(f"{file} is no learning curve: remove it, a report does without") from error
