"""The output for distress is fitted anew, and nothing else."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from model.folder import SAFETENSORS_FILE
from model.labels import LABELS
from training.data.rows import Row
from training.errors import TrainingError
from training.evaluate.predict import open_classifier, row_outputs
from training.fit.device import Device
from training.fit.refit import languages_of, presence_rows, refit_distress, refit_presence
from training.fit.validation import presence_logits
from training.runs import RUN_FILE

CPU = Device("cpu", bf16=False)
GRADED = (("night v house", 3), ("v v again", 3), ("dinner at work", 0), ("maybe today", 0))


@pytest.fixture
def graded_run(debug_run: Path, tmp_path: Path) -> Path:
    """The debug run with a row for distress that says nothing."""
    run: Path = shutil.copytree(debug_run, tmp_path / "run")
    weights = load_file(run / SAFETENSORS_FILE)
    width = weights["classifier.weight"].shape[1]
    weights |= {"distress.weight": torch.zeros(1, width), "distress.bias": torch.zeros(1)}
    save_file(weights, run / SAFETENSORS_FILE, {"format": "pt"})
    return run


def rows() -> list[Row]:
    return [Row(text, "neutral", "distress", unknown=LABELS, distress=grade) for text, grade in GRADED * 10]


def test_it_orders_the_grades_that_it_was_given(graded_run: Path) -> None:
    refit_distress(graded_run, rows(), LABELS, CPU)
    said = row_outputs(open_classifier(graded_run, device="cpu"), rows()[:4])[:, -1]
    assert min(said[:2]) > max(said[2:])


def test_weights_that_are_cut_are_one_line(graded_run: Path) -> None:
    file = graded_run / SAFETENSORS_FILE
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(TrainingError, match="cannot be read"):
        refit_distress(graded_run, rows(), LABELS, CPU)


def test_messages_without_a_grade_are_read_as_before(graded_run: Path) -> None:
    ungraded = [
        Row("the train at night", "neutral", "messages"),
        Row("about work x", "anger", "messages"),
    ] * 40
    alone, with_others = (shutil.copytree(graded_run, graded_run.with_name(name)) for name in ("a", "b"))
    refit_distress(alone, rows(), LABELS, CPU)
    refit_distress(with_others, rows() + ungraded, LABELS, CPU)
    said = [
        row_outputs(open_classifier(run, device="cpu"), ungraded[:2])[:, -1] for run in (alone, with_others)
    ]
    assert abs(said[1]).max() < abs(said[0]).max()  # the row before said nothing: 0


def test_messages_without_a_grade_are_read_as_another_run_reads_them(graded_run: Path) -> None:
    ungraded = [Row("the train at night", "neutral", "messages")] * 80
    alike, calm = (shutil.copytree(graded_run, graded_run.with_name(name)) for name in ("alike", "calm"))
    weights = load_file(calm / SAFETENSORS_FILE)
    save_file(weights | {"distress.bias": torch.full((1,), -9.0)}, calm / SAFETENSORS_FILE, {"format": "pt"})
    refit_distress(graded_run, rows() + ungraded, LABELS, CPU)
    refit_distress(alike, rows() + ungraded, LABELS, CPU, like=calm)
    before, after = (
        row_outputs(open_classifier(run, device="cpu"), ungraded[:1])[0, -1] for run in (graded_run, alike)
    )
    assert after < before - 1


def test_all_else_stays_as_it_is_and_the_run_says_what_was_done(graded_run: Path) -> None:
    before = load_file(graded_run / SAFETENSORS_FILE)
    refit_distress(graded_run, rows(), LABELS, CPU)
    after = load_file(graded_run / SAFETENSORS_FILE)
    changed = {name for name, weights in before.items() if not torch.equal(weights, after[name])}
    assert changed == {"distress.weight", "distress.bias"}
    assert "refitted" in json.loads((graded_run / RUN_FILE).read_text())


def test_presence_follows_the_teachers_where_they_speak_and_else_the_rows(
    graded_run: Path,
) -> None:
    weights = load_file(graded_run / SAFETENSORS_FILE)
    rows_before = {
        f"presence.{part}": weights[f"classifier.{part}"][:6].clone() for part in ("weight", "bias")
    }
    save_file(weights | rows_before, graded_run / SAFETENSORS_FILE, {"format": "pt"})
    night = Row("night v house", "joy", "goemotions")  # labelled joy; the teachers find fear in it
    work = Row("dinner at work", "love", "messages")
    said = np.full((80, len(LABELS)), np.nan)
    said[:40, LABELS.index("joy")], said[:40, LABELS.index("fear")] = 0.1, 0.9
    said[40:, LABELS.index("joy")], said[40:, LABELS.index("fear")] = 0.1, 0.1
    refit_presence(graded_run, [night] * 40 + [work] * 40, LABELS, said, CPU)
    outputs = row_outputs(open_classifier(graded_run, device="cpu"), [night, work])
    there = presence_logits(outputs, len(LABELS))
    fear, love = LABELS.index("fear"), LABELS.index("love")
    assert there[0, fear] > 0 > there[1, fear]
    assert there[1, love] > 0 > there[0, love], "no teacher speaks of love: the rows do"


def test_presence_is_learnt_from_so_many_rows_of_each_source() -> None:
    rows = [Row(f"text {i}", "joy", "goemotions") for i in range(9_100)] + [Row("one", "joy", "xed")]
    assert len(presence_rows([*rows, Row("other", "joy", "written")])) == 9_001


def test_what_cannot_be_fitted_is_one_line(graded_run: Path, debug_run: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no output for distress"):
        refit_distress(debug_run, rows(), LABELS, CPU)
    with pytest.raises(TrainingError, match="no output for presence"):
        refit_presence(debug_run, rows(), LABELS, np.full((40, 7), np.nan), CPU)
    with pytest.raises(TrainingError, match="no row has a grade"):
        refit_distress(graded_run, [Row("x", "sadness", "emotion")], LABELS, CPU)
    with pytest.raises(TrainingError, match="is no run"):
        languages_of(tmp_path)
