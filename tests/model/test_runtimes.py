"""The runtimes agree with each other and with themselves, whatever stands beside a text in its batch."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from model import Logits, MissingExtraError, ModelError
from model.decide import probabilities
from model.runtimes import Runtime
from model.runtimes.cpu import MAX_BATCH_TOKENS, CpuRuntime
from model.runtimes.pytorch import TorchRuntime, precision_of
from tests.model.conftest import FolderMaker

# Differences of logits, whose standard deviation over texts is about 0.4 here.
SAME_ARITHMETIC = 1e-5  # fp32 in both: the order of additions differs
INT8_PROBABILITY = 0.03  # of any label of any text
BF16 = 0.15  # 8 bits of mantissa through two layers


@pytest.fixture(scope="module")
def windows() -> list[tuple[int, ...]]:
    generator = np.random.default_rng(3)
    lengths = [*generator.integers(3, 60, size=40), 512, 200, 3]
    return [(2, *generator.integers(5, 90, size=length - 2).tolist(), 3) for length in lengths]


@pytest.fixture(scope="module")
def reference(tiny_folder: Path, windows: list[tuple[int, ...]]) -> Logits:
    """transformers itself, one window at a time, no padding."""
    network = AutoModelForSequenceClassification.from_pretrained(tiny_folder).eval()
    with torch.inference_mode():
        rows = [network(torch.tensor([window])).logits.numpy()[0] for window in windows]
    return np.stack(rows)


@pytest.fixture(scope="module")
def onnx_fp32(tiny_folder: Path) -> Runtime:
    return CpuRuntime(tiny_folder / "model.onnx", pad_token_id=0, precision="fp32")


@pytest.fixture(scope="module")
def onnx_int8(tiny_folder: Path) -> Runtime:
    return CpuRuntime(tiny_folder / "model.int8.onnx", pad_token_id=0, precision="int8")


@pytest.fixture(scope="module")
def torch_fp32(tiny_folder: Path) -> Runtime:
    return TorchRuntime(tiny_folder, device="cpu", precision="fp32", pad_token_id=0)


@pytest.fixture(scope="module")
def torch_bf16(tiny_folder: Path) -> Runtime:
    return TorchRuntime(tiny_folder, device="cpu", precision="bf16", pad_token_id=0)


@pytest.mark.parametrize(
    ("runtime", "tolerance"),
    [
        ("torch_fp32", SAME_ARITHMETIC),
        ("onnx_fp32", SAME_ARITHMETIC),
        ("torch_bf16", BF16),
    ],
)
def test_logits_are_those_of_transformers_in_the_order_given(
    request: pytest.FixtureRequest,
    runtime: str,
    tolerance: float,
    windows: list[tuple[int, ...]],
    reference: Logits,
) -> None:
    logits = request.getfixturevalue(runtime).forward(windows)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, reference, atol=tolerance, rtol=0)


def test_int8_tells_users_the_same_as_transformers(
    onnx_int8: Runtime, windows: list[tuple[int, ...]], reference: Logits
) -> None:
    """What users see is a label and a probability: no probability moves by more than a few hundredths, and
    the label stays, unless the two best were as good as equal.
    """
    exact, int8 = (probabilities(rows, 1.0, range(7)) for rows in (reference, onnx_int8.forward(windows)))
    assert np.abs(int8 - exact).max() < INT8_PROBABILITY
    best, second = np.sort(exact, axis=1)[:, :-3:-1].T
    plain = best - second > 2 * INT8_PROBABILITY
    assert plain.mean() > 0.5
    np.testing.assert_array_equal(int8.argmax(axis=1)[plain], exact.argmax(axis=1)[plain])


def test_the_reference_tells_texts_apart(reference: Logits) -> None:
    assert reference.std(axis=0).min() > 0.25


@pytest.mark.parametrize("runtime", ["torch_fp32", "onnx_fp32", "onnx_int8"])
def test_a_window_alone_and_in_a_batch_gives_the_same(
    request: pytest.FixtureRequest, runtime: str, windows: list[tuple[int, ...]]
) -> None:
    loaded: Runtime = request.getfixturevalue(runtime)
    alone = np.concatenate([loaded.forward([window]) for window in windows])
    np.testing.assert_allclose(loaded.forward(windows), alone, atol=SAME_ARITHMETIC, rtol=0)


@pytest.mark.parametrize("runtime", ["torch_fp32", "onnx_fp32", "onnx_int8"])
def test_a_batch_beyond_the_bound_is_run_in_parts(
    request: pytest.FixtureRequest, runtime: str, windows: list[tuple[int, ...]]
) -> None:
    loaded: Runtime = request.getfixturevalue(runtime)
    many = windows * 3
    assert sum(map(len, many)) > 10 * MAX_BATCH_TOKENS
    last = loaded.forward(many)[-len(windows) :]
    np.testing.assert_allclose(last, loaded.forward(windows), atol=SAME_ARITHMETIC, rtol=0)


@pytest.mark.parametrize("runtime", ["torch_fp32", "onnx_int8"])
def test_no_windows_have_no_logits(request: pytest.FixtureRequest, runtime: str) -> None:
    assert request.getfixturevalue(runtime).forward([]).shape == (0, 7)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", BF16), ("fp16", BF16), ("fp32", 1e-3)])
def test_a_gpu_gives_the_same(
    tiny_folder: Path, windows: list[tuple[int, ...]], reference: Logits, precision: str, tolerance: float
) -> None:
    runtime = TorchRuntime(tiny_folder, device="cuda", precision=precision, pad_token_id=0)
    np.testing.assert_allclose(
        runtime.forward(windows * 3)[: len(windows)], reference, atol=tolerance, rtol=0
    )


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "fp16"), ((8, 0), "bf16"), ((9, 0), "bf16")])
def test_a_gpu_that_does_not_multiply_bf16_takes_fp16(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert precision_of("cuda") == expected


def test_a_truncated_onnx_file_is_refused_in_one_line(make_folder: FolderMaker) -> None:
    file = make_folder() / "model.int8.onnx"
    file.write_bytes(file.read_bytes()[:50_000])
    with pytest.raises(
        ModelError, match=r"model\.int8\.onnx cannot be opened, copy or export it again"
    ) as caught:
        CpuRuntime(file, pad_token_id=0, precision="int8")
    assert "\n" not in str(caught.value)


def rewritten(source: Path, file: Path, node: onnx.NodeProto, *given: onnx.TensorProto) -> Path:
    """The ONNX file with one node more, before its output, whose shape is left open."""
    graph = onnx.load(source)
    graph.graph.node[-1].output[0] = "inner"
    graph.graph.node.append(node)
    graph.graph.initializer.extend(given)
    graph.graph.output[0].type.tensor_type.ClearField("shape")
    onnx.save(graph, file)
    return file


def test_outputs_that_an_onnx_file_leaves_open_are_counted_when_it_is_opened(
    tiny_folder: Path, tmp_path: Path
) -> None:
    chosen = onnx.numpy_helper.from_array(np.array([True] * 5 + [False] * 2), "chosen")
    node = onnx.helper.make_node("Compress", ["inner", "chosen"], ["logits"], axis=1)
    file = rewritten(tiny_folder / "model.onnx", tmp_path / "open.onnx", node, chosen)
    runtime = CpuRuntime(file, pad_token_id=0, precision="fp32")
    assert runtime.outputs == 5
    assert runtime.forward([(2, 9, 3), (2, 3)]).shape == (2, 5)
    with pytest.raises(ModelError, match=r"open\.onnx cannot be run, export it again"):
        CpuRuntime(file, pad_token_id=10**6, precision="fp32")


def test_an_onnx_file_that_gives_no_row_a_window_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    axes = onnx.numpy_helper.from_array(np.array([1]), "axes")
    node = onnx.helper.make_node("Unsqueeze", ["inner", "axes"], ["logits"])
    file = rewritten(tiny_folder / "model.onnx", tmp_path / "deep.onnx", node, axes)
    with pytest.raises(ModelError, match=r"deep\.onnx gives logits of 3 dimensions: export one row"):
        CpuRuntime(file, pad_token_id=0, precision="fp32")


def test_an_onnx_file_made_from_other_weights_is_refused(tiny_folder: Path) -> None:
    with pytest.raises(ModelError, match=r"made from weights [0-9a-f]{12}, not from ffffffffffff: export it"):
        CpuRuntime(tiny_folder / "model.int8.onnx", pad_token_id=0, precision="int8", revision="ffffffffffff")


def test_truncated_safetensors_are_refused_in_one_line(make_folder: FolderMaker) -> None:
    folder = make_folder()
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:90_000])
    with pytest.raises(ModelError, match="cannot be loaded, copy it again") as caught:
        TorchRuntime(folder, device="cpu", precision="fp32", pad_token_id=0)
    assert "\n" not in str(caught.value)


def test_loading_says_nothing_of_weights_that_others_use() -> None:
    """Distress has weights of its own, which transformers would list as unexpected."""
    script = "from model import EmotionClassifier; EmotionClassifier.load(None, 'cpu', 'fp32')"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("", "")


def test_a_network_without_its_classification_head_is_refused(make_folder: FolderMaker) -> None:
    folder = make_folder()
    AutoModelForSequenceClassification.from_pretrained(folder).distilbert.save_pretrained(folder)
    with pytest.raises(ModelError, match=r"lacks weights .*: name a fine-tuned classifier"):
        TorchRuntime(folder, device="cpu", precision="fp32", pad_token_id=0)


@pytest.mark.parametrize(
    ("device", "problem"),
    [
        ("tpu-v5", "device 'tpu-v5' is unknown"),
        ("meta", "'meta' is not supported"),
        ("cuda:99", "is not there"),
    ],
)
def test_a_device_that_cannot_be_used_is_refused(tiny_folder: Path, device: str, problem: str) -> None:
    with pytest.raises(ModelError, match=problem):
        TorchRuntime(tiny_folder, device=device, precision="fp32", pad_token_id=0)


def test_a_gpu_that_is_full_is_said_in_one_line(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 64.00 MiB.\nGPU 0 has ...")

    monkeypatch.setattr("model.runtimes.pytorch._packed", full)
    with pytest.raises(ModelError, match=r"cpu has too little free memory for .*: run fewer workers"):
        TorchRuntime(tiny_folder, device="cpu", precision="fp32", pad_token_id=0)


def test_without_torch_the_extra_to_install_is_named(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'emotion-stream\[gpu\]'"):
        TorchRuntime(tiny_folder, device="cpu", precision="fp32", pad_token_id=0)
