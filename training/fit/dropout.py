"""Dropout with one mask a sequence (Gal and Ghahramani, "A Theoretically Grounded Application of Dropout",
2016).

All tokens of a sequence lose the same features. On a CPU, drawing a random number for every activation
takes longer than some of the matrix products; this draws one for every feature of a sequence.
"""

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class SequenceDropout(nn.Module):
    """Dropout whose mask is shared along the second of three dimensions, (B, T, D); else as usual."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: "Tensor") -> "Tensor":
        if not self.training or self.p == 0.0:
            return x
        shape = (x.shape[0], 1, x.shape[2]) if x.dim() == 3 else x.shape
        keep = 1.0 - self.p
        return x * torch.empty(shape, dtype=x.dtype, device=x.device).bernoulli_(keep).div_(keep)


def share_dropout_along_sequence(module: nn.Module) -> None:
    """Replace every ``nn.Dropout`` in ``module``. Attention dropout must be 0: it has other dimensions."""
    for name, child in module.named_children():
        if isinstance(child, nn.Dropout):
            setattr(module, name, SequenceDropout(child.p))
        else:
            share_dropout_along_sequence(child)
