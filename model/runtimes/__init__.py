"""What runs a model's forward pass: onnxruntime on a CPU, torch on a GPU (or, on request, on a CPU).

A runtime takes windows of token ids and returns their logits; it knows nothing of texts or emotions.
"""

from collections.abc import Sequence
from typing import Protocol

from model.contract import Logits


class Runtime(Protocol):
    """A loaded network. ``device`` and ``precision`` say what it runs on, as ``ModelInfo`` reports them."""

    @property
    def device(self) -> str: ...

    @property
    def precision(self) -> str: ...

    def forward(self, windows: Sequence[Sequence[int]]) -> Logits:
        """Logits of every window, shape (windows, labels), in the order given. One thread at a time."""
        ...
