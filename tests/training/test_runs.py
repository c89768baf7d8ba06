"""What a run wrote about itself is read as far as it goes; what is missing or wrong is named in one line."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from model.folder import CONFIG_FILE, ModelFolder
from training.compare import _costs
from training.errors import TrainingError
from training.evaluate.measured import METRICS_FILE, Measured, measured_of
from training.evaluate.scores import _history
from training.runs import LOG_FILE, RUN_FILE, as_json, facts_of, made_anew, run_of
from training.ship.card import _base_name, _commands

TRAINED = {"command": "emotion-train fit", "recipe": {"name": "best", "base": "minilm"}, "train_rows": {}}


def _written(folder: Path, facts: object) -> Path:
    (folder / RUN_FILE).write_text(json.dumps(facts))
    return folder


def test_a_run_needs_to_say_no_more_than_how_it_was_made(tmp_path: Path) -> None:
    facts = run_of(_written(tmp_path, TRAINED))
    assert (facts.seconds, facts.validation_rows, facts.history, facts.averaged) == (None, None, [], {})


def test_what_is_no_run_has_no_facts(tmp_path: Path) -> None:
    assert facts_of(tmp_path) is None
    with pytest.raises(TrainingError, match="is no run: emotion-train fit"):
        run_of(tmp_path)


def test_what_is_written_again_keeps_all_that_was_there(debug_run: Path) -> None:
    before = json.loads((debug_run / RUN_FILE).read_text())
    again = run_of(debug_run).changed(command="emotion-train average")
    assert json.loads(json.dumps(again)) == before | {"command": "emotion-train average"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "EOF"),
        ('{"command": "emotion-train f', "Invalid JSON"),
        ("[]", "should be an object"),
        (json.dumps({name: TRAINED[name] for name in ("command", "recipe")}), "train_rows: Field required"),
        (json.dumps(TRAINED | {"recipe": {}}), r"recipe\.name: Field required"),
        (json.dumps(TRAINED | {"train_rows": {"emotion": 5}}), r"train_rows\.emotion"),
        (json.dumps(TRAINED | {"seconds": "long"}), "seconds"),
    ],
)
def test_a_file_that_is_cut_or_edited_beyond_use_names_the_field_and_what_to_do(
    tmp_path: Path, content: str, says: str
) -> None:
    (tmp_path / RUN_FILE).write_text(content)
    with pytest.raises(TrainingError, match=rf"{RUN_FILE}: .*{says}.*train the run anew"):
        facts_of(tmp_path)


def test_a_comparison_names_what_a_run_does_not_say_of_its_costs(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"seconds: Field required; move .* away"):
        _costs(_written(tmp_path, TRAINED))


@pytest.mark.parametrize("content", ["epoch,loss\n1,low\n", "epoch,loss\n1\n", "epoch\n1,2\n"])
def test_a_learning_curve_that_is_none_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / LOG_FILE).write_text(content)
    with pytest.raises(TrainingError, match="no learning curve: remove it"):
        _history(tmp_path)


def test_a_run_that_is_its_own_base_has_an_end(tmp_path: Path) -> None:
    itself = TRAINED | {"recipe": {"name": "best", "base": str(tmp_path)}}
    facts = run_of(_written(tmp_path, itself))
    assert _base_name(facts) == str(tmp_path)
    assert _commands(facts) == ["emotion-train fit"] * 2


def test_a_model_that_is_made_anew_takes_the_place_of_the_run_that_was_there(tmp_path: Path) -> None:
    _written(tmp_path, TRAINED)
    with made_anew(tmp_path) as made:
        (made / CONFIG_FILE).write_text("{}")
    assert [file.name for file in tmp_path.iterdir()] == [CONFIG_FILE]


def test_one_that_is_broken_off_leaves_it_as_it_was(tmp_path: Path) -> None:
    def broken_off(folder: Path) -> None:
        with made_anew(folder) as made:
            (made / CONFIG_FILE).write_text("{}")
            raise KeyboardInterrupt

    _written(tmp_path, TRAINED)
    with pytest.raises(KeyboardInterrupt):
        broken_off(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [RUN_FILE]
    assert run_of(tmp_path).command == TRAINED["command"]


class TestMetrics:
    """A card needs every score that it gives."""

    @pytest.fixture
    def metrics(self, debug_run: Path) -> dict[str, Any]:
        names = (
            *("accuracy", "macro_f1", "weighted_f1", "roc_auc_weighted", "ece_before", "own_temperature"),
            *("ece_after", "ece_shipped", "consistent_rows", "consistent_accuracy"),
        )
        beyond = ("rows", "macro_f1", "macro_f1_low", "macro_f1_high", "accuracy", "ece")
        return {
            "model": {"revision": ModelFolder.open(debug_run).revision},
            "benchmark": dict.fromkeys(names, 0.5),
            "intervals": {"accuracy": [0.4, 0.6], "macro_f1": [0.4, 0.6]},
            "by_label": [{"label": "joy", "precision": 0.5, "recall": 0.5, "f1": 0.5, "rows": 3}],
            "goemotions": dict.fromkeys(beyond, 0.5),
            "messages": dict.fromkeys(beyond, 0.5),
            "behaviour": {"irony": [1, 2]},
        }

    @pytest.fixture
    def run(self, debug_run: Path, tmp_path: Path) -> Path:
        run: Path = shutil.copytree(debug_run, tmp_path / "run")
        return run

    def read(self, run: Path, metrics: object) -> object:
        (run / METRICS_FILE).parent.mkdir()
        (run / METRICS_FILE).write_text(json.dumps(metrics))
        return measured_of(run)

    def test_those_of_an_older_version_have_no_languages(self, run: Path, metrics: dict[str, Any]) -> None:
        assert self.read(run, metrics)

    def test_a_score_that_is_no_number_is_null_and_read_back(
        self, run: Path, metrics: dict[str, Any]
    ) -> None:
        metrics["benchmark"]["roc_auc_weighted"] = float("nan")
        metrics["intervals"]["accuracy"] = [float("nan"), 0.5]
        text = as_json(metrics)
        assert "NaN" not in text
        read = self.read(run, json.loads(text))
        assert isinstance(read, Measured)
        assert math.isnan(read.benchmark["roc_auc_weighted"])
        assert math.isnan(read.intervals["accuracy"][0])

    def test_those_of_other_weights_are_refused(self, run: Path, metrics: dict[str, Any]) -> None:
        with pytest.raises(TrainingError, match="after it was evaluated: evaluate it again"):
            self.read(run, metrics | {"model": {"revision": "0123456789ab"}})

    @pytest.mark.parametrize(
        ("part", "content", "says"),
        [
            ("benchmark", {"accuracy": 0.9}, "no macro_f1"),
            ("intervals", {"accuracy": [0.1, 0.2]}, "no macro_f1"),
            ("intervals", {"accuracy": [0.1], "macro_f1": [0.1]}, "Field required"),
            ("by_label", [{"label": "joy"}], "precision"),
            ("goemotions", {}, "no rows"),
            ("behaviour", {"irony": 3}, "irony"),
            ("languages", {"brighter_de": 0.4}, "no brighter_claimed_mean"),
            ("messages", None, "should be an object"),
        ],
    )
    def test_a_missing_score_is_named(
        self, run: Path, metrics: dict[str, Any], part: str, content: object, says: str
    ) -> None:
        with pytest.raises(TrainingError, match=rf"{part}.*{says}.*emotion-train evaluate"):
            self.read(run, metrics | {part: content})
