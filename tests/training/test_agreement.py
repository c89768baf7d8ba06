"""Errors that all models share are told from those of one."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from training.errors import TrainingError
from training.evaluate.agreement import agreement, compared


def _sure_of(*labels: int, confidence: float = 0.9) -> np.ndarray:
    rest = (1 - confidence) / 5
    rows = np.full((len(labels), 6), rest)
    rows[np.arange(len(labels)), list(labels)] = confidence
    return rows


def test_common_errors_are_those_where_all_name_the_same_wrong_label() -> None:
    labels = np.array([0, 1, 2, 3])
    found = compared({"a": _sure_of(0, 1, 5, 4), "b": _sure_of(0, 2, 5, 5)}, labels)
    assert found.accuracy == {"a": 0.5, "b": 0.25}
    assert found.at_least_one == 0.5
    assert (found.common, found.sure) == (1, 1)


def test_an_error_that_one_model_doubts_is_not_a_sure_one() -> None:
    labels = np.array([0])
    found = compared({"a": _sure_of(1), "b": _sure_of(1, confidence=0.6)}, labels)
    assert (found.errors, found.common, found.sure) == (1, 1, 0)


def test_models_whose_folders_have_one_name_are_told_apart(
    data_folder: Path, debug_run: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(debug_run, tmp_path / debug_run.name)
    found = agreement([debug_run, other], data_folder, device="cpu")
    assert list(found.accuracy) == [str(debug_run), str(other)]
    with pytest.raises(TrainingError, match="named twice"):
        agreement([debug_run, other, tmp_path / "x" / ".." / debug_run.name], data_folder)


def test_one_model_agrees_with_nobody(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="two or more"):
        agreement([tmp_path], None)
