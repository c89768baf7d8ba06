"""DistilBERT's classifier as an ONNX graph that is laid out for onnxruntime on a CPU.

The logits are those of ``transformers``; what costs time and changes nothing is left out:

- **The last block is computed for the first token**, all that the head reads, and forms neither keys nor
  values. A query's score of a token with hidden state x is q · (W x): so the query is multiplied by W once,
  instead of W by every token, and the weighted mean of the states by the values' matrix.
- **Keys have no bias**: it adds the same to all scores of a query, and softmax is the same for it. Values
  have none either: their weights add up to one, so it is what attention's output begins with, and part of
  that layer's bias.
- **Tokens lie first**, (tokens, batch, width): onnxruntime reads queries, keys and values where they lie
  then, where it would transpose each, and the first tokens of all texts are the first rows.
- The bias before a GELU is a row, (1, width): of a vector onnxruntime makes ``BiasGelu``, which is slower
  than its addition and its GELU.

One thing costs a hundredth and is worth it: **the first token's values are computed in float**. Every token
attends to it, more than to most others (Xiao et al., "Efficient Streaming Language Models with Attention
Sinks", ICLR 2024), so its rounding is in all of them and does not average out. In int8 it made a quarter of
the distance between logits.

How products are computed is an ``Arithmetic``: ``Int8``, which ships, or ``Float32``, to compare with.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any, Final, Protocol

import numpy as np

from training.ship.graph import Floats, Graph

LAYER_NORM_EPSILON: Final = 1e-12
MASKED: Final = float(np.finfo(np.float32).min)


class Arithmetic(Protocol):
    """How tables, and products with constant weights, are stored and computed."""

    def table(self, name: str, table: Floats, ids: str, *, out: str) -> str:
        """The rows ``ids`` of ``table`` (V, D)."""

    def matrix(self, name: str, weights: Floats) -> str:
        """``weights`` as a tensor of floats."""

    def factor(self, x: str, rows: str, *, behind_gelu: bool = False) -> Any:
        """``x`` (tokens, width) as products read it; ``rows`` names the vector that holds its rows."""

    def product(self, factor: Any, name: str, weights: Floats, *, out: str) -> str:
        """``factor`` times ``weights`` (inputs, outputs)."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a network; ``heads`` is no property of its weights."""

    layers: int
    heads: int
    width: int

    @property
    def head(self) -> int:
        return self.width // self.heads


def write(weights: Mapping[str, Floats], shape: Shape, arithmetic: Callable[[Graph], Arithmetic]) -> Any:
    """An ``onnx.ModelProto`` of ``input_ids`` and ``attention_mask`` (batch, sequence) to ``logits``.

    ``weights`` are those of a ``DistilBertForSequenceClassification`` by name. Raises ``KeyError`` where one
    is missing.
    """
    from onnx import TensorProto, helper

    graph = Graph()
    layout = _Layout(graph, weights, shape, arithmetic(graph))
    hidden = layout.embeddings()
    for number in range(shape.layers - 1):
        hidden = layout.block(number, hidden)
    layout.head(layout.last_block(shape.layers - 1, hidden))
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ("batch", "sequence"))
        for name in ("input_ids", "attention_mask")
    ]
    sizes = ("batch", len(weights["classifier.bias"]))
    return graph.model(inputs, helper.make_tensor_value_info("logits", TensorProto.FLOAT, sizes))


