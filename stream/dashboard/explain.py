"""Which words drove a label: each is left out in turn, and the model is asked again. Pure.

Occlusion (Zeiler and Fergus, 2014; leave-one-out as in Li et al., 2016, arXiv:1612.08220) treats the model as
a black box, so what it says holds for the very weights and arithmetic that label the stream; integrated
gradients would need torch and weights in another precision. A word's weight is by how much the log-odds of
the label fall without it: of a label that is all but certain, the probability itself would not move. Words
that only work together, or that say the same thing twice, get little each.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log
from typing import Final

from model.contract import Emotion
from model.labels import NEUTRAL

MOST_PARTS: Final = 120
"""Pieces that a text is cut into at most; the words of a longer one are taken together."""
_WORD: Final = re.compile(r"\S+")
_SURE: Final = 1e-6

Classify = Callable[[Sequence[str]], list[Emotion]]


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the text, with the white space behind it, and what it adds to the label's log-odds."""

    text: str
    weight: float


def explained(text: str, classify: Classify) -> tuple[Emotion, list[Part]]:
    """What the model says of a text, and the weight of each part of it for the label.

    A text of one part has nothing to be held against: its weight is 0.
    """
    pieces = parts_of(text)
    if len(pieces) < 2:
        [emotion] = classify([text])
        return emotion, [Part(piece, 0.0) for piece in pieces]
    without = ["".join(pieces[:place] + pieces[place + 1 :]) for place in range(len(pieces))]
    emotion, *others = classify([text, *without])
    whole = log_odds(emotion, emotion.label)
    weights = [whole - log_odds(other, emotion.label) for other in others]
    return emotion, [Part(piece, round(weight, 4)) for piece, weight in zip(pieces, weights, strict=True)]


def parts_of(text: str) -> list[str]:
    """The words of a text with the white space behind them; together they are the text again."""
    starts = [found.start() for found in _WORD.finditer(text)]
    if not starts:
        return [text] if text else []
    step = -(-len(starts) // MOST_PARTS)
    cuts = [0, *starts[step::step], len(text)]
    return [text[begin:end] for begin, end in pairwise(cuts)]


def log_odds(emotion: Emotion, label: str) -> float:
    """Log-odds of a label's calibrated probability."""
    probability = emotion.neutral if label == NEUTRAL else emotion.scores.get(label, emotion.confidence)
    probability = min(max(probability, _SURE), 1.0 - _SURE)
    return log(probability / (1.0 - probability))
