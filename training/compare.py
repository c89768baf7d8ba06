"""All approaches on the same splits, side by side, with what each costs.

Runs that a folder does not hold yet are trained first, each in a process of its own, so that its peak
memory is its own; runs that are there are taken as they are. Then every row is measured in the same way:

    tf-idf + logistic regression · report · lora · decoder with lora · best · polish ·
    ensemble of polish's seeds · int8 of polish
"""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Final

import numpy as np
from pydantic import BaseModel

from model.calibration import Calibration
from model.decide import DecisionRule
from model.labels import LABEL2ID, LABELS
from training.data.leakage import without_leaks
from training.data.rows import (
    Row,
    Splits,
    drop_contradictions,
    load_emotion,
    load_goemotions,
)
from training.errors import TrainingError
from training.evaluate.benchmark import benchmark, own_temperature
from training.evaluate.calibrate import calibrate, fit_neutral_threshold
from training.evaluate.predict import open_classifier, row_logits
from training.fit.recipes import DECODER
from training.metrics import Floats, Indices, macro_f1
from training.runs import RUN_FILE, as_json, read_facts, require_split
from training.ship.export import export

TRAINED: Final = ("report", "lora", "decoder", "best", "polish")
ROWS: Final = ("tf-idf", *TRAINED, "ensemble", "int8")
COLUMNS: Final = ("accuracy", "macro_f1", "roc_auc_weighted", "ece_after")


@dataclass(frozen=True, slots=True)
class Compared:
    """One row of the table: scores of each seed, and costs."""

    name: str
    scores: list[dict[str, float]]
    seconds: float
    parameters: int
    peak_bytes: int
    notes: str = ""

    def shown(self, score: str) -> str:
        """Mean and spread over the seeds."""
        values = [scores[score] for scores in self.scores]
        return f"{mean(values):.4f}" + (f" ± {stdev(values):.4f}" if len(values) > 1 else "")


class Costs(BaseModel):
    """What a run's own file says that it cost."""

    seconds: float
    parameters: int
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything the rows need: data, where runs are, which seeds, and how to train what is missing."""

    out: Path
    data: Path | None
    seeds: tuple[int, ...]
    base: str
    device: str = "auto"
    decoder_base: str = DECODER.base
    report_progress: Callable[[str], None] = field(default=lambda _: None)

    def run(self, names: Sequence[str]) -> list[Compared]:
        """The named rows, in order; writes ``compare.json`` and ``compare.md`` into ``out``."""
        if unknown := [name for name in names if name not in ROWS]:
            raise TrainingError(f"nothing to compare is named {unknown[0]!r}; there are {', '.join(ROWS)}")
        emotion, goemotions = load_emotion(self.data), load_goemotions(self.data)
        rows: list[Compared] = []
        for name in names:
            self.report_progress(name)
            rows.append(self._row(name, emotion, goemotions))
            self._write(rows)
        return rows

    def _row(self, name: str, emotion: Splits, goemotions: Splits) -> Compared:
        if name == "tf-idf":
            return tfidf(emotion, goemotions)
        if name in TRAINED:
            return self._trained(name, emotion, goemotions)
        if name == "ensemble":
            return self._ensemble(emotion, goemotions)
        return self._int8(emotion, goemotions)

    def _trained(self, recipe: str, emotion: Splits, goemotions: Splits) -> Compared:
        folders = [self._fitted(recipe, seed) for seed in self.seeds]
        costs = [_costs(folder) for folder in folders]
        scores = [self._scores([folder], "fp32", emotion, goemotions) for folder in folders]
        return Compared(
            recipe,
            scores,
            mean(cost.seconds for cost in costs),
            costs[0].parameters,
            max(cost.peak_bytes for cost in costs),
        )

    def _ensemble(self, emotion: Splits, goemotions: Splits) -> Compared:
        folders = [self._fitted("polish", seed) for seed in self.seeds]
        costs = [_costs(folder) for folder in folders]
        return Compared(
            f"ensemble of {len(folders)} polish",
            [self._scores(folders, "fp32", emotion, goemotions)],
            sum(cost.seconds for cost in costs),
            sum(cost.parameters for cost in costs),
            max(cost.peak_bytes for cost in costs),
        )

    def _int8(self, emotion: Splits, goemotions: Splits) -> Compared:
        folder = self._fitted("polish", self.seeds[0])
        exported = self.out / f"int8-{self.seeds[0]}"
        export(folder, exported, name="int8")  # anew: nothing tells whether an earlier one is of this run
        costs = _costs(folder)
        return Compared(
            f"polish, seed {self.seeds[0]}, int8",
            [self._scores([exported], "int8", emotion, goemotions)],
            costs.seconds,
            costs.parameters,
            (exported / "model.int8.onnx").stat().st_size,
            "memory: size of the file",
        )

    def _fitted(self, recipe: str, seed: int) -> Path:
        """The calibrated run of a recipe and a seed, trained first if it is not there."""
        folder = self.out / f"{recipe}-{seed}"
        if not (folder / RUN_FILE).is_file():
            command = [sys.executable, "-m", "training.cli", "fit", "--recipe", recipe]
            command += self._begins_from(recipe, seed)
            command += ["--seed", str(seed), "--out", str(folder), "--device", self.device, "--resume"]
            command += ["--data", str(self.data)] if self.data else []
            if subprocess.run(command, check=False).returncode:
                raise TrainingError(f"training {recipe} with seed {seed} failed; its message stands above")
        require_split(None, [folder])
        if not (folder / "calibration.json").is_file():
            calibrate(folder, self.data, device=self.device)
        return folder

    def _begins_from(self, recipe: str, seed: int) -> list[str]:
        """The options of ``fit`` that name the base of a run, and its teachers; these are trained first."""
        if recipe == "decoder":
            return ["--base", self.decoder_base]
        if recipe == "teacher":
            return []
        if recipe != "polish":
            return ["--base", self.base]
        options = ["--base", str(self._fitted("best", seed))]
        for teacher in (self._fitted("teacher", 0), *(self._fitted("best", other) for other in self.seeds)):
            options += ["--teacher", str(teacher)]
        return options

    def _scores(
        self, folders: Sequence[Path], precision: str, emotion: Splits, goemotions: Splits
    ) -> dict[str, float]:
        """Scores of one model, or of the mean of several models' logits, each at its own temperature."""
        outputs, measured_ms = [], 0.0
        for folder in folders:
            device = "cpu" if precision == "int8" else self.device  # int8 runs nowhere else
            classifier = open_classifier(folder, device=device, precision=precision)
            temperature = Calibration.load(folder).temperature
            started = time.perf_counter()
            on_test = row_logits(classifier, emotion.test)
            measured_ms += 1000 * (time.perf_counter() - started)
            others = (emotion.validation, goemotions.validation, goemotions.test)
            parts = [on_test, *(row_logits(classifier, rows) for rows in others)]
            outputs.append([logits / temperature for logits in parts])
        test, validation, *beyond = (np.mean(parts, axis=0) for parts in zip(*outputs, strict=True))
        scores = _benchmark_scores(test, validation, emotion)
        scores["goemotions_macro_f1"] = goemotions_macro_f1(beyond[0], beyond[1], goemotions)
        scores["ms_a_text"] = measured_ms / len(emotion.test)
        return scores

    def _write(self, rows: list[Compared]) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        records = [{"name": row.name, "scores": row.scores, "notes": row.notes} for row in rows]
        (self.out / "compare.json").write_text(as_json(records), encoding="utf-8")
        (self.out / "compare.md").write_text(as_table(rows), encoding="utf-8")