class _Layout:
    """Hidden states are matrices, (tokens · batch, width): the first tokens of all texts, the second ones and
    so on. ``rows`` and ``batch`` name vectors that hold how many rows there are, and texts.
    """

    def __init__(
        self, graph: Graph, weights: Mapping[str, Floats], shape: Shape, arithmetic: Arithmetic
    ) -> None:
        self._graph, self._weights, self._shape, self._arithmetic = graph, weights, shape, arithmetic
        ids = graph.node("Transpose", "input_ids", name="ids", perm=[1, 0])
        self._ids = ids
        self._sizes = graph.node("Shape", ids, name="sizes")
        self._rows = graph.node("ReduceProd", self._sizes, name="rows", keepdims=1)
        self._length, self._batch = (
            graph.node("Gather", self._sizes, graph.sizes(axis), name=name)
            for axis, name in enumerate(("length", "batch"))
        )
        self._firsts = self._row_numbers()
        split = graph.sizes(shape.heads, shape.head)
        self._heads = graph.node("Concat", self._sizes, split, name="sizes.heads", axis=0)
        self._mask = self._masked()
        self._mask_of_heads = self._expanded(self._mask)

    def _row_numbers(self) -> str:
        """The rows of the first tokens, (batch, 1)."""
        graph = self._graph
        numbers = self._counted(self._batch, "firsts")
        return graph.node("Unsqueeze", numbers, graph.sizes(1), name="firsts.rows")

    def _counted(self, size: str, name: str) -> str:
        """0, 1, 2 and so on, as many as the vector ``size`` says."""
        graph = self._graph
        zero, one = (graph.constant(f"index {value}", np.array(value)) for value in (0, 1))
        limit = graph.node("Squeeze", size, name=f"{name}.size")
        return graph.node("Range", zero, limit, one, name=name)

    def _masked(self) -> str:
        """What is added to the scores of tokens, (batch, 1, sequence): next to minus infinity for padding."""
        from onnx import TensorProto

        graph = self._graph
        token = graph.node("Cast", "attention_mask", name="mask.token", to=TensorProto.FLOAT)
        padding = graph.node("Sub", graph.number(1.0), token, name="mask.padding")
        masked = graph.node("Mul", padding, graph.number(MASKED), name="mask.masked")
        return graph.node("Unsqueeze", masked, graph.sizes(1), name="mask")

    def _expanded(self, mask: str) -> str:
        """``mask`` for every query, (batch, 1, sequence, sequence): as large as that, it is added faster."""
        graph, length = self._graph, self._length
        by_head = graph.node("Unsqueeze", mask, graph.sizes(1), name="mask.by_head")
        sizes = graph.node("Concat", self._batch, graph.sizes(1), length, length, name="mask.sizes", axis=0)
        return graph.node("Expand", by_head, sizes, name="mask.of_heads")

    def embeddings(self) -> str:
        graph, table = self._graph, "distilbert.embeddings.{}_embeddings.weight"
        words = self._table(table.format("word"), self._ids, "words")
        places = self._counted(self._length, "places")
        places = graph.node("Unsqueeze", places, graph.sizes(1), name="places.by_token")
        positions = self._table(table.format("position"), places, "positions")
        both = graph.node("Add", words, positions, name="embedded")
        hidden = self._layer_norm(both, "distilbert.embeddings.LayerNorm", "embeddings")
        return graph.node("Reshape", hidden, graph.sizes(-1, self._shape.width), name="embeddings.rows")

    def _table(self, name: str, ids: str, out: str) -> str:
        return self._arithmetic.table(name, self._weights[name], ids, out=out)

    def block(self, number: int, hidden: str) -> str:
        """A transformer block of all tokens."""
        name = f"distilbert.transformer.layer.{number}"
        attended = self._attention(name, hidden)
        return self._behind_attention(name, attended, hidden, self._rows)

    def last_block(self, number: int, hidden: str) -> str:
        """A transformer block of the first token of each text, (batch, width)."""
        name = f"distilbert.transformer.layer.{number}"
        first = self._first(name, hidden)
        attended = self._attention_of_first(name, first, hidden)
        return self._behind_attention(name, attended, first, self._batch)

    def _first(self, name: str, hidden: str) -> str:
        bounds = self._graph.sizes(0), self._batch, self._graph.sizes(0)
        return self._graph.node("Slice", hidden, *bounds, name=f"{name}.first")

    def _attention(self, name: str, hidden: str) -> str:
        """What each head of each token attends to, a mean of values without their bias: (rows, width)."""
        graph, shape, out = self._graph, self._shape, f"{name}.attention"
        factor = self._arithmetic.factor(hidden, self._rows)
        query = self._with_bias(f"{out}.q_lin", self._product(f"{out}.q_lin", factor))
        queries = self._by_head(query, [1, 2, 0, 3])
        keys = self._by_head(self._product(f"{out}.k_lin", factor), [1, 2, 3, 0])
        values = self._by_head(self._values(name, factor, hidden), [1, 2, 0, 3])
        scores = graph.node("MatMul", queries, keys, name=f"{out}.scores")
        shares = self._softmax(scores, self._mask_of_heads, out)
        mean = graph.node("MatMul", shares, values, name=f"{out}.mean")
        tokens_first = graph.node("Transpose", mean, name=f"{out}.mean.tokens", perm=[2, 0, 1, 3])
        return graph.node("Reshape", tokens_first, graph.sizes(-1, shape.width), name=f"{out}.mean.rows")

    def _values(self, name: str, factor: Any, hidden: str) -> str:
        """The values of all tokens, (rows, width): those of the first in float."""
        graph, layer = self._graph, f"{name}.attention.v_lin"
        values = self._product(layer, factor)
        # A row more: a product of one row alone is summed up in another order than that of several.
        several = graph.node(
            "Pad", self._first(name, hidden), graph.sizes(0, 0, 1, 0), name=f"{layer}.several"
        )
        weights = self._arithmetic.matrix(f"{layer}.weight", self._weights[f"{layer}.weight"].T)
        product = graph.node("MatMul", several, weights, name=f"{layer}.in_float")
        first = self._first(layer, product)
        return graph.node("ScatterND", values, self._firsts, first, name=f"{layer}.values")

    def _by_head(self, rows: str, order: list[int]) -> str:
        split = self._graph.node("Reshape", rows, self._heads, name=f"{rows}.heads")
        return self._graph.node("Transpose", split, name=f"{rows}.by_head", perm=order)

    def _attention_of_first(self, name: str, first: str, hidden: str) -> str:
        """The same for ``first`` alone, (batch, width), out of all ``hidden`` states."""
        graph, shape, out = self._graph, self._shape, f"{name}.attention"
        query = self._product(f"{out}.q_lin", self._arithmetic.factor(first, self._batch))
        query = self._with_bias(f"{out}.q_lin", query)
        query = graph.node("Reshape", query, graph.sizes(-1, shape.heads, 1, shape.head), name=f"{out}.query")
        keys = self._matrix_by_head(f"{out}.k_lin", [1, 2, 0])
        asked = graph.node("MatMul", query, keys, name=f"{out}.asked")
        by_head = graph.sizes(-1, shape.heads, shape.width)
        asked = graph.node("Reshape", asked, by_head, name=f"{out}.asked.by_head")

        sizes = graph.node("Concat", self._sizes, graph.sizes(shape.width), name=f"{out}.sizes", axis=0)
        states = graph.node("Reshape", hidden, sizes, name=f"{out}.states")
        states = graph.node("Transpose", states, name=f"{out}.states.by_text", perm=[1, 0, 2])
        # As columns: as rows, how a sum of 384 is split would hang on the tokens that it is padded to.
        columns = graph.node("Transpose", asked, name=f"{out}.asked.columns", perm=[0, 2, 1])
        scores = graph.node("MatMul", states, columns, name=f"{out}.scores.columns")
        scores = graph.node("Transpose", scores, name=f"{out}.scores", perm=[0, 2, 1])
        mean = graph.node("MatMul", self._softmax(scores, self._mask, out), states, name=f"{out}.mean")
        split = graph.sizes(-1, shape.heads, 1, shape.width)
        mean = graph.node("Reshape", mean, split, name=f"{out}.mean.by_head")
        values = self._matrix_by_head(f"{out}.v_lin", [1, 0, 2])
        mean = graph.node("MatMul", mean, values, name=f"{out}.values")
        return graph.node("Reshape", mean, graph.sizes(-1, shape.width), name=f"{out}.values.rows")

    def _matrix_by_head(self, layer: str, order: list[int]) -> str:
        """The weights of a layer as (heads, …), from (width, heads, head) in ``order``."""
        graph, shape = self._graph, self._shape
        matrix = self._arithmetic.matrix(f"{layer}.weight", self._weights[f"{layer}.weight"].T)
        sizes = graph.sizes(shape.width, shape.heads, shape.head)
        split = graph.node("Reshape", matrix, sizes, name=f"{layer}.heads")
        return graph.node("Transpose", split, name=f"{layer}.by_head", perm=order)

    def _softmax(self, scores: str, mask: str, out: str) -> str:
        graph = self._graph
        scaled = graph.node("Mul", scores, graph.number(1 / sqrt(self._shape.head)), name=f"{out}.scaled")
        masked = graph.node("Add", scaled, mask, name=f"{out}.masked")
        return graph.node("Softmax", masked, name=f"{out}.shares", axis=-1)

    def _behind_attention(self, name: str, attended: str, hidden: str, rows: str) -> str:
        """A block from attention's output to the end; ``rows`` names how many rows it has."""
        graph, weights, layer = self._graph, self._weights, f"{name}.attention.out_lin"
        out = self._product(layer, self._arithmetic.factor(attended, rows))
        bias = weights[f"{layer}.bias"] + weights[f"{layer}.weight"] @ weights[f"{name}.attention.v_lin.bias"]
        out = graph.node("Add", out, graph.constant(f"{layer}.bias", bias), name=f"{layer}.biased")
        middle = self._layer_norm(
            graph.node("Add", out, hidden, name=f"{layer}.residual"), f"{name}.sa_layer_norm"
        )
        out = self._feed_forward(f"{name}.ffn", middle, rows)
        return self._layer_norm(
            graph.node("Add", out, middle, name=f"{name}.ffn.residual"), f"{name}.output_layer_norm"
        )

    def _feed_forward(self, name: str, hidden: str, rows: str) -> str:
        graph, arithmetic = self._graph, self._arithmetic
        wide = self._product(f"{name}.lin1", arithmetic.factor(hidden, rows))
        row = graph.constant(f"{name}.lin1.bias", self._weights[f"{name}.lin1.bias"][None])
        wide = graph.node("Add", wide, row, name=f"{name}.lin1.biased")
        active = graph.node("Gelu", wide, name=f"{name}.active")
        narrow = self._product(f"{name}.lin2", arithmetic.factor(active, rows, behind_gelu=True))
        return self._with_bias(f"{name}.lin2", narrow)

    def _product(self, layer: str, factor: Any) -> str:
        name = f"{layer}.weight"
        return self._arithmetic.product(factor, name, self._weights[name].T, out=f"{layer}.product")

    def _with_bias(self, layer: str, product: str) -> str:
        bias = self._graph.constant(f"{layer}.bias", self._weights[f"{layer}.bias"])
        return self._graph.node("Add", product, bias, name=f"{layer}.biased")

    def _layer_norm(self, x: str, layer: str, out: str = "") -> str:
        parts = self._weight_and_bias(layer)
        return self._graph.node(
            "LayerNormalization", x, *parts, name=out or layer, axis=-1, epsilon=LAYER_NORM_EPSILON
        )

    def head(self, first: str) -> str:
        """The logits, (batch, labels), of the first tokens' states. Small, and deciding: in float."""
        graph = self._graph
        hidden = self._gemm(first, "pre_classifier", "pre_classifier")
        return self._gemm(graph.node("Relu", hidden, name="pre_classifier.active"), "classifier", "logits")

    def _gemm(self, x: str, layer: str, out: str) -> str:
        return self._graph.node("Gemm", x, *self._weight_and_bias(layer), name=out, transB=1)

    def _weight_and_bias(self, layer: str) -> list[str]:
        names = [f"{layer}.{part}" for part in ("weight", "bias")]
        return [self._graph.constant(name, self._weights[name]) for name in names]
