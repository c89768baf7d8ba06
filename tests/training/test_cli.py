"""The command line: quick help, one-line errors, and commands that reach what they name."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from model.folder import SAFETENSORS_FILE
from training.cli import main
from training.data.rows import Resplit, load_emotion
from training.evaluate.scores import evaluate
from training.fit.loop import Fit
from training.runs import CHECKPOINT, CROSSFIT_FILE, LOG_FILE, PROBE_FILE, RUN_FILE, run_of

COMMANDS = ("fit", "evaluate", "compare", "audit", "calibrate", "airline", "agree", "causal", "export")


def _call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit status of ``emotion-train`` with these arguments, in this process."""
    monkeypatch.setattr("sys.argv", ["emotion-train", *arguments])
    monkeypatch.delenv("EMOTION_DATA", raising=False)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        with pytest.raises(SystemExit) as left:
            main()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
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
        (("fit", "--recipe", "debug", "--device", "tpu"), "device 'tpu' is unknown"),
        (("fit", "--recipe", "debug", "--precision", "int8"), "precision 'int8' is unknown"),
        (("fit", "--recipe", "debug", "--learning-rate", "nan"), "learning rate"),
        (("fit", "--recipe", "debug", "--r-drop", "-1"), "r-drop"),
        (("fit", "--recipe", "debug", "--seed", "-1"), "Invalid value for '--seed'"),
        (("fit", "--recipe", "debug", "--seed", str(2**63)), "Invalid value for '--seed'"),
        (("fit", "--recipe", "debug", "--base", "/nowhere", "--out", "/nowhere"), "is the base itself"),
        (("fit", "--recipe", "debug", "--teacher", "/nowhere"), "recipe debug does not distil"),
        (("fit", "--resume", "--overwrite"), "--resume goes on and --overwrite begins anew"),
        (("causal", "--epochs", "0"), "Invalid value for '--epochs'"),
        (("calibrate", "/nowhere"), "holds no model"),
        (("calibrate", "/dev/null"), "holds no model"),
        (("average", "/nowhere=inf", "--out", "/nowhere"), "write RUN=SHARE"),
        (("average", "/nowhere=1", "/nowhere=2", "--out", "/nowhere"), "named twice"),
        (("average", "/nowhere=1", "--out", "/nowhere"), "is one of the runs itself"),
    ],
)
def test_a_wrong_request_is_one_line_and_status_two(
    arguments: tuple[str, ...],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)  # without the runs that lie where the tests are started
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


