"""The comparison trains what a row needs first, and names every row alike."""

import shutil
from pathlib import Path

import pytest

from model.folder import INT8_ONNX_FILE, SAFETENSORS_FILE
from training.compare import ROWS, Compared, Comparison, as_table
from training.errors import TrainingError
from training.evaluate.calibrate import calibrate


def test_a_later_stage_begins_from_its_seed_of_the_earlier_and_has_all_seeds_as_teachers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fitted(self: Comparison, recipe: str, seed: int) -> Path:
        return self.out / f"{recipe}-{seed}"

    monkeypatch.setattr(Comparison, "_fitted", fitted)
    comparison = Comparison(tmp_path, None, (0, 1), "minilm", decoder_base="small")
    assert comparison._begins_from("polish", 1) == [
        "--base", f"{tmp_path}/best-1",
        "--teacher", f"{tmp_path}/teacher-0",
        "--teacher", f"{tmp_path}/best-0",
        "--teacher", f"{tmp_path}/best-1",
    ]  # fmt: skip
    assert comparison._begins_from("decoder", 0) == ["--base", "small"]
    assert comparison._begins_from("report", 0) == ["--base", "minilm"]
    assert comparison._begins_from("teacher", 0) == []


def test_an_unknown_row_names_those_there_are(data_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=", ".join(ROWS)):
        Comparison(tmp_path, data_folder, (0,), "minilm").run(["gpt"])


def test_an_unknown_row_is_refused_before_any_row_is_measured(data_folder: Path, tmp_path: Path) -> None:
    begun: list[str] = []
    comparison = Comparison(tmp_path, data_folder, (0,), "minilm", report_progress=begun.append)
    with pytest.raises(TrainingError, match="'gpt'"):
        comparison.run(["tf-idf", "gpt"])
    assert begun == []


def test_int8_is_measured_on_the_cpu_whatever_the_other_rows_run_on(
    data_folder: Path, debug_run: Path, tmp_path: Path
) -> None:
    shutil.copytree(debug_run, tmp_path / "polish-0")
    calibrate(tmp_path / "polish-0", data_folder, device="cpu")
    (row,) = Comparison(tmp_path, data_folder, (0,), "minilm", device="cuda").run(["int8"])
    assert row.name == "polish, seed 0, int8"


def test_int8_is_measured_of_the_run_that_is_there_now(
    data_folder: Path, debug_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported: list[tuple[str, bytes]] = []

    def export(run: Path, out: Path, *, name: str) -> None:
        exported.append((out.name, (run / SAFETENSORS_FILE).read_bytes()))
        out.mkdir(exist_ok=True)
        (out / INT8_ONNX_FILE).touch()

    monkeypatch.setattr("training.compare.export", export)
    monkeypatch.setattr(Comparison, "_scores", lambda *_: {})
    monkeypatch.setattr(Comparison, "_write", lambda *_: None)
    for seed in (0, 1):
        run = shutil.copytree(debug_run, tmp_path / f"polish-{seed}")
        (run / "calibration.json").touch()
    Comparison(tmp_path, data_folder, (0,), "minilm").run(["int8"])
    Comparison(tmp_path, data_folder, (1,), "minilm").run(["int8"])
    (tmp_path / "polish-0" / SAFETENSORS_FILE).write_bytes(b"trained anew")
    Comparison(tmp_path, data_folder, (0,), "minilm").run(["int8"])
    assert [name for name, _ in exported] == ["int8-0", "int8-1", "int8-0"]
    assert exported[-1][1] == b"trained anew"


def test_the_table_has_mean_and_spread_over_the_seeds() -> None:
    measured = ("accuracy", "macro_f1", "roc_auc_weighted", "ece_after", "goemotions_macro_f1", "ms_a_text")
    scores = [dict.fromkeys(measured, value) for value in (0.9, 0.92)]
    table = as_table([Compared("best", scores, 60.0, 1_000, 2_000_000)])
    assert "| best | 2 | 0.9100 ± 0.0141 |" in table
