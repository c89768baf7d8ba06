"""The int8 file gives the same integers on every processor, and no text's answer leans on another text."""

import numpy as np
import onnx
import onnxruntime
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import TensorProto, helper

from model.folder import WEIGHTS
from training.ship.graph import Graph
from training.ship.int8 import (
    INPUT_LIMIT,
    INT16_LIMIT,
    PAIR_LIMIT,
    Int8,
    quantised_columns,
    quantised_rows,
    widest_pair,
)

ROWS, DEPTH, COLUMNS = 16, 256, 64
STEP = 1 / 127


def one_product(weights: np.ndarray) -> onnx.ModelProto:
    """A graph of nothing but ``y = x · weights``, quantised."""
    graph = Graph()
    arithmetic = Int8(graph)
    sizes = graph.node("Shape", "x", name="sizes")
    rows = graph.node("Gather", sizes, graph.sizes(0), name="rows")
    arithmetic.product(arithmetic.factor("x", rows), "w", weights.astype(np.float32), out="y")
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", width])
        for name, width in zip("xy", weights.shape, strict=True)
    )
    return graph.model([x], y)


def answer(graph: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"x": x.astype(np.float32)})
    return y


def test_the_shipped_products_saturate_on_no_processor() -> None:
    assert 0 < widest_pair(onnx.load(WEIGHTS / "model.int8.onnx")) <= INT16_LIMIT


def test_the_widest_possible_products_are_exact_here() -> None:
    """Every pair of neighbours, and every input, at its limit: a kernel that saturates is off by half.

    The large weights of two columns stand one row apart, so a kernel that pairs other rows is found out too.
    """
    weights = np.ones((DEPTH, COLUMNS))
    weights[0::2, 0::2] = weights[1::2, 1::2] = PAIR_LIMIT - 1
    graph = one_product(weights)
    assert INT16_LIMIT - 2 * INPUT_LIMIT < widest_pair(graph) <= INT16_LIMIT
    x = np.ones((ROWS, DEPTH))
    np.testing.assert_allclose(answer(graph, x), x @ weights, rtol=1e-5)


@given(arrays(np.float32, (7, 3), elements=st.floats(-10, 10, width=32)))
def test_no_two_neighbours_exceed_what_16_bits_hold(weights: np.ndarray) -> None:
    columns, scales = quantised_columns(weights)
    padded = np.vstack([np.abs(columns.astype(int)), np.zeros((1, 3), int)])
    assert INPUT_LIMIT * (padded[0::2] + padded[1::2]).max() <= INT16_LIMIT
    assert (np.abs(columns * scales - weights) <= scales * 0.5001 + 1e-7).all()


def test_a_product_is_the_integer_arithmetic_that_it_stands_for() -> None:
    rng = np.random.default_rng(5)
    weights = rng.normal(size=(DEPTH, COLUMNS)).astype(np.float32)
    x = (rng.normal(size=(ROWS, DEPTH)) * rng.lognormal(size=(ROWS, 1))).astype(np.float32)
    graph = one_product(weights)
    columns, scales = quantised_columns(weights)
    ranges = np.abs(x).max(axis=1, keepdims=True)
    integers = np.rint(x / ranges / np.float32(STEP)).astype(np.int64) @ columns.astype(np.int64)
    np.testing.assert_allclose(answer(graph, x), integers * STEP * scales * ranges, rtol=1e-3, atol=1e-3)


def test_a_row_is_not_changed_by_the_rows_beside_it() -> None:
    rng = np.random.default_rng(6)
    graph = one_product(rng.normal(size=(DEPTH, COLUMNS)))
    x = rng.normal(size=(ROWS, DEPTH))
    x[1:] *= 1000
    np.testing.assert_array_equal(answer(graph, x)[0], answer(graph, x[:1])[0])


def test_a_row_of_zeros_stays_one() -> None:
    graph = one_product(np.ones((DEPTH, COLUMNS)))
    np.testing.assert_array_equal(answer(graph, np.zeros((1, DEPTH))), np.zeros((1, COLUMNS)))


def test_the_shipped_head_stays_in_float() -> None:
    graph = onnx.load(WEIGHTS / "model.int8.onnx").graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    heads = [node for node in graph.node if node.op_type == "Gemm"]
    assert [types[node.input[1]] for node in heads] == [TensorProto.FLOAT] * 2


def test_nothing_in_the_shipped_file_takes_its_range_from_a_batch() -> None:
    operators = {node.op_type for node in onnx.load(WEIGHTS / "model.int8.onnx").graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators
    assert "DynamicQuantizeLinear" not in operators


def test_the_shipped_embeddings_are_int8() -> None:
    tensors = onnx.load(WEIGHTS / "model.int8.onnx").graph.initializer
    large = [tensor for tensor in tensors if len(tensor.dims) == 2 and tensor.dims[0] >= 10_000]
    assert large
    assert {tensor.data_type for tensor in large if tensor.dims[1] > 1} == {TensorProto.INT8}


@given(arrays(np.float32, (4, 8), elements=st.floats(-10, 10, width=32)))
def test_a_quantised_row_is_off_by_half_a_step_at_most(table: np.ndarray) -> None:
    rows, scales = quantised_rows(table)
    assert (np.abs(rows * scales - table) <= scales * 0.5001 + 1e-7).all()
