"""What ships opens in transformers, agrees with what was trained, and says so in its card."""

import errno
import shutil
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import pytest

from model.calibration import Calibration
from model.classifier import EmotionClassifier
from model.folder import SAFETENSORS_FILE, ModelFolder
from tests.training.runs import taught
from training.data.rows import Row
from training.errors import TrainingError
from training.evaluate.calibrate import calibrate
from training.evaluate.report import write_report
from training.evaluate.scores import evaluate
from training.runs import run_of, write_facts
from training.ship.card import _languages, model_card
from training.ship.export import export

OTHER_DISK = Path("/dev/shm")
TEXTS = ["so z today", "j!", "a much longer message about dinner, the train and the house at night"]


@pytest.fixture(scope="module")
def measured_run(data_folder: Path, debug_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run: Path = shutil.copytree(debug_run, tmp_path_factory.mktemp("measured") / "run")
    calibrate(run, data_folder)
    write_report(evaluate(run, data_folder), run / "evaluation")
    return run


@pytest.fixture(scope="module")
def exported(measured_run: Path, data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("exported") / "weights"
    card = partial(model_card, measured_run, data=data_folder)
    export(measured_run, out, name="tiny", card=card)
    return out


def test_another_run_is_not_exported_over(debug_run: Path, measured_run: Path) -> None:
    with pytest.raises(TrainingError, match="holds a run"):
        export(measured_run, debug_run, name="over")


def test_the_folder_holds_what_ships_and_nothing_else(exported: Path) -> None:
    assert {file.name for file in exported.iterdir()} == {
        "README.md",
        "calibration.json",
        "config.json",
        "manifest.json",
        "model.int8.onnx",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_a_folder_on_another_file_system_is_exported_to(measured_run: Path, tmp_path: Path) -> None:
    if not OTHER_DISK.is_dir() or OTHER_DISK.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip(f"{OTHER_DISK} is not on another file system")
    with TemporaryDirectory(dir=OTHER_DISK) as elsewhere:
        out = tmp_path / "weights"
        out.symlink_to(elsewhere)
        export(measured_run, out, name="tiny")
        assert ModelFolder.open(Path(elsewhere)).name == "tiny"
        assert not list(out.glob(".*"))


def test_an_export_that_fails_leaves_the_earlier_one_as_it_was(
    measured_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> Path:
        raise OSError(errno.EXDEV, "Invalid cross-device link", str(target))

    (tmp_path / SAFETENSORS_FILE).write_bytes(b"of an earlier export")
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="cross-device"):
        export(measured_run, tmp_path, name="tiny", cpu_only=True)
    assert [file.name for file in tmp_path.iterdir()] == [SAFETENSORS_FILE]


def test_int8_and_torch_agree(exported: Path) -> None:
    exact, int8 = (EmotionClassifier.load(exported, "cpu", precision) for precision in ("fp32", "int8"))
    batch = exact.tokenize(TEXTS)
    assert int8.forward(batch) == pytest.approx(exact.forward(batch), abs=0.05)


def test_the_int8_file_belongs_to_the_weights(exported: Path) -> None:
    graph = onnx.load(exported / "model.int8.onnx")
    properties = {prop.key: prop.value for prop in graph.metadata_props}
    assert properties["revision"] == ModelFolder.open(exported).trained_revision


def test_a_text_has_the_same_logits_alone_and_among_others(exported: Path) -> None:
    model = EmotionClassifier.load(exported, "cpu", "int8")
    together = model.forward(model.tokenize(TEXTS))
    alone = np.concatenate([model.forward(model.tokenize([text])) for text in TEXTS])
    assert together == pytest.approx(alone, abs=1e-5)


def test_transformers_opens_the_folder(exported: Path) -> None:
    from transformers import pipeline

    named = pipeline("text-classification", model=str(exported))(TEXTS)
    ours = EmotionClassifier.load(exported, "cpu", "fp32").classify(TEXTS)
    exact = [
        max({**emotion.scores, "neutral": emotion.neutral}.items(), key=lambda item: item[1])
        for emotion in ours
    ]
    assert [answer["label"] for answer in named] == [label for label, _ in exact]


def test_the_card_has_the_measured_scores_and_the_terms(exported: Path, measured_run: Path) -> None:
    import json

    card = (exported / "README.md").read_text()
    scores = json.loads((measured_run / "evaluation" / "metrics.json").read_text())["benchmark"]
    assert card.startswith("---\nlanguage: [en]\n")
    assert f"| accuracy | {scores['accuracy']:.4f} |" in card
    assert "research purposes only" in card
    assert "misuse" in card
    assert ModelFolder.open(exported).trained_revision in card


def test_the_card_says_what_transformers_leaves_out_and_the_shares_of_a_mean(
    measured_run: Path, exported: Path, data_folder: Path, tmp_path: Path
) -> None:
    row = Row("never read", "love", "emotion")
    run = taught(measured_run, tmp_path / "run", row, [0.0] * 7, presence_output=True)
    write_facts(run, run_of(run).changed(averaged={"runs/a": 2 / 3, "runs/b": 1 / 3}))
    card, plain = (model_card(folder, exported, data_folder) for folder in (run, measured_run))
    assert "a 0.67, b 0.33." in card
    assert "as unexpected" in card
    assert "as unexpected" not in plain


def test_an_uncalibrated_run_is_not_exported(debug_run: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="emotion-train calibrate"):
        export(debug_run, tmp_path / "out", name="tiny")


def test_the_card_gives_a_region_the_score_on_messages_of_its_language() -> None:
    scores = {
        "brighter_claimed_mean": 0.5,
        "brighter_en_ece": 0.2,
        "brighter_pt-BR": 0.486,
        "messages_pt": 0.767,
    }
    table = _languages(scores, Calibration(languages={"pt-BR": 0.486}))
    assert "| pt-BR | 0.486 | 76.7% |" in table
    assert "XED is no measure here" in table


def test_an_export_for_cpus_alone_leaves_no_weights_of_an_earlier_one(
    measured_run: Path, exported: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(exported, tmp_path / "out")
    (out / "model.safetensors").write_bytes(b"other weights")
    export(measured_run, out, name="tiny", cpu_only=True)
    assert not (out / "model.safetensors").exists()
    assert EmotionClassifier.load(out, "cpu", "int8").classify(TEXTS)


def test_an_unmeasured_run_gets_no_card(debug_run: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="emotion-train evaluate"):
        model_card(debug_run, tmp_path, None)


def test_a_folder_that_is_too_large_is_not_moved_into_place(
    measured_run: Path, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.ship.export.MAX_BYTES", 10)
    with pytest.raises(TrainingError, match="smaller base"):
        export(measured_run, tmp_path / "out", name="tiny")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_run_that_was_calibrated_with_other_weights_is_not_exported(
    measured_run: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(measured_run, tmp_path / "run")
    Calibration.load(run).model_copy(update={"revision": "0123456789ab"}).save(run)
    with pytest.raises(TrainingError, match="other weights: emotion-train calibrate"):
        export(run, tmp_path / "out", name="tiny")


def test_a_run_is_not_exported_into_itself(measured_run: Path) -> None:
    with pytest.raises(TrainingError, match="is the run itself"):
        export(measured_run, measured_run, name="tiny")
