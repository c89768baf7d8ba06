"""The last block computes what the head reads, and the logits stay what they were."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from model import EmotionClassifier, manifest
from tests.model.tiny import write_tiny_folder
from training.ship.firsttoken import read_first_token_alone, renew

IDS = np.array([[2, 9, 10, 11, 3], [2, 12, 3, 0, 0], [2, 3, 0, 0, 0]])


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_folder(folder)
    return folder


def outputs(graph: onnx.ModelProto, *names: str) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    found: list[np.ndarray] = session.run(names, {"input_ids": IDS, "attention_mask": (IDS != 0).astype(int)})
    return found


@pytest.mark.parametrize("name", ["model.onnx", "model.int8.onnx"])
def test_the_logits_are_those_of_all_tokens(tiny_folder: Path, name: str) -> None:
    graph = onnx.load(tiny_folder / name)
    (expected,) = outputs(graph, "logits")
    assert read_first_token_alone(graph.graph) > 15
    onnx.checker.check_model(graph)
    np.testing.assert_allclose(outputs(graph, "logits")[0], expected, atol=1e-5)


def test_the_last_block_computes_one_token_and_the_others_all(tiny_folder: Path) -> None:
    graph = onnx.load(tiny_folder / "model.onnx")
    read_first_token_alone(graph.graph)
    hidden = [
        next(n.output[0] for n in graph.graph.node if f"layer.{i}/ffn/lin2/Add" in n.name) for i in (0, 1)
    ]
    graph.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in hidden)
    assert [tokens.shape for tokens in outputs(graph, *hidden)] == [(3, 5, 32), (3, 1, 32)]


def test_a_graph_whose_output_is_every_token_stays_as_it_is(tiny_folder: Path) -> None:
    graph = onnx.load(tiny_folder / "model.onnx")
    last = next(n.input[0] for n in graph.graph.node if n.name.endswith("network/Gather"))
    graph.graph.output.append(helper.make_empty_tensor_value_info(last))
    before = graph.SerializeToString()
    assert read_first_token_alone(graph.graph) == 0
    assert graph.SerializeToString() == before


def test_an_exported_folder_is_renewed_once_and_stays_whole(tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "exported")
    manifest.write(folder)
    (folder / "model.safetensors").unlink()  # a folder for CPUs: the manifest states it all the same
    stated = manifest.read(folder)
    assert renew(folder) > 15
    assert renew(folder) == 0
    assert EmotionClassifier.load(folder, "cpu").info.verified
    changed = dict(set((manifest.read(folder) or {}).items()) - set((stated or {}).items()))
    assert set(changed) == {"model.int8.onnx"}
