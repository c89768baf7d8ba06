"""The command line: quick help, one-line errors, and commands that reach what they name."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from training.cli import main

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
