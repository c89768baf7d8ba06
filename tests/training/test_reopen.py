"""Weights that ship can be trained on, also where only their int8 file is left."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch

from model.classifier import EmotionClassifier
from model.labels import EMOTIONS, LABELS
from model.runtimes.beside import narrow_for_saving, widen
from training.errors import TrainingError
from training.evaluate.report import write_report
from training.evaluate.scores import evaluate
from training.fit.recipe import Recipe
from training.fit.recipes import DEBUG
from training.runs import RUN_FILE
from training.ship.card import model_card
from training.ship.export import write_int8_onnx
from training.ship.reopen import reopen

BOTH = replace(DEBUG, presence=1.0, presence_output=True, distress=1.0)
TEXTS = ["so z today", "j!", "a much longer message about dinner, the train and the house at night"]


@pytest.fixture(scope="module")
def for_cpus(debug_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as ``export --cpu-only`` makes it, of a model with outputs beside its labels."""
    from transformers import AutoModelForSequenceClassification

    folder: Path = shutil.copytree(debug_run, tmp_path_factory.mktemp("cpu") / "weights")
    network = AutoModelForSequenceClassification.from_pretrained(folder)
    width = network.classifier.in_features
    torch.manual_seed(0)
    widen(
        network,
        {
            "presence": (torch.randn(len(EMOTIONS), width), torch.randn(len(EMOTIONS))),
            "distress": (torch.randn(1, width), torch.randn(1)),
        },
    )
    narrow_for_saving(network)
    network.save_pretrained(folder)
    write_int8_onnx(folder, folder / "model.int8.onnx", "0" * 12)
    (folder / "model.safetensors").unlink()
    (folder / RUN_FILE).unlink()
    return folder


def test_a_run_that_is_read_back_from_the_int8_file_gives_its_logits(for_cpus: Path, tmp_path: Path) -> None:
    reopen(for_cpus, tmp_path / "run", BOTH)
    again = EmotionClassifier.load(tmp_path / "run", "cpu", "fp32")
    int8 = EmotionClassifier.load(for_cpus, "cpu", "int8")
    batch = again.tokenize(TEXTS)
    logits = again.forward(batch)
    assert logits.shape == (len(TEXTS), len(LABELS) + len(EMOTIONS) + 1)
    assert int8.forward(batch) == pytest.approx(logits, abs=0.05)
    assert json.loads((tmp_path / "run" / RUN_FILE).read_text())["recipe"]["name"] == BOTH.name


def test_the_pre_trained_base_is_the_one_that_the_card_states(for_cpus: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(for_cpus, tmp_path / "weights")
    (folder / "README.md").write_text("---\nlicense: mit\nbase_model: of/others\n---\n", encoding="utf-8")
    reopen(folder, tmp_path / "run", BOTH)
    assert json.loads((tmp_path / "run" / RUN_FILE).read_text())["recipe"]["base"] == "of/others"


def test_a_folder_without_an_int8_file_is_refused_in_one_line(debug_run: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"model\.int8\.onnx is missing"):
        reopen(debug_run, tmp_path / "run", BOTH)


def test_an_int8_file_that_is_cut_or_of_other_make_is_refused_in_one_line(
    for_cpus: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(for_cpus, tmp_path / "folder")
    file = folder / "model.int8.onnx"
    graph = onnx.load(file)
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(TrainingError, match="cannot be read: copy the folder again"):
        reopen(folder, tmp_path / "run", BOTH)
    del graph.graph.initializer[:]
    onnx.save(graph, file)
    with pytest.raises(TrainingError, match="no int8 file of this emotion-train export"):
        reopen(folder, tmp_path / "run", BOTH)


@pytest.mark.parametrize("other", [DEBUG, replace(BOTH, labels=EMOTIONS), replace(BOTH, distress=0.0)])
def test_a_recipe_that_contradicts_the_weights_is_refused(
    other: Recipe, for_cpus: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="7 labels and beside them presence and distress, the recipe"):
        reopen(for_cpus, tmp_path / "run", other)
    assert not (tmp_path / "run").exists()


def test_a_folder_is_not_reopened_into_itself(for_cpus: Path) -> None:
    with pytest.raises(TrainingError, match="name another --out"):
        reopen(for_cpus, for_cpus, BOTH)


def test_a_run_that_was_reopened_and_not_trained_is_measured_and_gets_no_card(
    for_cpus: Path, data_folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    reopen(for_cpus, run, BOTH)
    page = write_report(evaluate(run, data_folder, device="cpu"), run / "evaluation")
    assert "recipe | debug, base random |" in page.with_suffix(".md").read_text()
    with pytest.raises(TrainingError, match="counts no training row"):
        model_card(run, run, data_folder, device="cpu")
