"""A classifier with an output of its own for distress: one more row of the last layer, kept beside it.

In the file of weights the row stands apart from the labels' (``distress.weight``, ``distress.bias``), so that
``transformers`` opens the folder as the plain classifier of the labels that it is, and leaves the row out.
Loaded here, the last layer has it as its last row: logits of shape (windows, labels + 1).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model.errors import ModelError

if TYPE_CHECKING:
    import torch

PREFIX: Final = "distress"


def distress_row(weights: Path) -> tuple[torch.Tensor, torch.Tensor] | None:
    """The row (1, width) and its bias (1,) in a safetensors file; None where there is none."""
    from safetensors import safe_open

    with safe_open(str(weights), framework="pt") as file:
        names = set(file.keys())
        if f"{PREFIX}.weight" not in names:
            return None
        return file.get_tensor(f"{PREFIX}.weight"), file.get_tensor(f"{PREFIX}.bias")


def widen(network: Any, row: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Give ``network``, a ``transformers`` sequence classifier, the row as its last logit.

    Raises:
        ModelError: its last layer is no ``classifier`` of the row's width.
    """
    import torch

    weight, bias = row
    narrow = getattr(network, "classifier", None)
    if not isinstance(narrow, torch.nn.Linear) or narrow.in_features != weight.shape[1]:
        raise ModelError("the weights' distress row does not fit their classifier: export the model again")
    wide = torch.nn.Linear(narrow.in_features, narrow.out_features + 1)
    with torch.no_grad():
        wide.weight.copy_(torch.cat([narrow.weight, weight.to(narrow.weight)]))
        wide.bias.copy_(torch.cat([narrow.bias, bias.to(narrow.bias)]))
    network.classifier = wide.to(narrow.weight)


def narrow_for_saving(network: Any) -> None:
    """The reverse of ``widen``, in place: ``save_pretrained`` then writes the row apart."""
    import torch

    wide = network.classifier
    narrow = torch.nn.Linear(wide.in_features, wide.out_features - 1)
    row = torch.nn.Linear(wide.in_features, 1)
    with torch.no_grad():
        narrow.weight.copy_(wide.weight[:-1])
        narrow.bias.copy_(wide.bias[:-1])
        row.weight.copy_(wide.weight[-1:])
        row.bias.copy_(wide.bias[-1:])
    network.classifier = narrow.to(wide.weight)
    network.add_module(PREFIX, row.to(wide.weight))
