"""Calibration finds what was put in, and what it writes is what the classifier reads."""

import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from model import manifest
from model.calibration import Calibration, DistressLevels, DistressWeights
from model.decide import logistic, temperatures
from model.folder import SAFETENSORS_FILE
from model.labels import LABEL2ID
from tests.training.runs import in_other_order
from training.errors import DataError, TrainingError
from training.evaluate.calibrate import (
    LEVEL_PRECISION,
    OUTPUT_LEVEL_PRECISION,
    Validation,
    calibrate,
    fit_calibration,
    fit_distress,
    fit_distress_output,
    fit_entropy_temperature,
    fit_neutral_threshold,
    fit_temperature,
)
from training.metrics import Floats, Indices, ece, softmax
from training.runs import RUN_FILE

ALL = tuple(range(7))


def _drawn(rows: int, scale: float = 1.0, seed: int = 0) -> tuple[Floats, Indices]:
    """Logits, and labels drawn from their own softmax: calibrated at temperature 1 by construction."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(rows, 7)) * 2
    labels = np.array([rng.choice(7, p=p) for p in softmax(logits)])
    return logits * scale, labels


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.5])
def test_the_temperature_undoes_a_scaling_of_the_logits(scale: float) -> None:
    logits, labels = _drawn(4_000, scale)
    temperature = fit_temperature([Validation(logits, labels, ALL)])
    assert temperature == pytest.approx(scale, rel=0.1)
    assert ece(softmax(logits, temperature), labels) < 0.03


def test_temperature_and_exponent_are_those_that_the_labels_were_drawn_with() -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(6_000, 7)) * rng.uniform(0.5, 4, size=(6_000, 1))
    drawn_from = softmax(logits, temperatures(logits, 1.3, 0.3))
    labels = np.array([rng.choice(7, p=p) for p in drawn_from])
    temperature, exponent = fit_entropy_temperature([Validation(logits, labels, ALL)])
    assert temperature == pytest.approx(1.3, rel=0.1)
    assert exponent == pytest.approx(0.3, abs=0.08)


def test_rows_of_labels_the_model_lacks_do_not_count() -> None:
    logits, labels = _drawn(500)
    with_neutral = Validation(logits[:, :6], labels, ALL)
    without = labels != LABEL2ID["neutral"]
    only_six = Validation(logits[without, :6], labels[without], tuple(range(6)))
    assert fit_temperature([with_neutral]) == fit_temperature([only_six])
    with pytest.raises(TrainingError, match="no validation row"):
        fit_temperature([Validation(logits[:, :6], np.full(500, 6), (6,))])


def test_a_model_without_neutral_gets_the_threshold_that_finds_it() -> None:
    sure, unsure = np.eye(7)[:6] * 0.8 + 0.04, np.tile([*[1 / 6] * 6, 0.0], (20, 1))
    sure[:, 6] = 0.0
    probabilities = np.concatenate([np.tile(sure, (4, 1)), unsure])
    labels = np.array([*list(range(6)) * 4, *[6] * 20])
    assert 0.16 < fit_neutral_threshold([(probabilities, labels)], range(6)) < 0.85


def test_no_threshold_is_set_where_argmax_is_already_right() -> None:
    assert fit_neutral_threshold([(np.eye(7), np.arange(7))], ALL) == 0.0


def test_a_threshold_that_gains_too_little_is_not_set() -> None:
    logits, labels = _drawn(2_000)
    sets = [(softmax(logits), labels)]
    gaining = fit_neutral_threshold(sets, ALL)
    assert gaining > 0.0
    assert fit_neutral_threshold(sets, ALL, least_gain=0.2) == 0.0


def test_the_distress_map_rises_and_the_levels_are_as_precise_as_promised() -> None:
    logits, labels = _drawn(6_000)
    probabilities = softmax(logits)
    weights = DistressWeights()
    knots, levels = fit_distress(probabilities, labels, weights)
    fitted = Calibration(distress_map=knots, distress_levels=levels)  # refuses what does not ascend
    by_label = np.zeros(7)
    for label, weight in weights.model_dump().items():
        by_label[LABEL2ID[label]] = weight
    xs, ys = zip(*fitted.distress_map, strict=True)
    score = np.interp(probabilities @ by_label, xs, ys)
    for level, precision in LEVEL_PRECISION.items():
        at_least = score >= getattr(levels, level)
        assert at_least.any()
        assert (by_label[labels[at_least]] > 0).mean() >= precision


def test_everything_is_fitted_into_one_calibration() -> None:
    logits, labels = _drawn(2_000, scale=2.0)
    sets = {"goemotions": Validation(logits, labels, ALL)}
    fitted = fit_calibration(sets, ALL, Calibration(max_tokens=128), ["goemotions"])
    assert fitted.temperature == pytest.approx(2.0, rel=0.15)
    assert fitted.temperature_entropy < 0.1
    assert fitted.max_tokens == 128
    assert fitted.distress_map


def test_the_temperature_comes_from_the_sets_that_were_trained_on() -> None:
    logits, labels = _drawn(2_000)
    sets = {
        "emotion": Validation(logits * 3, labels, ALL),
        "goemotions": Validation(logits, labels, ALL),
    }
    fitted = fit_calibration(sets, ALL, Calibration(), ["emotion"])
    assert fitted.temperature == pytest.approx(3.0, rel=0.15)


def test_a_runs_calibration_is_written_and_belongs_to_its_weights(
    data_folder: Path, debug_run: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(debug_run, tmp_path / "run")
    written = calibrate(run, data_folder)
    assert Calibration.load(run) == written
    assert written.revision is not None
    assert written.name is None  # the export names the weights


def test_a_calibration_stays_where_the_data_for_another_one_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    Calibration(temperature=2.0).save(tmp_path)
    with pytest.raises(DataError):
        calibrate(tmp_path, tmp_path / "nowhere")
    assert Calibration.load(tmp_path).temperature == 2.0


def _widened(run: Path, **rows: int) -> None:
    """Give the weights of a run outputs beside its labels, so many of each name."""
    weights = load_file(run / SAFETENSORS_FILE)
    width = weights["classifier.weight"].shape[1]
    torch.manual_seed(0)
    for name, count in rows.items():
        weights |= {f"{name}.weight": torch.randn(count, width), f"{name}.bias": torch.zeros(count)}
    save_file(weights, run / SAFETENSORS_FILE, {"format": "pt"})


@pytest.mark.parametrize("left", ["manifest", "outputs"])
def test_a_folder_that_was_exported_keeps_its_calibration_and_manifest(
    left: str, data_folder: Path, debug_run: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(debug_run, tmp_path / "shipped")
    (folder / RUN_FILE).unlink()
    Calibration(name="shipped", temperature=2.0).save(folder)
    if left == "outputs":
        _widened(folder, presence=6, distress=1)
    else:
        manifest.write(folder)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    with pytest.raises(TrainingError, match="calibrate that, then export it"):
        calibrate(folder, data_folder, device="cpu")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_a_calibration_stays_where_the_weights_for_torch_are_not_there(
    data_folder: Path, debug_run: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(debug_run, tmp_path / "for-cpus")
    (folder / SAFETENSORS_FILE).unlink()
    Calibration(temperature=2.0).save(folder)
    with pytest.raises(TrainingError, match="is missing"):
        calibrate(folder, data_folder, device="cpu")
    assert Calibration.load(folder).temperature == 2.0


def test_distress_is_fitted_on_its_output_where_the_weights_have_one_whatever_the_recipe_says(
    data_folder: Path, debug_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Floats] = []

    def fitted(output: Floats, *_: object) -> tuple[tuple[tuple[float, float], ...], DistressLevels]:
        read.append(output)
        return ((0.0, 0.0), (1.0, 1.0)), DistressLevels()

    monkeypatch.setattr("training.evaluate.calibrate.fit_distress_output", fitted)
    run = shutil.copytree(debug_run, tmp_path / "run")
    calibrate(run, data_folder, device="cpu")
    assert not read
    _widened(run, distress=1)
    calibrate(run, data_folder, device="cpu")
    assert len(read) == 1


def test_the_order_of_a_models_labels_changes_no_calibration(
    data_folder: Path, debug_run: Path, tmp_path: Path
) -> None:
    first = calibrate(shutil.copytree(debug_run, tmp_path / "run"), data_folder, device="cpu")
    other = calibrate(in_other_order(debug_run, tmp_path / "other"), data_folder, device="cpu")
    assert other.model_dump(exclude={"revision"}) == first.model_dump(exclude={"revision"})


def test_few_graded_messages_give_a_map_without_steps() -> None:
    rng = np.random.default_rng(3)
    distressed = rng.random(80) < 0.4
    output = rng.normal(np.where(distressed, 1.5, -1.5), 2.0)
    knots, levels = fit_distress_output(output, distressed, np.array([]))
    rises = [after[1] > before[1] for before, after in pairwise(knots)]
    assert all(rises)
    xs, ys = (np.array(side) for side in zip(*knots, strict=True))
    score = np.interp(logistic(output), xs, ys)
    assert score.mean() == pytest.approx(distressed.mean(), abs=0.03)
    for level, precision in OUTPUT_LEVEL_PRECISION.items():
        reached = score >= getattr(levels, level)
        assert not reached.any() or distressed[reached].mean() >= precision


def test_no_more_than_a_tenth_of_ordinary_messages_reach_the_lowest_level() -> None:
    rng = np.random.default_rng(3)
    distressed = rng.random(200) < 0.5
    output = rng.normal(np.where(distressed, 1.0, -1.0), 2.0)
    ordinary = rng.normal(0.5, 1.5, size=1000)
    knots, levels = fit_distress_output(output, distressed, ordinary)
    score = np.interp(logistic(ordinary), *zip(*knots, strict=True))
    assert 0.05 < (score >= levels.watch).mean() <= 0.11
    assert fit_distress_output(output, distressed, np.array([]))[1].watch < levels.watch
