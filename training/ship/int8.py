"""A float32 ONNX graph as int8: products that saturate on no processor, and no text that sways another.

Quantised is what costs time and space, and nothing else: the products with constant weights, one scale a
column, and the embedding tables, one scale a row. Attention, normalisation and the head stay in float.

    x ─┬─ r = the largest |x| of a token ───────────────┐
       └─ x / r ─► uint8 ─► product with int8 weights ──► · r ─► y

**A token's input is scaled by its own largest value.** One fixed range for all texts has to hold the widest
value that any text reaches, and leaves the others few of its 256 steps; a range taken from each batch
(``DynamicQuantizeLinear``) lets a text's label depend on its neighbours, and so differ when it is read again.
By token, there is no text to take a range from beforehand, and nothing that another text could change.
(Yao et al., "ZeroQuant", NeurIPS 2022.)

**No two products saturate.** Without VNNI, x86 multiplies unsigned by signed bytes and adds neighbouring
*pairs* of products in 16 bits that saturate (``vpmaddubsw``). So a column is scaled until no two neighbouring
weights exceed 128 together: 255 · 128 = 32,640 < 32,767, and every kernel, with and without VNNI, AVX-512 or
AMX, gives the same exact integers. Large weights are seldom neighbours, so steps are some 1.4 times finer
than with weights of 7 bits, the usual way. ``widest_pair`` proves it of a file.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.int8]

INPUT_LIMIT: Final = 255
PAIR_LIMIT: Final = 127
"""Greatest input, and greatest sum of two neighbouring weights before they are rounded, as integers."""

INT16_LIMIT: Final = 32_767

# Fewer columns than this are a head: it costs nothing, and decides.
LEAST_COLUMNS: Final = 32
# Tables of at least so many rows are embeddings; smaller ones are not worth a node.
EMBEDDING_ROWS: Final = 256
# Products behind a GELU, which is never below -0.17: one byte then covers [-0.1 r, r], in steps half as wide.
ONE_SIDED: Final = ("/ffn/lin2/",)

# Into how many parts the features behind a GELU are split, each with its own range by token: a few of them
# are a hundred times the others, and would leave them next to no steps.
PARTS: Final = 4

# The uint8 that stands for zero, and the step, for inputs in [-1, 1] and in [-0.1, 1].
_TWO_SIDED_STEP: Final = (128, 1 / 127)
_ONE_SIDED_STEP: Final = (24, 1 / 231)
# The least range: a token whose values are all zero is divided by something, and what a GELU leaves below
# zero (-0.17) is never cut off.
_TWO_SIDED_LEAST: Final = 1e-6
_ONE_SIDED_LEAST: Final = 0.17 * 231 / 24


def quantise(graph: Any) -> None:
    """Quantise the products and the embedding tables of ``graph`` (an ``onnx.ModelProto``) in place."""
    _quantise_products(graph.graph)
    _quantise_embeddings(graph.graph)
    _drop_unused(graph.graph)


def quantised_columns(weights: Floats) -> tuple[Bytes, Floats]:
    """``weights`` (K, N) as int8 (K, N), two neighbours in a column at most 128 together, and a scale a
    column (N,).
    """
    scales = np.maximum(_pairs(np.abs(weights)).max(axis=0), 1e-12) / PAIR_LIMIT
    return np.rint(weights / scales).astype(np.int8), scales.astype(np.float32)


def _pairs(weights: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The sums of rows 0 and 1, 2 and 3, and so on; an odd last row stands alone."""
    return np.add.reduceat(weights, np.arange(0, len(weights), 2), axis=0)


def quantised_rows(table: Floats) -> tuple[Bytes, Floats]:
    """``table`` (V, D) as int8 (V, D) and a scale a row (V, 1), so that rows · scale is nearly ``table``."""
    scales = np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-12) / 127
    return np.rint(table / scales).astype(np.int8), scales.astype(np.float32)


