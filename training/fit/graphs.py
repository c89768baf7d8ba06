"""Training steps as CUDA graphs, one a shape of batch.

At the lengths of messages a step is a thousand kernels of a few microseconds each, and a processor needs
longer to launch them one by one than the GPU to run them. A graph is captured once and launched as a whole
(``torch.cuda.CUDAGraph``). What a step reads and writes must then stay in place: weights, their gradients,
the optimizer's state, and learning rates that are tensors.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from torch import Tensor

WARM_UP_STEPS: Final = 3
"""Steps before the first capture: libraries load and the optimizer makes its state in the first ones."""

Step = Callable[["Tensor", "Tensor", "Tensor"], "Tensor"]
"""Token ids (B, T), attention mask (B, T) and rows (B,) in, the loss out; gradients are added in place."""


@dataclass(frozen=True, slots=True)
class _Captured:
    graph: Any
    inputs: "tuple[Tensor, ...]"
    loss: "Tensor"


class GraphedStep:
    """A ``Step`` on CUDA that launches a graph where one is worth it: for whole batches, after a warm-up.

    The loss that a call returns holds until the next call.
    """

    def __init__(self, step: Step, batch_size: int, device: str) -> None:
        """``device`` is torch's name of the GPU that the step runs on."""
        self._step, self._batch_size, self._device = step, batch_size, device
        self._captured: dict[tuple[int, ...], _Captured] = {}
        self._pool: Any = None
        self._calls = 0

    def __call__(self, *inputs: "Tensor") -> "Tensor":
        """One step; ``inputs`` are as ``Step`` says, on any device."""
        import torch

        with torch.cuda.device(self._device):
            return self._call(inputs)

    def _call(self, inputs: "tuple[Tensor, ...]") -> "Tensor":
        self._calls += 1
        shape = tuple(inputs[0].shape)
        if self._calls <= WARM_UP_STEPS or shape[0] != self._batch_size:
            return self._step(*(tensor.to(self._device) for tensor in inputs))
        captured = self._captured.get(shape)
        if captured is None:
            captured = self._captured[shape] = self._capture(inputs)
        for kept, new in zip(captured.inputs, inputs, strict=True):
            kept.copy_(new, non_blocking=True)
        captured.graph.replay()
        return captured.loss

    def _capture(self, inputs: "tuple[Tensor, ...]") -> _Captured:
        """Record a step on inputs of these shapes, without taking it."""
        import torch

        kept = tuple(tensor.to(self._device, copy=True) for tensor in inputs)
        graph: Any = torch.cuda.CUDAGraph()
        # Graphs run one after the other and leave nothing behind but the loss: they can share memory.
        with torch.cuda.graph(graph, pool=self._pool):
            loss = self._step(*kept)
        self._pool = graph.pool()
        return _Captured(graph, kept, loss)
