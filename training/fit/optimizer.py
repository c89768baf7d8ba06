"""How weights move: AdamW, its learning rates, and the moving average of the weights."""

import copy
from typing import TYPE_CHECKING, Any, Final

import torch

from training.bases.base import HfModel
from training.fit.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

# The average moves every fourth step, by as much as in four: it reads and writes all weights.
AVERAGE_EVERY: Final = 4


def optimizer_of(model: HfModel, recipe: Recipe, graphs_on: str | None = None) -> "Optimizer":
    """AdamW; lower layers learn slower, and neither embeddings nor biases and norms decay.

    ``graphs_on``: the GPU on which its steps are to be captured in CUDA graphs, which read learning rates
    there.
    """
    layers = model.config.num_hidden_layers
    groups: dict[tuple[int, bool], list[Any]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            depth = _depth(name, layers)
            decays = parameter.dim() > 1 and depth > 0
            groups.setdefault((depth, decays), []).append(parameter)
    settings = [
        {
            "params": parameters,
            "lr": _rate(recipe.learning_rate * recipe.layer_decay ** (layers + 1 - depth), graphs_on),
            "weight_decay": recipe.weight_decay if decays else 0.0,
        }
        for (depth, decays), parameters in groups.items()
    ]
    return torch.optim.AdamW(settings, lr=recipe.learning_rate, fused=True, capturable=graphs_on is not None)


def _rate(rate: float, graphs_on: str | None) -> "float | Tensor":
    return rate if graphs_on is None else torch.tensor(rate, device=graphs_on)


def rate_factor(step: int, steps: int, warmup: float) -> float:
    """Factor of the learning rate: up over the share ``warmup`` of the steps, then down to zero."""
    rising = max(1, round(warmup * steps))
    return min((step + 1) / rising, max(0.0, (steps - step) / max(1, steps - rising)))


def _depth(name: str, layers: int) -> int:
    """0 for embeddings, 1 … layers for the layers, layers + 1 for the head."""
    if "embeddings" in name:
        return 0
    for marker in (".layer.", ".layers.", ".h."):
        if marker in name:
            return int(name.split(marker)[1].split(".")[0]) + 1
    return layers + 1


class WeightAverage:
    """An exponential moving average of a model's trained weights; the others are its own."""

    def __init__(self, model: HfModel, decay: float) -> None:
        self.model: HfModel = copy.deepcopy(model)
        self.model.requires_grad_(False)
        self._decay = decay
        pairs = zip(self.model.parameters(), model.parameters(), strict=True)
        moved = [(mean, parameter) for mean, parameter in pairs if parameter.requires_grad]
        self._means, self._parameters = ([pair[side] for pair in moved] for side in (0, 1))

    def follow(self, step: int) -> None:
        """Move towards the weights after ``step`` steps; faster at first, to forget the base."""
        if step % AVERAGE_EVERY:
            return
        decay = min(self._decay, (1 + step) / (10 + step)) ** AVERAGE_EVERY
        with torch.no_grad():
            torch._foreach_lerp_(self._means, self._parameters, 1 - decay)
