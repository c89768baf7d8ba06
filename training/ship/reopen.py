"""A run to train on again, from a folder that ships: the weights for torch, read back from its int8 file.

    model.int8.onnx ──scales──► float32 ──► model.safetensors, config.json, tokenizer, run.json

A folder for CPUs alone (``export --cpu-only``) holds no weights for torch. What is read back are the numbers
that the int8 file computes with, so nothing is lost that ships.
"""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from model.folder import INT8_ONNX_FILE, ModelFolder
from model.labels import LABELS
from model.outputs import Beside, beside
from model.runtimes.beside import narrow_for_saving, widen
from training.errors import TrainingError
from training.fit.recipe import Recipe
from training.runs import (
    TOKENIZER_FILES,
    command_line,
    forget_run,
    require_empty,
    writable,
    write_facts,
    written,
)
from training.ship.export import CARD_FILE
from training.ship.graph import Floats

_STORED: Final = re.compile(r"(.+\.(?:weight|bias))(?:\.int8|\.half)?")
"""The name of a stored tensor: that of the weight in torch, and how it is stored."""

_BASE: Final = re.compile(r"^base_model: (\S+)$", re.MULTILINE)
"""Where a card says from which pre-trained base the weights come."""


def reopen(folder: Path, out: Path, recipe: Recipe, *, overwrite: bool = False) -> None:
    """Write the run in ``out``; ``recipe`` is the one that it was trained with.

    Raises:
        TrainingError: the folder holds no whole int8 file of ``emotion-train export``, is ``out`` itself, or
            has other labels, or other outputs beside them, than the recipe; or ``out`` holds a run or a model
            and is not to be overwritten.
    """
    import torch
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    file = folder / INT8_ONNX_FILE
    if not file.is_file():
        raise TrainingError(f"{file} is missing: name a folder that emotion-train export made")
    if out.resolve() == folder.resolve():
        raise TrainingError(f"{out} is the folder that is read: name another --out")
    if not overwrite:
        require_empty(out)
    opened = ModelFolder.open(folder)
    try:
        weights = _floats(_graph(file))
    except (KeyError, IndexError) as error:
        raise TrainingError(
            f"{file} holds no {error}: it is no int8 file of this emotion-train export"
        ) from error
    network = DistilBertForSequenceClassification(DistilBertConfig.from_pretrained(folder))
    if missing := sorted(set(network.state_dict()) - set(weights)):
        raise TrainingError(f"{file} holds no {missing[0]}: it is no int8 file of this emotion-train export")
    last = {part: torch.from_numpy(weights.pop(f"classifier.{part}")) for part in ("weight", "bias")}
    labels = int(network.config.num_labels)
    network.load_state_dict(
        {name: torch.from_numpy(array) for name, array in weights.items()}
        | {f"classifier.{part}": rows[:labels] for part, rows in last.items()}
    )
    places = beside(labels, len(last["bias"]))
    _require_recipe(folder, recipe, {LABELS[k] for k in opened.columns}, tuple(places))
    widen(network, {name: (last["weight"][place], last["bias"][place]) for name, place in places.items()})
    narrow_for_saving(network)
    writable(out)
    with written(out):
        forget_run(out)
        network.save_pretrained(out)
        for name in TOKENIZER_FILES:
            shutil.copyfile(folder / name, out / name)
    run = {
        "command": command_line(),
        "recipe": recipe.as_dict() | {"base": _stated_base(folder) or recipe.base},
        "train_rows": {source: {} for source in recipe.sources},
    }
    write_facts(out, run)


def _require_recipe(folder: Path, recipe: Recipe, labels: set[str], outputs: tuple[Beside, ...]) -> None:
    """Refuse a recipe that trains other outputs than these: as a teacher the run would be misread."""
    if labels == set(recipe.labels) and outputs == recipe.beside:
        return
    has, trains = (" and ".join(names) or "nothing" for names in (outputs, recipe.beside))
    raise TrainingError(
        f"{folder} was not trained with recipe {recipe.name}: it has {len(labels)} labels and beside them "
        f"{has}, the recipe {len(recipe.labels)} and {trains}; name another --recipe"
    )


def _stated_base(folder: Path) -> str | None:
    """The pre-trained base by its name on the hub, as the folder's card has it."""
    card = folder / CARD_FILE
    stated = _BASE.search(card.read_text(encoding="utf-8")) if card.is_file() else None
    return stated[1] if stated else None


def _graph(file: Path) -> Any:
    import onnx

    try:
        return onnx.load(file).graph
    except Exception as error:  # protobuf's own
        raise TrainingError(f"{file} cannot be read: copy the folder again") from error


def _floats(graph: Any) -> dict[str, Floats]:
    """Every weight of the network by its name in torch, in float32.

    Keys and values have no biases in the graph (``training.ship.distilbert``): zero, and the network is the
    same.
    """
    from onnx import numpy_helper

    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    stored = filter(None, map(_STORED.fullmatch, tensors))
    found = {match[1]: _in_torch(match[0], tensors) for match in stored}
    queries = [name for name in found if name.endswith(".q_lin.bias")]
    return found | {
        name.replace(".q_lin.", other): np.zeros_like(found[name])
        for name in queries
        for other in (".k_lin.", ".v_lin.")
    }


def _in_torch(name: str, tensors: Mapping[str, npt.NDArray[Any]]) -> Floats:
    """A stored tensor as torch has it: floats, biases as vectors, and of a product (outputs, inputs)."""
    floats: Floats = tensors[name].astype(np.float32)
    if name.endswith(".int8"):
        floats = floats * tensors[f"{name.removesuffix('int8')}scale"]
        return floats if "embeddings" in name else np.ascontiguousarray(floats.T)
    return floats.reshape(-1) if name.endswith(".bias") else floats
