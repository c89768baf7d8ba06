"""What a training step minimises.

Shapes: logits (B, K), labels (B,), soft labels (B, K).
"""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from training.data.rows import Row
from training.fit.recipes import Recipe

if TYPE_CHECKING:
    from torch import Tensor


def class_weights(rows: Sequence[Row], recipe: Recipe) -> "Tensor | None":
    """A weight a label, shape (K,), whose mean over ``rows`` is 1; None for unweighted."""
    import torch

    if recipe.class_weights == "none":
        return None
    counts = Counter(row.label for row in rows)
    power = 1.0 if recipe.class_weights == "balanced" else 0.5
    weights = torch.tensor([(len(rows) / max(counts[label], 1)) ** power for label in recipe.labels])
    mean = sum(float(weights[i]) * counts[label] for i, label in enumerate(recipe.labels)) / len(rows)
    return weights / mean


def loss(
    passes: "Sequence[Tensor]",
    labels: "Tensor",
    recipe: Recipe,
    weights: "Tensor | None",
    soft: "Tensor | None",
) -> "Tensor":
    """The loss of one batch, from the logits of one pass, or of two where R-Drop asks for them."""
    from torch.nn import functional

    total = sum(
        functional.cross_entropy(logits, labels, weight=weights, label_smoothing=recipe.label_smoothing)
        for logits in passes
    ) / len(passes)
    if soft is not None:
        distance = sum(functional.cross_entropy(logits, soft) for logits in passes) / len(passes)
        total = (1 - recipe.distil) * total + recipe.distil * distance
    if recipe.r_drop:
        first, second = (logits.log_softmax(dim=1) for logits in passes)
        divergence = functional.kl_div(first, second, log_target=True, reduction="batchmean")
        divergence = divergence + functional.kl_div(second, first, log_target=True, reduction="batchmean")
        total = total + recipe.r_drop * divergence / 2
    return total  # type: ignore[return-value]  # sum() starts from int 0
