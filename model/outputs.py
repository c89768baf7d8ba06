"""Which logits are which.

    logits (windows, labels + beside)    labels of config.json ─ presence (6) ─ distress (1)

What stands beside the labels is optional. ``presence`` says of each of the six emotions, in the order of
``EMOTIONS``, whether the text carries it at all; weights without it say that by the labels' own logits. A
softmax has to share one text out among its labels, and which of several feelings stands first is another
question than which are there. ``distress`` is how distressed the text reads.
"""

from typing import Final, Literal

from model.errors import ModelError
from model.labels import EMOTIONS

Beside = Literal["presence", "distress"]
SIZES: Final[dict[Beside, int]] = {"presence": len(EMOTIONS), "distress": 1}
"""Outputs beside the labels, in the order of their logits."""


def beside(labels: int, outputs: int) -> dict[Beside, slice]:
    """Where each output beside the labels lies among ``outputs`` logits, of which ``labels`` are labels.

    Raises:
        ModelError: no set of them fills the rest.
    """
    rest = outputs - labels
    if rest not in (0, *SIZES.values(), sum(SIZES.values())):
        raise ModelError(f"the model has {outputs} outputs for {labels} labels: export it again")
    places: dict[Beside, slice] = {}
    start = labels
    for name, size in SIZES.items():
        if rest in (size, sum(SIZES.values())):
            places[name] = slice(start, start + size)
            start += size
    return places


def presence(labels: int, outputs: int) -> slice | None:
    """The logits of ``presence``; None where the labels' own stand for them."""
    return beside(labels, outputs).get("presence")
