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

Floats = npt.NDArray[np.float32]

_PRODUCT: Final = re.compile(r"layer\.(\d+)/(attention/\w+_lin|ffn/lin\d)/MatMul(?:/(\d+))?$")
"""The name of a quantised product: block, layer, and part where its inputs are quantised in parts."""


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
        raise TrainingError(f"{file} holds no {error}: it is no int8 file of emotion-train export") from error
    network = DistilBertForSequenceClassification(DistilBertConfig.from_pretrained(folder))
    if missing := sorted(set(network.state_dict()) - set(weights)):
        raise TrainingError(f"{file} holds no {missing[0]}: it is no int8 file of emotion-train export")
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
    """Every weight of the network by its name in torch, in float32."""
    from onnx import numpy_helper

    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    found = _products(graph, tensors)
    for name, tensor in tensors.items():
        plain = name.removeprefix("model.")
        if plain.endswith(".int8") and "embeddings" in plain:
            table = plain.removesuffix(".int8")
            found[table] = tensor.astype(np.float32) * tensors[name.removesuffix("int8") + "scale"]
        elif plain.endswith((".weight", ".bias")) and tensor.dtype == np.float32:
            found[plain] = tensor.copy()
    return found


def _products(graph: Any, tensors: Mapping[str, npt.NDArray[Any]]) -> dict[str, Floats]:
    """The weights (outputs, inputs) of the blocks' products; small ones are not quantised."""
    makers = {output: node for node in graph.node for output in node.output}
    parts: dict[str, dict[int, Floats]] = {}
    for node in graph.node:
        found = _PRODUCT.search(node.name) if node.op_type == "MatMul" else None
        if found is None:
            continue
        block, layer, part = found.groups(default="0")
        name = f"distilbert.transformer.layer.{block}.{layer.replace('/', '.')}.weight"
        maker = makers.get(node.input[1])
        if maker is None:
            weights = tensors[node.input[1]]
        else:
            columns, scales = tensors[maker.input[0]], tensors[maker.input[1]]
            weights = columns.astype(np.float32) * scales
        parts.setdefault(name, {})[int(part)] = weights
    return {
        name: np.ascontiguousarray(np.concatenate([found[k] for k in sorted(found)]).T)
        for name, found in parts.items()
    }
