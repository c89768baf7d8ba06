"""Several runs as one: the mean of their weights, and a record of whose they are."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from model.folder import SAFETENSORS_FILE
from tests.training.runs import in_other_order
from training.cli import app
from training.errors import TrainingError
from training.evaluate.predict import open_classifier
from training.fit.average import average_runs
from training.runs import run_of
from training.ship.card import _commands


@pytest.fixture
def tripled(debug_run: Path, tmp_path: Path) -> Path:
    """The debug run with all its weights three times as large."""
    folder = tmp_path / "tripled"
    shutil.copytree(debug_run, folder)
    weights = load_file(debug_run / SAFETENSORS_FILE)
    save_file({name: 3 * one for name, one in weights.items()}, folder / SAFETENSORS_FILE, {"format": "pt"})
    return folder


def test_each_run_has_its_share_of_the_sum(debug_run: Path, tripled: Path, tmp_path: Path) -> None:
    average_runs({debug_run: 1, tripled: 3}, tmp_path / "mean")
    before, mean = (load_file(run / SAFETENSORS_FILE) for run in (debug_run, tmp_path / "mean"))
    for name, weights in before.items():
        torch.testing.assert_close(mean[name], 2.5 * weights)


def test_the_mean_is_a_run_that_names_those_that_it_is_of(
    debug_run: Path, tripled: Path, tmp_path: Path
) -> None:
    mean = tmp_path / "mean"
    result = CliRunner().invoke(app, ["average", f"{debug_run}=0.5", f"{tripled}=0.5", "--out", str(mean)])
    assert result.exit_code == 0, result.output
    facts = run_of(mean)
    assert facts.averaged == {str(debug_run): 0.5, str(tripled): 0.5}
    assert len(_commands(facts)) == 3
    classifier = open_classifier(mean, device="cpu")
    assert len(classifier.classify(["a text"])) == 1


def test_a_run_without_outputs_of_presence_lends_those_of_its_labels(
    debug_run: Path, tripled: Path, tmp_path: Path
) -> None:
    weights = load_file(tripled / SAFETENSORS_FILE)
    width = weights["classifier.weight"].shape[1]
    weights |= {"presence.weight": torch.zeros(6, width), "presence.bias": torch.ones(6)}
    save_file(weights, tripled / SAFETENSORS_FILE, {"format": "pt"})
    average_runs({tripled: 0.5, debug_run: 0.5}, tmp_path / "mean")
    before, mean = (load_file(run / SAFETENSORS_FILE) for run in (debug_run, tmp_path / "mean"))
    torch.testing.assert_close(mean["presence.weight"], before["classifier.weight"][:6] / 2)
    torch.testing.assert_close(mean["presence.bias"], (before["classifier.bias"][:6] + 1) / 2)
    with pytest.raises(TrainingError, match=r"name .* first"):
        average_runs({debug_run: 0.5, tripled: 0.5}, tmp_path / "other")


def test_what_is_no_run_and_what_does_not_fit_are_one_line_each(
    debug_run: Path, tripled: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="is no run"):
        average_runs({debug_run: 1, tmp_path: 1}, tmp_path / "mean")
    weights = load_file(tripled / SAFETENSORS_FILE)
    name = next(iter(weights))
    save_file(weights | {name: torch.zeros(3)}, tripled / SAFETENSORS_FILE, {"format": "pt"})
    with pytest.raises(TrainingError, match="differ in shape"):
        average_runs({debug_run: 1, tripled: 1}, tmp_path / "mean")
    with pytest.raises(TrainingError, match="differ in their labels"):
        average_runs({debug_run: 1, in_other_order(debug_run, tmp_path / "other"): 1}, tmp_path / "mean")
    (tripled / "tokenizer.json").write_text("{}")
    shutil.copy(debug_run / SAFETENSORS_FILE, tripled / SAFETENSORS_FILE)
    with pytest.raises(TrainingError, match="tokenizer"):
        average_runs({debug_run: 1, tripled: 1}, tmp_path / "mean")


def test_weights_that_are_cut_are_one_line(debug_run: Path, tripled: Path, tmp_path: Path) -> None:
    file = tripled / SAFETENSORS_FILE
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(TrainingError, match=r"model\.safetensors cannot be read \(.+\): copy the run again"):
        average_runs({debug_run: 1, tripled: 1}, tmp_path / "mean")


@pytest.mark.parametrize("share", ["runs/a", "runs/a=", "runs/a=none", "runs/a=-1", "=1"])
def test_a_share_is_a_number_above_zero(share: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["average", share, "--out", str(tmp_path / "mean")])
    assert result.exit_code == 2
    assert "write RUN=SHARE" in result.output
