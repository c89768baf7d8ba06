"""A folder whose files are not those that were exported is refused; one without a manifest is unverified."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from model import EmotionClassifier, ModelError, manifest
from model.folder import WEIGHTS, ModelFolder
from tests.model.conftest import FolderMaker


@pytest.fixture
def folder(make_folder: FolderMaker) -> Path:
    """A folder with its manifest."""
    path: Path = make_folder()
    manifest.write(path)
    return path


def swap_joy_and_sadness(file: Path) -> None:
    """Exchange two columns of the head inside an ONNX file: it loads, and calls joy sadness."""
    graph = onnx.load(file)
    for tensor in graph.graph.initializer:
        if tensor.name.startswith("classifier."):
            values = numpy_helper.to_array(tensor).copy()
            values[[0, 1]] = values[[1, 0]]
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(graph, file)


def test_labels_swapped_inside_the_int8_file_are_refused(folder: Path) -> None:
    texts = ["i feel so happy today", "tears"]
    before = EmotionClassifier.load(folder, "cpu", "int8")
    logits = before.forward(before.tokenize(texts))
    swap_joy_and_sadness(folder / "model.int8.onnx")
    with pytest.raises(ModelError, match=r"model\.int8\.onnx is not the file that was exported") as caught:
        EmotionClassifier.load(folder, "cpu", "int8")
    assert "python -m model.manifest" in str(caught.value)
    (folder / manifest.FILE_NAME).unlink()
    swapped = EmotionClassifier.load(folder, "cpu", "int8")
    np.testing.assert_allclose(swapped.forward(swapped.tokenize(texts))[:, 0], logits[:, 1], atol=1e-5)
    assert swapped.info.revision != before.info.revision


@pytest.mark.parametrize("name", manifest.DECIDING_FILES)
def test_any_file_that_decides_is_checked(folder: Path, name: str) -> None:
    file = folder / name
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(ModelError, match=f"{name} is not the file that was exported"):
        ModelFolder.open(folder)


@pytest.mark.parametrize("name", ["config.json", "calibration.json", "tokenizer_config.json"])
def test_a_file_that_the_manifest_states_must_be_there(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"{name} (is missing|cannot be read)"):
        ModelFolder.open(folder)


def test_a_file_that_the_manifest_does_not_state_is_refused(make_folder: FolderMaker) -> None:
    path = make_folder(without=("model.int8.onnx",))
    manifest.write(path)
    (path / "model.int8.onnx").write_bytes(b"another")
    with pytest.raises(ModelError, match=r"model\.int8\.onnx .* states nothing of it"):
        ModelFolder.open(path)


def test_a_copy_for_cpus_has_the_same_revision(folder: Path) -> None:
    whole = ModelFolder.open(folder).revision
    (folder / "model.safetensors").unlink()
    assert ModelFolder.open(folder).revision == whole


def test_a_folder_without_a_manifest_loads_and_is_unverified(make_folder: FolderMaker) -> None:
    path = make_folder()
    assert not EmotionClassifier.load(path, "cpu", "int8").info.verified
    manifest.write(path)
    assert EmotionClassifier.load(path, "cpu", "int8").info.verified


@pytest.mark.parametrize("content", ["{}", '{"version": 2, "files": {}}', '{"version": 1, "files": []}'])
def test_a_manifest_of_another_kind_is_refused(folder: Path, content: str) -> None:
    (folder / manifest.FILE_NAME).write_text(content)
    with pytest.raises(ModelError, match=r"manifest\.json is no manifest of version 1"):
        ModelFolder.open(folder)


def test_every_deciding_file_moves_the_revision(make_folder: FolderMaker) -> None:
    path = make_folder()
    seen = {ModelFolder.open(path).revision}
    for change in ({"temperature": 2.0}, {"temperature": 3.0}):
        file = path / "calibration.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | change))
        seen.add(ModelFolder.open(path).revision)
    assert len(seen) == 3


def test_whoever_changed_a_file_on_purpose_writes_the_manifest_anew(folder: Path) -> None:
    file = folder / "calibration.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"temperature": 2.0}))
    subprocess.run([sys.executable, "-m", "model.manifest", str(folder)], check=True, capture_output=True)
    assert ModelFolder.open(folder).calibration.temperature == 2.0


def test_the_shipped_weights_are_verified() -> None:
    assert ModelFolder.open(WEIGHTS).verified
