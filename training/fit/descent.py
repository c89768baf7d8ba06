"""Training by one loss and nothing else; a recipe is trained by ``training.fit.loop``."""

import math
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from training.fit.batches import Batch, training_batches
from training.fit.loop import Progress
from training.fit.losses import require_finite

if TYPE_CHECKING:
    from torch import Tensor

MAX_GRAD_NORM: Final = 1.0


def descend(
    parameters: "Sequence[Tensor]",
    loss_of: "Callable[[Batch], Tensor]",
    ids: Sequence[Sequence[int]],
    *,
    pad_id: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    factor: Callable[[int, int], float],
    rng: random.Random,
    progress: Progress | None,
) -> float:
    """Minimise ``loss_of`` each batch of ``ids`` by AdamW; the mean loss of the last epoch.

    ``factor`` is that of the learning rate, by the step and by how many there are in all.
    Raises ``TrainingError`` where the loss is no number any more.
    """
    import torch

    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, fused=True)
    steps_an_epoch = math.ceil(len(ids) / batch_size)
    steps = steps_an_epoch * epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: factor(step, steps))
    total, step = 0.0, 0
    for _ in range(epochs):
        total = 0.0
        for batch in training_batches(ids, batch_size, rng, pad_id):
            loss = loss_of(batch)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            torch.nn.utils.clip_grad_norm_(parameters, MAX_GRAD_NORM)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            step += 1
            total += float(loss.detach())
            if progress is not None:
                progress(step, steps, float(loss.detach()))
        require_finite(total)
    return total / steps_an_epoch
