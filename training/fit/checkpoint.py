"""``checkpoint.pt``: what the next epoch depends on, in the folder of a run that is not finished."""

from pathlib import Path
from typing import Any

from training.errors import TrainingError
from training.runs import CHECKPOINT, written


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write the checkpoint beside and rename it, so that a torn one never stands in its place.

    Raises ``TrainingError`` where it cannot be written.
    """
    import torch

    partial = folder / f"{CHECKPOINT}.partial"
    with written(folder):
        torch.save(state, partial)
        partial.replace(folder / CHECKPOINT)


def load_checkpoint(folder: Path, device: str) -> dict[str, Any]:
    """The checkpoint in ``folder``. Raises ``TrainingError`` where it cannot be read."""
    import torch

    file = folder / CHECKPOINT
    try:
        state: dict[str, Any] = torch.load(file, weights_only=True, map_location=device)
    except Exception as error:  # torch, zipfile and pickle each raise their own for a file that is cut
        raise TrainingError(f"{file} cannot be read: --overwrite instead of --resume begins anew") from error
    return state