def widest_pair(graph: Any) -> int:
    """The greatest sum, in absolute value, that two neighbouring products of an int8 matrix of ``graph``
    can reach with any input: up to ``INT16_LIMIT``, no kernel saturates.
    """
    from onnx import numpy_helper

    tensors = {tensor.name: tensor for tensor in graph.graph.initializer}
    widest = 0
    for product in (node for node in graph.graph.node if node.op_type == "MatMul"):
        maker = next((node for node in graph.graph.node if product.input[1] in node.output), None)
        if maker is None or maker.op_type != "DequantizeLinear" or maker.input[0] not in tensors:
            continue
        weights = np.abs(numpy_helper.to_array(tensors[maker.input[0]]).astype(np.int64))
        widest = max(widest, INPUT_LIMIT * int(_pairs(weights).max()))
    return widest


def _quantise_products(graph: Any) -> None:
    from onnx import numpy_helper

    tensors = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[Any] = []
    inputs: dict[str, tuple[str, str]] = {}  # products of one input share its bytes
    for node in graph.node:
        weights = tensors.get(node.input[1]) if node.op_type == "MatMul" else None
        if weights is None or weights.dims[-1] < LEAST_COLUMNS:
            nodes.append(node)
            continue
        matrix = numpy_helper.to_array(weights)
        if _is_one_sided(node):
            nodes += _product_in_parts(graph, node, matrix)
            continue
        if node.input[0] not in inputs:
            made, inputs[node.input[0]] = _bytes_by_token(graph, node.input[0])
            nodes += made
        nodes += _product(graph, node, matrix, *inputs[node.input[0]])
    del graph.node[:]
    graph.node.extend(nodes)


def _is_one_sided(product: Any) -> bool:
    return any(part in product.name for part in ONE_SIDED)