def _costs(run: Path) -> Costs:
    """Raises ``TrainingError`` where the run does not say them all, as one that was only reopened."""
    return read_facts(run / RUN_FILE, Costs, f"move {run} away, and compare trains it anew")


def tfidf(emotion: Splits, goemotions: Splits) -> Compared:
    """Word and character n-grams with logistic regression: what no pre-training and no GPU gives."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    protected = (*emotion.held_out, *goemotions.held_out)
    train = without_leaks(drop_contradictions(emotion.train), protected)
    model = make_pipeline(
        make_union(
            TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), min_df=3, sublinear_tf=True),
        ),
        LogisticRegression(C=10.0, max_iter=300, class_weight="balanced"),
    )
    started = time.monotonic()
    model.fit([row.text for row in train], [LABEL2ID[row.label] for row in train])
    seconds = time.monotonic() - started

    def logits(rows: Sequence[Row]) -> Floats:
        scores: Floats = model.decision_function([row.text for row in rows])
        return scores

    started = time.perf_counter()
    on_test = logits(emotion.test)
    per_text_ms = 1000 * (time.perf_counter() - started) / len(emotion.test)
    scores = _benchmark_scores(on_test, logits(emotion.validation), emotion)
    scores["goemotions_macro_f1"] = goemotions_macro_f1(
        logits(goemotions.validation), logits(goemotions.test), goemotions
    )
    scores["ms_a_text"] = per_text_ms
    coefficients = model[-1].coef_
    return Compared("tf-idf + logistic regression", [scores], seconds, coefficients.size, coefficients.nbytes)


def goemotions_macro_f1(validation: Floats, test: Floats, goemotions: Splits) -> float:
    """Seven-way macro-F1 on the test rows with the neutral threshold that is best on the validation rows."""
    columns = tuple(range(test.shape[1]))
    plain = DecisionRule(Calibration(), columns)
    placed = plain.probabilities(validation.astype(np.float32))
    threshold = fit_neutral_threshold([(placed, _labels(goemotions.validation))], columns)
    rule = DecisionRule(Calibration(neutral_threshold=threshold), columns)
    predicted = rule.choose(rule.probabilities(test.astype(np.float32)))
    return macro_f1(predicted, _labels(goemotions.test), len(LABELS))


def as_table(rows: Sequence[Compared]) -> str:
    """The comparison as a Markdown table."""
    head = (
        "approach", "seeds", "accuracy", "macro-F1", "ROC-AUC, weighted", "ECE", "GoEmotions macro-F1",
        "training s", "ms a text", "parameters", "peak memory",
    )  # fmt: skip
    lines: list[Sequence[Any]] = [head, ["---"] * len(head)]
    for row in rows:
        notes = f" ({row.notes})" if row.notes else ""
        lines.append((
            row.name, len(row.scores), *(row.shown(score) for score in COLUMNS),
            row.shown("goemotions_macro_f1"),
            f"{row.seconds:.0f}", row.shown("ms_a_text"), f"{row.parameters:,}",
            f"{row.peak_bytes / 1e6:,.0f} MB{notes}",
        ))  # fmt: skip
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def _benchmark_scores(test: Floats, validation: Floats, emotion: Splits) -> dict[str, float]:
    own = own_temperature(validation, emotion.validation)
    labels = _labels(emotion.test)
    return dict(benchmark(test, labels, emotion, temperature=1.0, own_temperature=own).scores)


def _labels(rows: Sequence[Row]) -> Indices:
    return np.array([LABEL2ID[row.label] for row in rows])
