"""The graph that ships computes what transformers does, and no more than the head reads."""

from functools import cache
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from transformers import DistilBertConfig, DistilBertForSequenceClassification

from model.runtimes.cpu import INPUTS
from model.runtimes.padding import pad
from training.errors import TrainingError
from training.ship.distilbert import Arithmetic, Shape, write
from training.ship.export import graph_of
from training.ship.float32 import Float32
from training.ship.int8 import Int8

WIDTH, WORDS, LABELS = 32, 90, 14
WINDOWS = st.lists(st.lists(st.integers(5, WORDS - 1), min_size=1, max_size=60), min_size=1, max_size=6)


@cache
def network(layers: int = 3) -> DistilBertForSequenceClassification:
    """A random one whose every bias matters."""
    torch.manual_seed(11)
    config = DistilBertConfig(
        vocab_size=WORDS,
        dim=WIDTH,
        hidden_dim=64,
        n_layers=layers,
        n_heads=4,
        max_position_embeddings=64,
        num_labels=LABELS,
        initializer_range=0.2,
    )
    made = DistilBertForSequenceClassification(config).eval()
    for name, parameter in made.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.5)
    return made


def written(arithmetic: type[Arithmetic], layers: int = 3) -> onnx.ModelProto:
    made = graph_of(network(layers), arithmetic)
    onnx.checker.check_model(made)
    return made


@cache
def session(arithmetic: type[Arithmetic], layers: int = 3) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(written(arithmetic, layers).SerializeToString())


def padded(windows: list[list[int]]) -> dict[str, np.ndarray]:
    return dict(zip(INPUTS, pad(windows, 0), strict=True))


def expected(windows: list[list[int]], layers: int = 3) -> np.ndarray:
    """transformers itself, one window at a time, no padding."""
    with torch.inference_mode():
        return np.concatenate([network(layers)(torch.tensor([window])).logits.numpy() for window in windows])


@given(WINDOWS)
def test_the_logits_are_those_of_transformers_for_any_mix_of_lengths(windows: list[list[int]]) -> None:
    (logits,) = session(Float32).run(["logits"], padded(windows))
    np.testing.assert_allclose(logits, expected(windows), atol=2e-5)


@given(WINDOWS)
def test_int8_gives_nearly_the_same_logits(windows: list[list[int]]) -> None:
    (logits,) = session(Int8).run(["logits"], padded(windows))
    assert np.abs(logits - expected(windows)).mean() < 0.05


@given(WINDOWS)
def test_int8_logits_of_a_text_are_the_same_whatever_stands_beside_it(windows: list[list[int]]) -> None:
    (together,) = session(Int8).run(["logits"], padded(windows))
    alone = [session(Int8).run(["logits"], padded([window]))[0] for window in windows]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=0.01)


def test_a_network_of_one_block_is_written_too() -> None:
    windows = [[7, 8, 9], [10]]
    (logits,) = session(Float32, 1).run(["logits"], padded(windows))
    np.testing.assert_allclose(logits, expected(windows, 1), atol=2e-5)


@pytest.mark.parametrize("arithmetic", [Float32, Int8])
def test_the_last_block_computes_the_first_tokens_and_the_others_all(arithmetic: type[Any]) -> None:
    graph = written(arithmetic)
    hidden = [f"distilbert.transformer.layer.{block}.output_layer_norm" for block in range(3)]
    graph.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in hidden)
    run = onnxruntime.InferenceSession(graph.SerializeToString()).run
    shapes = [states.shape for states in run(hidden, padded([[7, 8, 9, 10], [11, 12]]))]
    assert shapes == [(8, WIDTH), (8, WIDTH), (2, WIDTH)]


def test_a_weight_that_is_missing_is_named() -> None:
    with pytest.raises(KeyError, match="word_embeddings"):
        write({"classifier.bias": np.zeros(7, np.float32)}, Shape(1, 4, WIDTH), Float32)


def test_a_network_that_the_layout_does_not_compute_is_refused() -> None:
    other = DistilBertForSequenceClassification(
        DistilBertConfig(**(network(1).config.to_dict() | {"activation": "relu"}))
    )
    with pytest.raises(TrainingError, match="DistilBERT with GELU"):
        graph_of(other, Float32)
