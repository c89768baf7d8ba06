"""Leaving out what the last block of an encoder computes for tokens that nothing reads.

The head of a classifier reads the first token. The other tokens of the last block are computed in vain:
their queries, outputs and feed-forward, five sixths of the block's arithmetic, an eighth of a network of six
blocks. Left out, the logits are the same.

It is done on the ONNX graph, from the head backwards: a tensor of which all that read it read the first token
alone is computed for that token. Where keys and values need the others too, the first token is cut out of
what they share. So it holds for any graph of these operators, quantised or not; any other operator stays
whole, and so does what it reads.

    python -m training.ship.firsttoken FOLDER...     the same in int8 files that were exported before
"""

import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from model import manifest
from model.folder import INT8_ONNX_FILE

# Each token of the output comes from the same token of the inputs.
BY_TOKEN: Final = {
    *("Add", "Div", "Max", "Mul", "Neg", "Sub", "Sum", "Erf", "Relu"),
    *("LayerNormalization", "ReduceMax", "ReduceMin", "Softmax", "Split"),
    *("Cast", "DequantizeLinear", "QuantizeLinear"),
}

TOKEN_AXIS: Final = 1
"""Of hidden states (batch, tokens, width), before heads are split off."""

CONSTANT: Final = "first_token."
"""How the names of the numbers begin that are added to a graph."""


def read_first_token_alone(graph: Any) -> int:
    """Change ``graph`` (an ``onnx.GraphProto``) in place; how many nodes now compute one token.

    A graph that has been changed before stays as it is.
    """
    if any(tensor.name.startswith(CONSTANT) for tensor in graph.initializer):
        return 0
    return _Narrowing(graph).run()


