"""The mean of several runs' weights, as one network that costs what each of them does.

Runs that begin from the same weights stay near enough to each other for the mean of their weights to be a
network as good as they are, which often has what each of them is best at (Wortsman et al., "Model soups",
ICML 2022).
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from model.folder import CONFIG_FILE, SAFETENSORS_FILE, ModelFolder
from model.labels import EMOTIONS, LABEL2ID
from training.errors import TrainingError
from training.runs import (
    TOKENIZER_FILES,
    command_line,
    forget_run,
    require_empty,
    require_split,
    run_of,
    weights_of,
    writable,
    write_facts,
    written,
)

if TYPE_CHECKING:
    from torch import Tensor

PRESENCE: Final = "presence.weight"


def average_runs(shares: Mapping[Path, float], out: Path, *, overwrite: bool = False) -> None:
    """Write the mean of the runs' weights, each with its share of the sum, to the folder ``out``.

    Tokenizer, configuration and recipe are those of the first; ``averaged`` in ``run.json`` names all. Where
    the first has outputs of presence and another has none, the other's labels say the same.

    Raises:
        TrainingError: one is no run or cut, or they are not of one shape, vocabulary, split or order of
            labels, or ``out`` holds a run or a model and is not to be overwritten.
    """
    import torch
    from safetensors.torch import save_file

    total, mean = sum(shares.values()), dict[str, torch.Tensor]()
    first, *_ = shares
    if out.resolve() in {run.resolve() for run in shares}:
        raise TrainingError(f"{out} is one of the runs itself: name another --out")
    if not overwrite:
        require_empty(out)
    facts = run_of(first)
    require_split(facts.resplit, shares)
    for run, share in shares.items():
        run_of(run)
        tokenizers = [(one / TOKENIZER_FILES[0]).read_bytes() for one in (run, first)]
        if tokenizers[0] != tokenizers[1]:
            raise TrainingError(f"{run} and {first} differ in their tokenizer")
        if ModelFolder.open(run).columns != ModelFolder.open(first).columns:
            raise TrainingError(f"{run} and {first} differ in their labels (id2label in {CONFIG_FILE})")
        weights = weights_of(run)
        if PRESENCE in mean and PRESENCE not in weights:
            weights |= _presence_of_labels(run, weights)
        if mean and PRESENCE in weights and PRESENCE not in mean:
            raise TrainingError(f"{run} has outputs of presence and {first} has none: name {run} first")
        shapes = [{name: one.shape for name, one in tensors.items()} for tensors in (weights, mean)]
        if mean and shapes[0] != shapes[1]:
            raise TrainingError(f"{run} and {first} differ in shape: average runs that began from one base")
        for name, tensor in weights.items():
            mean[name] = mean.get(name, 0.0) + share / total * tensor.float()
    writable(out)
    with written(out):
        forget_run(out)
        save_file(mean, out / SAFETENSORS_FILE, metadata={"format": "pt"})
        for name in (CONFIG_FILE, *TOKENIZER_FILES):
            shutil.copyfile(first / name, out / name)
    averaged = {str(run): share / total for run, share in shares.items()}
    write_facts(out, facts.changed(command=command_line(), averaged=averaged))


def _presence_of_labels(run: Path, weights: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """The rows of presence (``model.outputs``) that say what the emotions' labels say."""
    columns = ModelFolder.open(run).columns
    rows = [columns.index(LABEL2ID[emotion]) for emotion in EMOTIONS]
    return {f"presence.{part}": weights[f"classifier.{part}"][rows] for part in ("weight", "bias")}
