"""calibration.json: comes back as saved, and says which field is wrong."""

import json
from pathlib import Path

import pytest

from model import Calibration, CalibrationError


def test_a_calibration_behind_a_broken_link_is_not_taken_for_none(tmp_path: Path) -> None:
    (tmp_path / "calibration.json").symlink_to(tmp_path / "gone")
    with pytest.raises(CalibrationError, match="leads to no file"):
        Calibration.load(tmp_path)


def test_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    calibration = Calibration(
        name="emotion",
        revision="0123456789ab",
        temperature=1.7,
        thresholds={"joy": 0.4, "neutral": 0.6},
        neutral_threshold=0.3,
        distress_map=((0.0, 0.0), (0.4, 0.1), (1.0, 0.9)),
    )
    assert calibration.save(tmp_path) == tmp_path / "calibration.json"
    assert Calibration.load(tmp_path) == calibration


def test_a_folder_without_the_file_has_the_defaults(tmp_path: Path) -> None:
    assert Calibration.load(tmp_path) == Calibration()


def test_what_version_0_1_wrote_of_single_messages_is_read(tmp_path: Path) -> None:
    (tmp_path / "calibration.json").write_text('{"temperature": 1.7, "context_tokens": 0}')
    assert Calibration.load(tmp_path) == Calibration(temperature=1.7)


@pytest.mark.parametrize(
    ("content", "field", "problem"),
    [
        ({"temperature": 0}, "temperature", "greater than 0"),
        ({"temperature": "warm"}, "temperature", "valid number"),
        ({"version": 2}, "version", "Input should be 1"),
        ({"neutral_treshold": 0.3}, "neutral_treshold", "not permitted"),
        ({"thresholds": {"disgust": 0.5}}, "thresholds", "unknown label 'disgust'; expected sadness"),
        ({"thresholds": {"joy": 0}}, "thresholds.joy", "greater than 0"),
        ({"distress_weights": {"sadness": 2}}, "distress_weights.sadness", "less than or equal to 1"),
        ({"distress_levels": {"watch": 0.9, "elevated": 0.5}}, "distress_levels", "must ascend"),
        ({"distress_map": [[0.5, 0.5]]}, "distress_map", "two knots"),
        ({"distress_map": [[0.0, 0.5], [1.0, 0.4]]}, "distress_map", "must ascend"),
        ({"revision": "latest"}, "revision", "match pattern"),
        ({"max_tokens": 32}, "file", "at most half"),
        ({"context_tokens": 64}, "file", "context_tokens is 64: weights that expect earlier messages"),
    ],
)
def test_a_wrong_field_is_named_with_its_file(
    tmp_path: Path, content: dict[str, object], field: str, problem: str
) -> None:
    (tmp_path / "calibration.json").write_text(json.dumps(content))
    with pytest.raises(CalibrationError) as caught:
        Calibration.load(tmp_path)
    assert caught.value.field == field
    assert problem in str(caught.value)
    assert str(tmp_path / "calibration.json") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_truncated_file_is_an_error_and_not_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "calibration.json").write_text('{"temperature": 1.')
    with pytest.raises(CalibrationError, match="Invalid JSON"):
        Calibration.load(tmp_path)
