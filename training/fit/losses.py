"""What a training step minimises.

Shapes: logits (B, K); everything else of a batch as ``Wanted`` says.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model.outputs import presence
from training.data.rows import Row
from training.errors import TrainingError
from training.fit.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the rows of a batch ask for.

    ``labels`` (B,); ``shares``, ``present`` and ``known`` (B, K), ``distress`` and ``grade_weight`` (B,) as
    in ``training.fit.targets``. What the teachers say: ``soft`` (B, K) of the softmax, None without any;
    ``soft_present`` (B, K) and ``soft_distress`` (B,) of the other outputs, NaN where they say nothing.
    """

    labels: "Tensor"
    shares: "Tensor"
    present: "Tensor"
    known: "Tensor"
    distress: "Tensor"
    grade_weight: "Tensor"
    soft: "Tensor | None" = None
    soft_present: "Tensor | None" = None
    soft_distress: "Tensor | None" = None


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

    The softmax learns which label stands first. With ``presence`` sigmoids learn which labels are there at
    all: those of the same logits (a softmax leaves a constant of the logits open, and the sigmoid settles
    it), or, with ``presence_output``, of outputs of their own.
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
        place = presence(labels, outputs[0].shape[1]) or slice(0, labels)
        present, weight = _taught(wanted.present, wanted.known, wanted.soft_present, recipe.distil)
        # Outputs of their own are the emotions', and these are the first of the labels.
        asked = slice(0, place.stop - place.start)
        distance = sum(
            _presence_loss(output[:, place], present[:, asked], weight[:, asked]) for output in outputs
        ) / len(outputs)
        total = total + recipe.presence * distance
    if recipe.distress:
        grades, weight = _taught(wanted.distress, wanted.grade_weight, wanted.soft_distress, recipe.distil)
        total = total + recipe.distress * _distress_loss(outputs[0][:, -1], grades, weight)
    if recipe.r_drop:
        first, second = (logits.log_softmax(dim=1) for logits in passes)
        divergence = functional.kl_div(first, second, log_target=True, reduction="batchmean")
        divergence = divergence + functional.kl_div(second, first, log_target=True, reduction="batchmean")
        total = total + recipe.r_drop * divergence / 2
    return total  # type: ignore[return-value]  # sum() starts from int 0


def _taught(own: "Tensor", known: "Tensor", soft: "Tensor | None", distil: float) -> "tuple[Tensor, Tensor]":
    """Targets and weights, from what the rows say and what the teachers say (NaN: nothing).

    Where both speak, the teachers have the share ``distil``; where the row is silent, their word stands with
    that weight.
    """
    import torch

    if soft is None:
        return own, known
    said = (~soft.isnan()).float()
    share = distil * said
    target = torch.where(known > 0, (1 - share) * own + share * soft.nan_to_num(), soft.nan_to_num())
    return target, torch.where(known > 0, known, share)


def _distress_loss(output: "Tensor", grades: "Tensor", weight: "Tensor") -> "Tensor":
    """Binary cross-entropy towards the grades, a weighted mean over the rows."""
    from torch.nn import functional

    by_row = functional.binary_cross_entropy_with_logits(output, grades, reduction="none")
    return (by_row * weight).sum() / weight.sum().clamp(min=1.0)


def _presence_loss(logits: "Tensor", present: "Tensor", weight: "Tensor") -> "Tensor":
    """Binary cross-entropy a row, over the labels that are known of it."""
    from torch.nn import functional

    by_label = functional.binary_cross_entropy_with_logits(logits, present, reduction="none")
    return (by_label * weight).sum() / len(logits)


def require_finite(loss: float) -> None:
    """Raises ``TrainingError`` for a loss that is no number: the weights behind it are none either."""
    if not math.isfinite(loss):
        raise TrainingError(
            f"the training has diverged (a loss is {loss}), and nothing is saved of it since: begin anew "
            "(--overwrite) with a lower learning rate"
        )
