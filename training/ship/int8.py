"""The arithmetic of a graph in int8: products that saturate on no processor, and no text that sways another.

Quantised is what costs time and space, and nothing else: the products with constant weights, one scale a
column, and the table of words, one scale a row. Attention, normalisation, positions and the head stay in
float.

    x ─► the largest |x| of each token / 127 = step ────────────┐
    x ─► x / step ─► uint8 ─► product with int8 weights ──► · step ─► y

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

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from training.ship.graph import Floats, Graph

Bytes = npt.NDArray[np.int8]

INPUT_LIMIT: Final = 255
PAIR_LIMIT: Final = 127
"""Greatest input, and greatest sum of two neighbouring weights before they are rounded, as integers."""

INT16_LIMIT: Final = 32_767

SMALL_TABLE: Final = 1_024
"""Rows up to which a table of embeddings costs little in float16."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The bytes of a factor: ``zero`` stands for 0, and ``steps`` above it for a token's largest value, which
    is taken as ``least`` where it is smaller.
    """

    zero: int
    steps: int
    least: float


# A token whose values are all zero is divided by something.
TWO_SIDED: Final = Grid(128, 127, 1e-6)
# Behind a GELU, which is never below -0.17, one byte covers [-0.1 r, r] in steps half as wide; the least
# range cuts nothing off below zero.
ONE_SIDED: Final = Grid(24, 231, 0.17 * 231 / 24)


@dataclass(frozen=True, slots=True)
class Factor:
    """The bytes of a matrix of tokens as floats without a unit (tokens, width), and the steps (tokens, 1)
    that they count.
    """

    counts: str
    steps: str


class Int8:
    """See ``training.ship.distilbert.Arithmetic``."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._zeros: dict[tuple[Grid, str], str] = {}

    def table(self, name: str, table: Floats, ids: str, *, out: str) -> str:
        """Rows of ``table``, (V, D), stored as int8 with one scale a row.

        A small one is stored as float16: the first row of positions is in every text.
        """
        graph = self._graph
        if len(table) <= SMALL_TABLE:
            half = graph.constant(f"{name}.half", table.astype(np.float16))
            return self._as_floats(graph.node("Gather", half, ids, name=f"{out}.half"), out)
        integers, scales = quantised_rows(table)
        rows = graph.node("Gather", graph.constant(f"{name}.int8", integers), ids, name=f"{out}.int8")
        scale = graph.node("Gather", graph.constant(f"{name}.scale", scales), ids, name=f"{out}.scale")
        return graph.node("Mul", self._as_floats(rows, f"{out}.integers"), scale, name=out)

    def matrix(self, name: str, weights: Floats) -> str:
        """``weights`` for a product in float: stored as int8, and made floats once, when a file is opened."""
        integers, scale = self._columns(name, weights)
        floats = self._as_floats(integers, f"{name}.integers")
        return self._graph.node("Mul", floats, scale, name=f"{name}.floats")

    def _columns(self, name: str, weights: Floats) -> tuple[str, str]:
        """``weights`` (K, N) as stored: int8, and one scale a column."""
        columns, scales = quantised_columns(weights)
        return self._graph.constant(f"{name}.int8", columns), self._graph.constant(f"{name}.scale", scales)

    def _as_floats(self, tensor: str, out: str) -> str:
        from onnx import TensorProto

        return self._graph.node("Cast", tensor, name=out, to=TensorProto.FLOAT)

    def factor(self, x: str, rows: str, *, behind_gelu: bool = False) -> Factor:
        """``x`` (tokens, width), quantised by token; ``rows`` names the vector that holds how many."""
        graph = self._graph
        grid = ONE_SIDED if behind_gelu else TWO_SIDED
        sizes = x if behind_gelu else graph.node("Abs", x, name=f"{x}.size")
        widest = graph.node("ReduceMax", sizes, graph.sizes(-1), name=f"{x}.widest", keepdims=1)
        ranges = graph.node("Clip", widest, graph.number(grid.least), name=f"{x}.range")
        steps = graph.node("Mul", ranges, graph.number(1 / grid.steps), name=f"{x}.steps")
        by_row = graph.node("Reshape", steps, graph.sizes(-1), name=f"{x}.step")
        bytes_ = graph.node(
            "QuantizeLinear", x, by_row, self._zeros_of(grid, rows), name=f"{x}.bytes", axis=0
        )
        counts = graph.node(
            "DequantizeLinear", bytes_, graph.number(1.0), self._zero(grid), name=f"{x}.counts"
        )
        return Factor(counts, steps)

    def _zero(self, grid: Grid) -> str:
        return self._graph.constant(f"zero {grid.zero}", np.array(grid.zero, np.uint8))

    def _zeros_of(self, grid: Grid, rows: str) -> str:
        if (grid, rows) not in self._zeros:
            name = f"{grid.zero} for each of {rows}"
            self._zeros[grid, rows] = self._graph.node("Expand", self._zero(grid), rows, name=name)
        return self._zeros[grid, rows]

    def product(self, factor: Factor, name: str, weights: Floats, *, out: str) -> str:
        """The product with ``weights`` (K, N), which are stored as int8 with one scale a column."""
        graph = self._graph
        near = graph.node("DequantizeLinear", *self._columns(name, weights), name=f"{name}.near", axis=1)
        counts = graph.node("MatMul", factor.counts, near, name=f"{out}.counts")
        return graph.node("Mul", counts, factor.steps, name=out)


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
