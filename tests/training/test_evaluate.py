"""An evaluation measures what the report promises, and its page needs no other file."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from model.folder import SAFETENSORS_FILE
from model.labels import EMOTIONS
from tests.training.runs import in_other_order
from training.data.behaviour_cases import CASES
from training.data.rows import Row, Splits
from training.errors import TrainingError
from training.evaluate.benchmark import abstention_curve, benchmark
from training.evaluate.predict import open_classifier, row_logits
from training.evaluate.report import write_report
from training.evaluate.scores import Evaluation, evaluate


@pytest.fixture(scope="module")
def evaluation(debug_run: Path, data_folder: Path) -> Evaluation:
    return evaluate(debug_run, data_folder)


def _splits(labels: list[str], train: tuple[Row, ...] = ()) -> Splits:
    return Splits(train, (), tuple(Row(f"text {i}", label, "emotion") for i, label in enumerate(labels)))


def _scores(logits: np.ndarray, labels: np.ndarray, splits: Splits) -> dict[str, float]:
    return benchmark(logits, labels, splits, temperature=1.0, own_temperature=1.0).scores


def test_a_perfect_model_scores_one_everywhere() -> None:
    labels = np.arange(6).repeat(5)
    logits = np.hstack([np.eye(6)[labels] * 20, np.full((30, 1), 50.0)])  # neutral is highest, and ignored
    scores = _scores(logits, labels, _splits([EMOTIONS[i] for i in labels]))
    for name in (
        "accuracy",
        "macro_f1",
        "weighted_f1",
        "weighted_precision",
        "roc_auc_weighted",
        "roc_auc_macro",
    ):
        assert scores[name] == pytest.approx(1.0)


def test_contradicted_rows_are_left_out_of_the_consistent_score() -> None:
    labels = np.arange(6)
    logits = np.eye(7)[[0, 1, 2, 3, 4, 4]] * 9
    splits = _splits(list(EMOTIONS), train=(Row("text 5", "joy", "emotion"),))
    scores = _scores(logits, labels, splits)
    assert scores["accuracy"] == pytest.approx(5 / 6)
    assert scores["consistent_rows"] == 5
    assert scores["consistent_accuracy"] == 1.0


def test_abstaining_trades_recall_for_precision() -> None:
    probabilities = np.array([[0.95, 0.05], [0.55, 0.45], [0.6, 0.4]])
    curve = abstention_curve(probabilities, np.array([0, 1, 0]))
    assert curve[0]["coverage"] == 1.0
    assert curve[0]["precision"] == pytest.approx(2 / 3)
    sure = next(point for point in curve if point["threshold"] > 0.6)
    assert (sure["precision"], sure["recall"]) == (1.0, pytest.approx(1 / 3))


def test_every_part_is_measured(evaluation: Evaluation) -> None:
    assert evaluation.benchmark.scores["rows"] == 60
    assert evaluation.goemotions["ekman_rows"] > evaluation.goemotions["rows"]
    assert sum(count for _, count in evaluation.behaviour.values()) == sum(map(len, CASES.values()))
    assert [example["expected"] for example in evaluation.examples] == ["joy", "anger"]
    assert len(evaluation.history) == 2


def test_the_order_of_a_models_labels_changes_no_score(
    evaluation: Evaluation, debug_run: Path, data_folder: Path, tmp_path: Path
) -> None:
    other = evaluate(in_other_order(debug_run, tmp_path / "other"), data_folder).as_json()
    for part, scores in evaluation.as_json().items():
        if part not in ("model", "by_label", "intervals", "behaviour"):
            assert other[part] == pytest.approx(scores), part
    assert other["by_label"] == evaluation.benchmark.by_label
    assert other["behaviour"] == evaluation.behaviour


def test_a_model_that_lacks_an_emotion_is_not_measured(debug_run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(debug_run, tmp_path / "five")
    config = json.loads((folder / "config.json").read_text())
    config["id2label"].pop("6")
    config["id2label"]["2"] = "neutral"
    (folder / "config.json").write_text(json.dumps(config))
    weights = load_file(folder / SAFETENSORS_FILE)
    weights |= {f"classifier.{part}": weights[f"classifier.{part}"][:6] for part in ("weight", "bias")}
    save_file(weights, folder / SAFETENSORS_FILE, {"format": "pt"})
    with pytest.raises(TrainingError, match="no label 'love'"):
        row_logits(open_classifier(folder, device="cpu"), [Row("a text", "joy", "emotion")])


def test_the_page_is_self_contained_and_the_numbers_are_beside_it(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    page = write_report(evaluation, tmp_path).read_text()
    assert page.count("data:image/png;base64,") == 4
    assert 'src="http' not in page
    assert "bootstrap interval" in page
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["benchmark"]["accuracy"] == evaluation.benchmark.scores["accuracy"]


def test_the_numbers_are_json_also_where_one_is_none(evaluation: Evaluation, tmp_path: Path) -> None:
    unknown = replace(evaluation.benchmark, scores=evaluation.benchmark.scores | {"roc_auc_macro": math.nan})
    write_report(replace(evaluation, benchmark=unknown), tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text(), parse_constant=pytest.fail)
    assert metrics["benchmark"]["roc_auc_macro"] is None


def test_markup_in_a_message_stays_text(evaluation: Evaluation, tmp_path: Path) -> None:
    worst = [{"label": "joy", "named": "fear", "rows": 1, "examples": [("<script>x</script> | a", 0.9)]}]
    changed = replace(evaluation, benchmark=replace(evaluation.benchmark, worst=worst))
    assert "<script>" not in write_report(changed, tmp_path).read_text()
