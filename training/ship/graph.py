"""Writing an ONNX graph, a node at a time.

Every node has one output, which bears the node's name: names say where in a network a tensor arises.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

OPSET: Final = 20
"""The first that has GELU as an operator: onnxruntime 1.17."""


class Graph:
    """The nodes and constants of a graph so far; ``node`` and ``constant`` give the name of what they add."""

    def __init__(self) -> None:
        self._nodes: dict[str, Any] = {}
        self._constants: dict[str, Any] = {}

    def node(self, operator: str, *inputs: str, name: str, **attributes: Any) -> str:
        from onnx import helper

        assert name not in self._nodes, name
        self._nodes[name] = helper.make_node(operator, inputs, [name], name=name, **attributes)
        return name

    def constant(self, name: str, value: npt.NDArray[Any]) -> str:
        """``value``, unless there is a constant of that name already."""
        from onnx import numpy_helper

        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(value, name)
        return name

    def number(self, value: float) -> str:
        """A float32 scalar."""
        return self.constant(f"number {value!r}", np.array(value, np.float32))

    def sizes(self, *values: int) -> str:
        """An int64 vector: a shape, or axes."""
        return self.constant(f"sizes {' '.join(map(str, values))}", np.array(values, np.int64))

    def model(self, inputs: Sequence[Any], output: Any) -> Any:
        """An ``onnx.ModelProto`` of these ``onnx.ValueInfoProto``."""
        from onnx import helper

        nodes, constants = list(self._nodes.values()), list(self._constants.values())
        graph = helper.make_graph(nodes, "classifier", inputs, [output], constants)
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9, producer_name="emotion-train"
        )