@dataclass
class _Narrowing:
    """``axes``: the token axis of each tensor of which only the first token is computed."""

    graph: Any
    axes: dict[str, int] = field(default_factory=dict)
    cut: dict[tuple[str, int], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.makers = {output: node for node in self.graph.node for output in node.output}
        self.constants = {tensor.name for tensor in self.graph.initializer}
        for node in self.graph.node:  # such as the identity that stands for a second, equal tensor
            if self.constants.issuperset(node.input):
                self.constants.update(node.output)

    def run(self) -> int:
        needs: dict[str, list[int | None]] = defaultdict(list)
        for output in self.graph.output:
            needs[output.name].append(None)
        wanted: dict[int, list[int | None]] = {}
        for place in reversed(range(len(self.graph.node))):
            node = self.graph.node[place]
            wanted[place] = self._wanted(node, needs)
            for name, axis in zip(node.input, wanted[place], strict=True):
                needs[name].append(axis)
        if not self.axes:
            return 0
        nodes: list[Any] = []
        for place, node in enumerate(self.graph.node):
            self._cut_inputs(node, wanted[place], nodes)
            nodes.append(node)
        del self.graph.node[:]
        self.graph.node.extend(nodes)
        return len({id(self.makers[name]) for name in self.axes})

    def _wanted(self, node: Any, needs: dict[str, list[int | None]]) -> list[int | None]:
        """For each input, the axis along which ``node`` reads its first element alone, or None."""
        whole: list[int | None] = [None] * len(node.input)
        if _takes_first_token(node, self.makers, self.graph):
            return [TOKEN_AXIS, None]
        read = [needs[output] for output in node.output if needs[output]]
        if not read or None in (found := {axis for axes in read for axis in axes}) or len(found) > 1:
            return whole
        (axis,) = found
        assert axis is not None
        inputs = self._inputs_of(node, axis)
        if inputs is None:
            return whole
        self.axes |= dict.fromkeys(node.output, axis)
        return inputs

    def _inputs_of(self, node: Any, axis: int) -> list[int | None] | None:
        """What ``node`` must read of its inputs for the first element of its output along ``axis``."""
        if node.op_type in BY_TOKEN:
            return [None if name in self.constants else axis for name in node.input]
        if node.op_type == "MatMul":
            return [axis, None]
        if node.op_type == "Transpose":
            return [_attribute(node, "perm")[axis]]
        if node.op_type == "Reshape" and axis == TOKEN_AXIS and self._shape_names_tokens(node):
            return [axis, None]
        return None

    def _shape_names_tokens(self, reshape: Any) -> bool:
        """Whether the shape is put together of batch, tokens and what the tokens' features become."""
        shape = self.makers.get(reshape.input[1])
        return shape is not None and shape.op_type == "Concat" and len(shape.input) in (3, 4)

    def _cut_inputs(self, node: Any, wanted: list[int | None], nodes: list[Any]) -> None:
        for position, (name, axis) in enumerate(zip(list(node.input), wanted, strict=True)):
            if axis is not None and name not in self.axes and node.op_type != "Gather":
                node.input[position] = self._first(name, axis, nodes)
        if node.op_type == "Reshape" and node.output[0] in self.axes:
            node.input[1] = self._shape_of_one(node.input[1], nodes)

    def _first(self, name: str, axis: int, nodes: list[Any]) -> str:
        """A tensor that is computed whole, cut to its first element along ``axis``."""
        from onnx import helper

        if (name, axis) not in self.cut:
            self.cut[name, axis] = result = f"{name}.first{axis}"
            maker = self.makers.get(name)
            if maker is not None and maker.op_type == "DequantizeLinear":
                # Cut before it: runtimes look for it right before a product.
                again = helper.make_node("DequantizeLinear", list(maker.input), [result])
                again.attribute.extend(maker.attribute)
                again.input[0] = self._first(maker.input[0], axis, nodes)
                nodes.append(again)
            else:
                bounds = [self._constant(number) for number in (0, 1, axis)]
                nodes.append(helper.make_node("Slice", [name, *bounds], [result]))
        return self.cut[name, axis]

    def _shape_of_one(self, shape: str, nodes: list[Any]) -> str:
        from onnx import helper

        parts = list(self.makers[shape].input)
        parts[TOKEN_AXIS] = self._constant(1)
        nodes.append(helper.make_node("Concat", parts, [f"{shape}.first"], axis=0))
        return f"{shape}.first"

    def _constant(self, number: int) -> str:
        from onnx import numpy_helper

        name = f"{CONSTANT}{number}"
        if name not in self.constants:
            self.constants.add(name)
            self.graph.initializer.append(numpy_helper.from_array(np.array([number], np.int64), name))
        return name


def _takes_first_token(node: Any, makers: dict[str, Any], graph: Any) -> bool:
    """Whether ``node`` is the head's look at hidden[:, 0]."""
    if node.op_type != "Gather" or _attribute(node, "axis") != TOKEN_AXIS:
        return False
    index = _value(node.input[1], makers, graph)
    return index is not None and index.ndim == 0 and int(index) == 0


def _value(name: str, makers: dict[str, Any], graph: Any) -> Any:
    from onnx import numpy_helper

    if (maker := makers.get(name)) is not None and maker.op_type == "Constant":
        return numpy_helper.to_array(_attribute(maker, "value"))
    found = next((tensor for tensor in graph.initializer if tensor.name == name), None)
    return None if found is None else numpy_helper.to_array(found)


def _attribute(node: Any, name: str) -> Any:
    from onnx import helper

    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), None)


def renew(folder: Path) -> int:
    """Change the int8 file of an exported folder, and what its manifest states of it; see above.

    The manifest goes on stating weights that the folder leaves out.
    """
    import onnx

    file = folder / INT8_ONNX_FILE
    graph = onnx.load(file)
    if count := read_first_token_alone(graph.graph):
        onnx.checker.check_model(graph)
        onnx.save(graph, file)
        stated = manifest.read(folder)
        if stated is not None:
            stated[INT8_ONNX_FILE] = manifest.digests(folder)[INT8_ONNX_FILE]
            manifest.state(folder, stated)
    return count


def main(arguments: list[str]) -> int:
    """Renew the folders that are named; the exit status."""
    for name in arguments:
        count = renew(Path(name))
        sys.stdout.write(f"{Path(name) / INT8_ONNX_FILE}: {count} nodes now compute one token\n")
    return 0 if arguments else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
