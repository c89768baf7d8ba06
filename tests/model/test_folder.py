"""Which folders are accepted, and what is said of those that are not."""

import errno
import hashlib
import json
import os
import re
from pathlib import Path

import pytest

from model import Calibration, CalibrationError, ModelError
from model.folder import ModelFolder
from model.labels import LABEL2ID, LABELS
from tests.model.conftest import FolderMaker


def test_a_complete_folder_says_what_the_model_is(tiny_folder: Path) -> None:
    folder = ModelFolder.open(tiny_folder)
    assert folder.columns == tuple(range(len(LABELS)))
    assert (folder.name, folder.max_tokens, folder.pad_token_id) == ("tiny", 512, 0)
    assert folder.calibration.temperature == 1.5


def test_the_trained_revision_is_the_content_of_the_weights(tiny_folder: Path) -> None:
    digest = hashlib.sha256((tiny_folder / "model.safetensors").read_bytes()).hexdigest()
    assert ModelFolder.open(tiny_folder).trained_revision == digest[:12]


def test_a_plain_hugging_face_folder_needs_no_calibration(make_folder: FolderMaker) -> None:
    folder = ModelFolder.open(make_folder(without=("calibration.json", "model.int8.onnx")))
    assert folder.calibration == Calibration()
    assert folder.name == "copy"


def test_six_labels_in_another_order_and_spelling_are_understood(make_folder: FolderMaker) -> None:
    names = ["Joy", "ANGER", "fear", "love", "sadness", "surprise"]
    path = make_folder(config={"id2label": {str(index): name for index, name in enumerate(names)}})
    assert ModelFolder.open(path).columns == tuple(LABEL2ID[name.lower()] for name in names)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (
            {"id2label": {"0": "joy", "1": "disgust"}},
            "unknown label 'disgust'; expected are sadness, joy, love",
        ),
        ({"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}, "unknown label 'label_0'; expected are sadness"),
        ({"id2label": {"0": "joy", "1": "Joy"}}, "names a label twice"),
        ({"id2label": {"0": "joy", "2": "fear"}}, "lacks '1'; it must number all logits from 0"),
        ({"id2label": None}, "no id2label"),
        ({"problem_type": "multi_label_classification"}, "use one with a single label a text"),
    ],
)
def test_a_model_with_other_labels_is_refused(
    make_folder: FolderMaker, config: dict[str, object], problem: str
) -> None:
    path = make_folder(config=config)
    with pytest.raises(ModelError) as caught:
        ModelFolder.open(path)
    assert problem in str(caught.value)
    assert str(path / "config.json") in str(caught.value)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"config": {"max_position_embeddings": 128}}, 128),
        ({"max_tokens": 256}, 256),
        ({"without": ("tokenizer_config.json",), "config": {"max_position_embeddings": None}}, 512),
        ({"config": {"max_position_embeddings": 512}, "max_tokens": 1024}, 512),
    ],
)
def test_the_shortest_stated_length_counts(
    make_folder: FolderMaker, limits: dict[str, object], expected: int
) -> None:
    assert ModelFolder.open(make_folder(**limits)).max_tokens == expected


def test_a_tokenizer_without_a_limit_sets_none(make_folder: FolderMaker) -> None:
    path = make_folder()
    (path / "tokenizer_config.json").write_text('{"model_max_length": 1000000000000000019884624838656}')
    assert ModelFolder.open(path).max_tokens == 512


@pytest.mark.parametrize("limit", [7, 0, -1, True, float("nan"), "512", [512]])
@pytest.mark.parametrize(
    ("name", "key"),
    [("config.json", "max_position_embeddings"), ("tokenizer_config.json", "model_max_length")],
)
def test_a_length_that_no_text_fits_in_is_refused(
    make_folder: FolderMaker, name: str, key: str, limit: object
) -> None:
    path = make_folder()
    content = json.loads((path / name).read_text())
    (path / name).write_text(json.dumps(content | {key: limit}))
    with pytest.raises(ModelError, match=rf"{re.escape(name)}: {key} is .*8 tokens or more"):
        ModelFolder.open(path)


@pytest.mark.parametrize("token", [-1, True, "0", 1.5, [0]])
def test_a_padding_that_is_no_token_is_refused(make_folder: FolderMaker, token: object) -> None:
    path = make_folder(config={"pad_token_id": token})
    with pytest.raises(ModelError, match=r"config\.json: pad_token_id is .*a token's id"):
        ModelFolder.open(path)


def test_a_padding_beyond_the_vocabulary_is_refused(make_folder: FolderMaker) -> None:
    path = make_folder(config={"pad_token_id": 999_999})
    with pytest.raises(ModelError, match="pad_token_id is 999,999, but there are"):
        ModelFolder.open(path)


def test_a_folder_below_one_that_may_not_be_entered_is_refused_in_one_line(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> os.stat_result:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(ModelError, match=r"cannot be looked at \(Permission denied\): give this user"):
        ModelFolder.open(tiny_folder)


@pytest.mark.parametrize(
    "name", ["calibration.json", "manifest.json", "tokenizer_config.json", "model.safetensors"]
)
def test_a_link_without_its_file_is_no_file_that_was_left_out(make_folder: FolderMaker, name: str) -> None:
    path = make_folder()
    (path / name).unlink(missing_ok=True)
    (path / name).symlink_to("blobs/gone")
    with pytest.raises(ModelError, match=rf"{re.escape(name)}.* is a link that leads to no file"):
        ModelFolder.open(path)


def test_a_calibration_of_other_weights_is_refused(make_folder: FolderMaker) -> None:
    path = make_folder(revision="0123456789ab")
    with pytest.raises(CalibrationError, match=r"fitted on weights 0123456789ab, but these are [0-9a-f]{12}"):
        ModelFolder.open(path)


def test_a_path_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nowhere is no folder: name a Hugging Face model folder"):
        ModelFolder.open(tmp_path / "nowhere")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json cannot be read .*: copy the whole model folder"):
        ModelFolder.open(tmp_path)


@pytest.mark.parametrize("content", ['{"id2label": {"0": ', "[]"])
def test_a_spoilt_config_is_refused(make_folder: FolderMaker, content: str) -> None:
    path = make_folder()
    (path / "config.json").write_text(content)
    with pytest.raises(ModelError, match=r"config\.json .*copy it again"):
        ModelFolder.open(path)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "manifest.json"])
def test_json_that_nests_without_end_is_refused_in_one_line(make_folder: FolderMaker, name: str) -> None:
    path = make_folder()
    (path / name).write_text('{"a":' * 100_000)
    with pytest.raises(ModelError, match=f"{re.escape(name)} nests too deeply") as caught:
        ModelFolder.open(path)
    assert "\n" not in str(caught.value)
