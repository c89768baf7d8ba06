"""What a training step minimises.

Shapes: logits (B, K); everything else of a batch as ``Wanted`` says.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from training.data.rows import Row
from training.fit.recipes import Recipe

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the rows of a batch ask for.

    ``labels`` (B,); ``shares``, ``present`` and ``known`` (B, K) and ``distress`` (B,) as in
    ``training.fit.targets``; ``soft`` (B, K): what the teachers say, None without any.
    """

    labels: "Tensor"
    shares: "Tensor"
    present: "Tensor"
    known: "Tensor"
    distress: "Tensor"
    soft: "Tensor | None"


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


def loss(passes: "Sequence[Tensor]", wanted: Wanted, recipe: Recipe, weights: "Tensor | None") -> "Tensor":
    """The loss of one batch, from the logits of one pass, or of two where R-Drop asks for them.

    The softmax learns which label stands first. With ``presence`` the sigmoid of the same logits learns which
    labels are there at all: a softmax leaves a constant of the logits open, and the sigmoid settles it.
    """
    from torch.nn import functional

    several = recipe.presence > 0
    outputs, labels = passes, len(recipe.labels)
    passes = [output[:, :labels] for output in outputs]
    total = sum(
        functional.cross_entropy(
            logits,
            wanted.shares if several else wanted.labels,
            weight=weights,
            label_smoothing=recipe.label_smoothing,
        )
        for logits in passes
    ) / len(passes)
    if wanted.soft is not None:
        distance = sum(functional.cross_entropy(logits, wanted.soft) for logits in passes) / len(passes)
        total = (1 - recipe.distil) * total + recipe.distil * distance
    if several:
        total = total + recipe.presence * sum(_presence_loss(logits, wanted) for logits in passes) / len(
            passes
        )
    if recipe.distress:
        total = total + recipe.distress * _distress_loss(outputs[0][:, labels], wanted.distress)
    if recipe.r_drop:
        first, second = (logits.log_softmax(dim=1) for logits in passes)
        divergence = functional.kl_div(first, second, log_target=True, reduction="batchmean")
        divergence = divergence + functional.kl_div(second, first, log_target=True, reduction="batchmean")
        total = total + recipe.r_drop * divergence / 2
    return total  # type: ignore[return-value]  # sum() starts from int 0


def _distress_loss(output: "Tensor", grades: "Tensor") -> "Tensor":
    """Binary cross-entropy towards the grades, a mean over the rows that have one."""
    from torch.nn import functional

    graded = ~grades.isnan()
    if not graded.any():
        return output.sum() * 0.0
    return functional.binary_cross_entropy_with_logits(output[graded], grades[graded])


def _presence_loss(logits: "Tensor", wanted: Wanted) -> "Tensor":
    """Binary cross-entropy a row, over the labels that are known of it."""
    from torch.nn import functional

    by_label = functional.binary_cross_entropy_with_logits(logits, wanted.present, reduction="none")
    return (by_label * wanted.known).sum() / len(logits)
