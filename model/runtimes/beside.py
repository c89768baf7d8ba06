"""A classifier with outputs beside its labels (``model.outputs``): more rows of the last layer, kept apart.

In the file of weights these rows stand apart from the labels' (``presence.weight``, ``distress.bias`` and so
on), so that ``transformers`` opens the folder as the plain classifier of the labels that it is, and leaves
them out. Loaded here, the last layer has them as its last rows: logits of shape (windows, labels + beside).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.errors import ModelError
from model.outputs import SIZES, Beside, beside

if TYPE_CHECKING:
    import torch

    Rows = Mapping[Beside, tuple[torch.Tensor, torch.Tensor]]
    """Of each output beside the labels its rows (size, width) and their biases (size,)."""


def rows_beside(weights: Path) -> Rows:
    """The rows in a safetensors file; empty where there are none. Raises ``ModelError`` where it is cut."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(weights), framework="pt") as file:
            names = set(file.keys())
            return {
                name: (file.get_tensor(f"{name}.weight"), file.get_tensor(f"{name}.bias"))
                for name in SIZES
                if f"{name}.weight" in names
            }
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{weights} cannot be read, copy it again ({error})") from error


def widen(network: Any, rows: Rows) -> None:
    """Give ``network``, a ``transformers`` sequence classifier, the rows as its last logits.

    Raises:
        ModelError: its last layer is no ``classifier`` of the rows' width.
    """
    import torch

    if not rows:
        return
    narrow: Any = getattr(network, "classifier", None)
    parts = [rows[name] for name in SIZES if name in rows]
    shapes = {(SIZES[name], narrow.in_features) for name in rows} if _is_linear(narrow) else set()
    if {tuple(weight.shape) for weight, _ in parts} != shapes:
        names = " and ".join(rows)
        raise ModelError(f"the weights' rows of {names} do not fit their classifier: export the model again")
    wide = torch.nn.Linear(narrow.in_features, narrow.out_features + sum(len(bias) for _, bias in parts))
    with torch.no_grad():
        wide.weight.copy_(torch.cat([narrow.weight, *(weight.to(narrow.weight) for weight, _ in parts)]))
        wide.bias.copy_(torch.cat([narrow.bias, *(bias.to(narrow.bias) for _, bias in parts)]))
    network.classifier = wide.to(narrow.weight)


def narrow_for_saving(network: Any) -> None:
    """The reverse of ``widen``, in place: ``save_pretrained`` then writes the rows apart.

    A network without outputs beside its labels, of whatever architecture, stays as it is.
    """
    wide: Any = getattr(network, "classifier", None)
    labels = int(network.config.num_labels)
    if not _is_linear(wide) or wide.out_features == labels:
        return
    for name, place in beside(labels, wide.out_features).items():
        network.add_module(name, _part(wide, place))
    network.classifier = _part(wide, slice(0, labels))


def _part(layer: Any, rows: slice) -> Any:
    import torch

    part = torch.nn.Linear(layer.in_features, rows.stop - rows.start)
    with torch.no_grad():
        part.weight.copy_(layer.weight[rows])
        part.bias.copy_(layer.bias[rows])
    return part.to(layer.weight)


def _is_linear(layer: Any) -> bool:
    import torch

    return isinstance(layer, torch.nn.Linear)