def _product_in_parts(graph: Any, node: Any, weights: Floats) -> list[Any]:
    """``node`` as a sum of products over a few input features each, quantised by token and part."""
    from onnx import helper

    source, output = node.input[0], node.output[0]
    count = PARTS if len(weights) % PARTS == 0 else 1
    nodes = _bytes_by_part(graph, source, count, len(weights) // count)
    for index, rows in enumerate(np.split(weights, count)):
        weight = f"{node.input[1]}.part{index}"
        near, name = f"{source}.near{index}", f"{node.name}/{index}"
        piece = helper.make_node("MatMul", [near, weight], [f"{output}.part{index}"], name=name)
        nodes += _product(graph, piece, rows, near, f"{source}.range{index}")
    return [*nodes, helper.make_node("Sum", [f"{output}.part{index}" for index in range(count)], [output])]


def _bytes_by_part(graph: Any, source: str, count: int, width: int) -> list[Any]:
    """The nodes that quantise ``source`` (batch, tokens, count x width) by token and part, one-sided; they
    make ``source.near0`` and so on, with ``source.range0``.

    The parts of all tokens are the rows of one matrix with a step a row: one pass over the input, while a
    range for each part alone took three passes over it.
    """
    from onnx import helper

    zero, step = _ONE_SIDED_STEP
    constants = {
        "cells": np.array([0, 0, count, width]),
        "matrix": np.array([-1, width]),
        "vector": np.array([-1]),
        "least": np.float32(_ONE_SIDED_LEAST),
        "step": np.float32(step),
        "zero": np.uint8(zero),
    }
    _constants(graph, {part: f"{source}.{part}" for part in constants}, **constants)

    def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> Any:
        read, written = ([f"{source}.{name}" for name in side.split()] for side in (inputs, outputs))
        return helper.make_node(operator, read, written, **attributes)

    parts = range(count)
    return [
        helper.make_node("Reshape", [source, f"{source}.cells"], [f"{source}.by_part"]),
        helper.make_node("Reshape", [source, f"{source}.matrix"], [f"{source}.rows"]),
        helper.make_node("Shape", [source], [f"{source}.shape"]),
        node("ReduceMax", "by_part", "high", axes=[-1], keepdims=0),
        node("Max", "high least", "range"),
        node("Reshape", "range vector", "ranges"),
        node("Mul", "ranges step", "steps"),
        node("Shape", "steps", "count"),
        node("Expand", "zero count", "zeros"),
        node("QuantizeLinear", "rows steps zeros", "quantised", axis=0),
        node("Reshape", "quantised shape", "bytes"),
        node("Split", "bytes", " ".join(f"bytes{part}" for part in parts), axis=-1),
        node("Split", "range", " ".join(f"range{part}" for part in parts), axis=-1),
        *(node("DequantizeLinear", f"bytes{part} step zero", f"near{part}") for part in parts),
    ]


def _bytes_by_token(graph: Any, source: str) -> tuple[list[Any], tuple[str, str]]:
    """The nodes that quantise ``source`` by token, and the names of the result and of the ranges."""
    from onnx import helper

    zero, step = _TWO_SIDED_STEP
    names = {
        part: f"{source}.{part}"
        for part in ("high", "low", "down", "range", "unit", "bytes", "near", "least", "step", "zero")
    }
    least = np.float32(_TWO_SIDED_LEAST)
    _constants(graph, names, least=least, step=np.float32(step), zero=np.uint8(zero))
    grid = [names["step"], names["zero"]]
    return [
        helper.make_node("ReduceMax", [source], [names["high"]], axes=[-1], keepdims=1),
        helper.make_node("ReduceMin", [source], [names["low"]], axes=[-1], keepdims=1),
        helper.make_node("Neg", [names["low"]], [names["down"]]),
        helper.make_node("Max", [names["high"], names["down"], names["least"]], [names["range"]]),
        helper.make_node("Div", [source, names["range"]], [names["unit"]]),
        helper.make_node("QuantizeLinear", [names["unit"], *grid], [names["bytes"]]),
        helper.make_node("DequantizeLinear", [names["bytes"], *grid], [names["near"]]),
    ], (names["near"], names["range"])


def _product(graph: Any, node: Any, weights: Floats, near: str, ranges: str) -> list[Any]:
    """``node`` with int8 weights and the quantised input, scaled back by token."""
    from onnx import helper

    columns, scales = quantised_columns(weights)
    names = {part: f"{node.input[1]}.{part}" for part in ("int8", "scale", "zero", "near", "unscaled")}
    _constants(graph, names, int8=columns, scale=scales, zero=np.zeros(len(scales), np.int8))
    triple = [names["int8"], names["scale"], names["zero"]]
    return [
        helper.make_node("DequantizeLinear", triple, [names["near"]], axis=1),
        helper.make_node("MatMul", [near, names["near"]], [names["unscaled"]], name=node.name),
        helper.make_node("Mul", [names["unscaled"], ranges], list(node.output)),
    ]


def _quantise_embeddings(graph: Any) -> None:
    """Store the embedding tables, (V, D) in float32, as int8 with one scale a row."""
    tables = {tensor.name: tensor for tensor in graph.initializer if len(tensor.dims) == 2}
    nodes: list[Any] = []
    for node in graph.node:
        table = tables.get(node.input[0]) if node.op_type == "Gather" else None
        large = table is not None and table.dims[0] >= EMBEDDING_ROWS
        nodes += _gather(graph, node, table) if large else [node]
    del graph.node[:]
    graph.node.extend(nodes)


def _gather(graph: Any, gather: Any, table: Any) -> list[Any]:
    """``gather`` as one of int8 rows, one of their scales, and the product."""
    from onnx import TensorProto, helper, numpy_helper

    rows, scales = quantised_rows(numpy_helper.to_array(table))
    names = {part: f"{table.name}.{part}" for part in ("int8", "scale", "rows", "floats", "scales")}
    _constants(graph, names, int8=rows, scale=scales)
    ids, output = gather.input[1], gather.output[0]
    return [
        helper.make_node("Gather", [names["int8"], ids], [names["rows"]], axis=0),
        helper.make_node("Cast", [names["rows"]], [names["floats"]], to=TensorProto.FLOAT),
        helper.make_node("Gather", [names["scale"], ids], [names["scales"]], axis=0),
        helper.make_node("Mul", [names["floats"], names["scales"]], [output]),
    ]


def _constants(graph: Any, names: dict[str, str], **values: Any) -> None:
    """Add each value to the graph's constants, under the name that ``names`` has for it."""
    from onnx import numpy_helper

    graph.initializer.extend(
        [numpy_helper.from_array(np.asarray(value), names[part]) for part, value in values.items()]
    )


def _drop_unused(graph: Any) -> None:
    """Leave out the float tensors that nothing reads any more."""
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