@pytest.mark.parametrize(
    "command", [("fit", "--recipe", "debug"), ("evaluate", "RUN"), ("average", "RUN=1"), ("causal",)]
)
def test_a_folder_that_cannot_be_written_to_is_one_line(
    command: tuple[str, ...],
    data_folder: Path,
    debug_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").touch()
    arguments = [part.replace("RUN", str(debug_run)) for part in command]
    data = () if command[0] == "average" else ("--data", str(data_folder))
    assert _call(monkeypatch, *arguments, "--out", str(tmp_path / "file" / "below"), *data) == 2
    assert "cannot be written to (Not a directory)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "left", [RUN_FILE, CHECKPOINT, LOG_FILE, "model.safetensors", "model.int8.onnx", "config.json"]
)
def test_an_earlier_run_is_not_written_over_unless_that_is_meant(
    left: str,
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / left).write_bytes(b"of an earlier run")
    fit = ("fit", "--recipe", "debug", "--epochs", "1", "--out", str(tmp_path), "--data", str(data_folder))
    assert _call(monkeypatch, *fit) == 2
    assert capsys.readouterr().err == (
        f"emotion-train: {tmp_path} holds a run or a model already ({left}): --resume goes on with a run "
        "that is not finished, another --out leaves this one as it is, --overwrite begins anew in its place\n"
    )
    assert [file.name for file in tmp_path.iterdir()] == [left]
    assert (tmp_path / left).read_bytes() == b"of an earlier run"
    assert _call(monkeypatch, *fit, "--overwrite") == 0
    assert "best epoch 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [
        ("average", "RUN=1"),
        ("reopen", "RUN", "--recipe", "debug"),
        ("probe",),
        ("causal",),
        ("base",),
        ("crossfit",),
        ("fit", "--recipe", "debug", "--resume"),
    ],
)
def test_no_command_writes_over_another_run_unasked(
    command: tuple[str, ...],
    debug_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, run = (shutil.copytree(debug_run, tmp_path / name) for name in ("out", "run"))
    (run / "model.int8.onnx").touch()
    (out / RUN_FILE).unlink()
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    arguments = [part.replace("RUN", str(run)) for part in command]
    assert _call(monkeypatch, *arguments, "--out", str(out)) == 2
    assert "holds a run or a model already" in capsys.readouterr().err
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before


def test_a_run_that_is_overwritten_leaves_nothing_that_is_taken_for_the_new_one(
    debug_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = (CHECKPOINT, LOG_FILE, PROBE_FILE, CROSSFIT_FILE, "model.int8.onnx", "calibration.json")
    out = tmp_path / "mean"
    out.mkdir()
    for name in left:
        (out / name).touch()
    average = ("average", f"{debug_run}=1", "--out", str(out))
    assert _call(monkeypatch, *average) == 2
    assert _call(monkeypatch, *average, "--overwrite") == 0
    assert not [name for name in left if (out / name).exists()]
    assert run_of(out).averaged == {str(debug_run): 1.0}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_broken_off_says_how_to_go_on(
    number: signal.Signals,
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def break_off(self: Fit, resume: bool) -> int:
        (self.out / CHECKPOINT).touch()
        signal.raise_signal(number)
        return 0

    monkeypatch.setattr(Fit, "_begin", break_off)
    run = ("fit", "--recipe", "debug", "--out", str(tmp_path), "--data", str(data_folder))
    assert _call(monkeypatch, *run) == 130
    assert "the same command with --resume goes on" in capsys.readouterr().err
    assert _call(monkeypatch, *run, "--overwrite") == 130
    assert "the same command with --resume instead of --overwrite goes on" in capsys.readouterr().err


def test_a_run_that_is_broken_off_before_it_wrote_anything_says_that_the_one_before_is_as_it_was(
    debug_run: Path,
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def break_off(self: Fit, epoch: int) -> float:
        signal.raise_signal(signal.SIGINT)
        return 0.0

    out = shutil.copytree(debug_run, tmp_path / "run")
    monkeypatch.setattr(Fit, "_train_epoch", break_off)
    run = ("fit", "--recipe", "debug", "--out", str(out), "--data", str(data_folder), "--overwrite")
    assert _call(monkeypatch, *run) == 130
    assert f"{out} is as it was" in capsys.readouterr().err


def test_a_run_that_ends_before_its_first_checkpoint_says_that_it_begins_again(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def break_off(self: Fit, epochs_done: int) -> None:
        signal.raise_signal(signal.SIGINT)

    run = ("fit", "--recipe", "debug", "--out", str(tmp_path), "--data", str(data_folder))
    with monkeypatch.context() as patched:
        patched.setattr(Fit, "_checkpoint", break_off)
        assert _call(patched, *run) == 130
    assert "the same command with --resume goes on" in capsys.readouterr().err
    assert _call(monkeypatch, *run, "--resume") == 0
    told = capsys.readouterr()
    assert f"{tmp_path} ended before its first {CHECKPOINT}: it begins from the beginning" in told.err
    assert "best epoch" in told.out


def test_no_table_is_shown_of_weights_that_transformers_does_not_know(
    debug_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRANSFORMERS_VERBOSITY", raising=False)
    run = shutil.copytree(debug_run, tmp_path / "run")
    weights = load_file(run / SAFETENSORS_FILE)
    save_file(weights | {"presence.bias": torch.zeros(6)}, run / SAFETENSORS_FILE, {"format": "pt"})
    script = f"""
import sys
from training.cli import main
sys.argv[1:] = ["--help"]
try:
    main()
except SystemExit:
    pass
from transformers import AutoModelForSequenceClassification
AutoModelForSequenceClassification.from_pretrained({str(run)!r})
"""
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "UNEXPECTED" not in shown.stdout + shown.stderr


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(28, "No space left on device"), "emotion-train: No space left on device\n"),
        (PermissionError(13, "Permission denied", "kept"), "emotion-train: kept: Permission denied\n"),
        (OSError("no such model\nlook here or there"), "emotion-train: no such model\n"),
    ],
)
def test_a_file_that_cannot_be_read_or_written_is_one_line(
    error: OSError,
    says: str,
    debug_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("training.fit.average.average_runs", refuse)
    assert _call(monkeypatch, "average", f"{debug_run}=1", "--out", str(tmp_path / "mean")) == 2
    assert capsys.readouterr().err == says


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
