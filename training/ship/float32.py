"""The arithmetic of a graph in float32: what int8 is measured against, in the same layout."""

import numpy as np

from training.ship.graph import Floats, Graph


class Float32:
    """See ``training.ship.distilbert.Arithmetic``."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def table(self, name: str, table: Floats, ids: str, *, out: str) -> str:
        return self._graph.node("Gather", self._graph.constant(name, table), ids, name=out)

    def matrix(self, name: str, weights: Floats) -> str:
        return self._graph.constant(name, np.ascontiguousarray(weights))

    def factor(self, x: str, rows: str, *, behind_gelu: bool = False) -> str:  # noqa: ARG002 - int8 needs them
        return x

    def product(self, factor: str, name: str, weights: Floats, *, out: str) -> str:
        return self._graph.node("MatMul", factor, self.matrix(name, weights), name=out)
