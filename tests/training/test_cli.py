"""The command line: quick help, one-line errors, and commands that reach what they name."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from training.cli import main
from training.data.rows import Resplit, load_emotion
from training.evaluate.scores import evaluate

COMMANDS = ("fit", "evaluate", "compare", "audit", "calibrate", "airline", "agree", "causal", "export")


def _call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit status of ``emotion-train`` with these arguments, in this process."""
    monkeypatch.setattr("sys.argv", ["emotion-train", *arguments])
    monkeypatch.delenv("EMOTION_DATA", raising=False)
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)


def test_help_names_every_command_and_does_not_load_torch() -> None:
    code = (
        "import sys; from training.cli import app; app(['--help'], standalone_mode=False); "
        "print('torch' in sys.modules, 'transformers' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert all(command in shown for command in COMMANDS)
    assert shown.split()[-2:] == ["False", "False"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("fit", "--recipe", "worst", "--data", "/nowhere"), "no recipe 'worst'"),
        (("fit", "--recipe", "debug", "--data", "/nowhere"), "/nowhere/emotion/train.jsonl"),
        (("fit", "--split", "70-15-15", "--data", "/nowhere"), "such as 70/15/15"),
        (("evaluate", "/nowhere"), "holds no model"),
        (("export", "/nowhere"), "not calibrated"),
        (("compare", "--seeds", "many"), "whole numbers"),
        (("airline", "/nowhere"), "name a folder"),
    ],
)
def test_a_wrong_request_is_one_line_and_status_two(
    arguments: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _call(monkeypatch, *arguments) == 2
    shown = capsys.readouterr().err.replace("\n", " ")
    assert says in shown
    assert "Traceback" not in shown


def test_a_run_with_a_split_of_its_own_is_measured_on_its_own_held_out_rows(
    data_folder: Path,
    debug_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, data = tmp_path / "run", ("--data", str(data_folder))
    split = ("--split", "60/30/10", "--seed", "3")
    fit = ("fit", "--recipe", "debug", "--epochs", "1", *split)
    assert _call(monkeypatch, *fit, "--out", str(run), *data) == 0
    assert _call(monkeypatch, "calibrate", str(run), *data) == 0
    held_out = load_emotion(data_folder, Resplit((60, 30, 10), 3)).test
    assert np.sum(evaluate(run, data_folder).benchmark.confusion) == len(held_out) == 37
    capsys.readouterr()
    for mixed in (
        ("export", str(run), "--out", str(tmp_path / "out")),
        ("average", f"{run}=1", f"{debug_run}=1", "--out", str(tmp_path / "mean")),
        ("agree", str(debug_run), str(run), *data),
        (*fit, "--base", str(debug_run), *data),
        ("fit", "--recipe", "debug", "--teacher", str(run), *data),
    ):
        assert _call(monkeypatch, *mixed) == 2
        assert " split of " in capsys.readouterr().err.replace("\n", " ")


def test_audit_prints_its_counts(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _call(monkeypatch, "audit", "--data", str(data_folder)) == 0
    assert "near duplicates of held out in train" in capsys.readouterr().out


def test_a_run_can_be_calibrated_from_the_command_line(
    data_folder: Path,
    debug_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = shutil.copytree(debug_run, tmp_path / "run")
    assert _call(monkeypatch, "calibrate", str(run), "--data", str(data_folder)) == 0
    assert '"temperature"' in capsys.readouterr().out
