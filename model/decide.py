"""From logits to emotions: the last step of the flow, and the cheapest.

    logits ──probabilities──► (windows, 7) ──aggregate──► (texts, 7) ──choose, distress_scores──► Emotion

Pure numpy, whole batches at a time. Shapes: W windows, T texts, K logits of the model, and the 7 labels
in the order of ``model.labels.LABELS``.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from model.calibration import Calibration
from model.contract import Distress, DistressLevel, Emotion, Encoded, Logits
from model.errors import ModelError
from model.labels import EMOTIONS, LABEL2ID, LABELS, NEUTRAL

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

LEVELS: Final[tuple[DistressLevel, ...]] = ("none", "watch", "elevated", "high")
DEFAULT_THRESHOLD: Final = 0.5

# Published numbers carry six decimals, finer than bf16 or int8 logits are. What is published is rounded
# first and decided on afterwards, so that a reader finds label, confidence and level consistent.
DECIMALS: Final = 6

# Where the entropy's power would run away: a message this plain is certain at any temperature.
LEAST_ENTROPY: Final = 0.001

_NEUTRAL_ID: Final = LABEL2ID[NEUTRAL]


def temperatures(logits: npt.NDArray[np.floating[Any]], temperature: float, exponent: float) -> Floats:
    """The temperature of each window, shape (W, 1): ``temperature`` times its entropy to ``exponent``.

    The entropy is that of the softmax of the plain logits, as a share of the greatest there can be. Texts on
    which people agree and texts on which they do not need different temperatures, and the entropy tells them
    apart; the order of the labels stays. (Balanya, Maroñas and Ramos, "Adaptive Temperature Scaling for
    Robust Calibration of Deep Neural Networks", 2022.)
    """
    if not exponent or logits.shape[1] < 2:
        return np.full((len(logits), 1), temperature)
    log_shares = logits.astype(np.float64)
    log_shares -= log_shares.max(axis=1, keepdims=True, initial=-np.inf)
    log_shares -= np.log(np.exp(log_shares).sum(axis=1, keepdims=True))
    entropy = -(np.exp(log_shares) * log_shares).sum(axis=1, keepdims=True) / np.log(logits.shape[1])
    result: Floats = temperature * np.clip(entropy, LEAST_ENTROPY, 1.0) ** exponent
    return result


def probabilities(logits: Logits, temperature: float | Floats, columns: Sequence[int]) -> Floats:
    """Calibrated probabilities of the seven labels, shape (W, 7); rows sum to 1.

    ``temperature`` is one number, or one a window, shape (W, 1). ``columns[k]`` is the label of logit k.
    Labels that the model does not know have probability 0.
    """
    scaled = logits.astype(np.float64) / temperature  # (W, K)
    scaled -= scaled.max(axis=1, keepdims=True, initial=-np.inf)
    np.exp(scaled, out=scaled)
    scaled /= scaled.sum(axis=1, keepdims=True)
    placed = np.zeros((len(logits), len(LABELS)))
    placed[:, list(columns)] = scaled
    return placed


def aggregate(by_window: Floats, batch: Sequence[Encoded]) -> Floats:
    """Probabilities of each text, shape (T, 7), from those of its windows, shape (W, 7).

    A text's probabilities are the mean over its windows, weighted by their tokens. The mean of
    probabilities, not of logits, because one window that is very sure of itself would outvote all others
    in logit space; not the maximum, because then a text would seem the more emotional the longer it is;
    and weighted, so that every token has the same say.
    """
    counts = [len(encoded.windows) for encoded in batch]
    if len(counts) == len(by_window):  # one window each: nearly always
        return by_window
    weights = np.array([len(window) for encoded in batch for window in encoded.windows], dtype=np.float64)
    starts = np.cumsum([0, *counts[:-1]])
    sums: Floats = np.add.reduceat(by_window * weights[:, None], starts, axis=0)
    totals = np.add.reduceat(weights, starts)
    return sums / totals[:, None]


class DecisionRule:
    """One model's calibration, laid out as arrays once, then applied to any number of batches.

    ``columns[k]`` is the label of the model's logit k, as an index into ``LABELS``.
    """

    def __init__(self, calibration: Calibration, columns: Sequence[int] = tuple(range(len(LABELS)))) -> None:
        self.calibration = calibration
        self.columns = tuple(columns)

    @cached_property
    def _thresholds(self) -> Floats:
        given = self.calibration.thresholds
        return np.array([given.get(label, DEFAULT_THRESHOLD) for label in LABELS])

    @cached_property
    def _distress_weights(self) -> Floats:
        weights = np.zeros(len(LABELS))
        for label, weight in self.calibration.distress_weights.model_dump().items():
            weights[LABEL2ID[label]] = weight
        return weights

    @cached_property
    def _level_starts(self) -> Floats:
        levels = self.calibration.distress_levels
        return np.array([levels.watch, levels.elevated, levels.high])

    def probabilities(self, logits: Logits) -> Floats:
        """Calibrated probabilities of each window, shape (W, 7).

        Raises ``ModelError`` for logits that are not finite: no decision can stand on them.
        """
        if not np.isfinite(logits).all():
            raise ModelError(
                "the model gave logits that are not finite; try precision fp32 or check the weights"
            )
        return probabilities(logits, self.temperatures(logits), self.columns)

    def temperatures(self, logits: npt.NDArray[np.floating[Any]]) -> Floats:
        """The calibrated temperature of each window, shape (W, 1)."""
        return temperatures(logits, self.calibration.temperature, self.calibration.temperature_entropy)

    def choose(self, by_text: Floats) -> Indices:
        """The label of each text as an index into ``LABELS``, shape (T,).

        The label with the greatest probability / threshold wins; if that is an emotion whose probability
        is below ``neutral_threshold``, the text is neutral.
        """
        chosen = np.argmax(by_text / self._thresholds, axis=1)
        confidence = by_text[np.arange(len(by_text)), chosen]
        return np.where(confidence < self.calibration.neutral_threshold, _NEUTRAL_ID, chosen)

    def confidences(self, by_text: Floats, chosen: Indices) -> Floats:
        """The probability behind each choice, shape (T,).

        A model without a neutral logit gives neutral no probability; there the confidence in neutral is
        the probability that the strongest emotion is not the one.
        """
        picked: Floats = by_text[np.arange(len(by_text)), chosen]
        if _NEUTRAL_ID in self.columns:
            return picked
        return np.where(chosen == _NEUTRAL_ID, 1.0 - by_text.max(axis=1, initial=0.0), picked)

    def distress_scores(self, by_text: Floats) -> Floats:
        """The weighted sum of sadness, fear and anger, through ``distress_map``; in [0, 1], shape (T,)."""
        score: Floats = by_text @ self._distress_weights
        if self.calibration.distress_map:
            xs, ys = zip(*self.calibration.distress_map, strict=True)
            score = np.interp(score, xs, ys)
        return np.clip(score, 0.0, 1.0)

    def distress_levels(self, scores: Floats) -> Indices:
        """The level of each score as an index into ``LEVELS``, shape (T,)."""
        return np.searchsorted(self._level_starts, scores, side="right")

    def decide(self, batch: Sequence[Encoded], logits: Logits) -> list[Emotion]:
        """One ``Emotion`` a text, in the order of ``batch``; ``logits`` has shape (W, K)."""
        if not batch:
            return []
        by_text = np.round(aggregate(self.probabilities(logits), batch), DECIMALS)
        chosen = self.choose(by_text)
        scores = np.round(self.distress_scores(by_text), DECIMALS)
        columns = (
            chosen.tolist(),
            np.round(self.confidences(by_text, chosen), DECIMALS).tolist(),
            by_text.tolist(),
            scores.tolist(),
            self.distress_levels(scores).tolist(),
        )
        return [
            Emotion(
                label=LABELS[label],
                confidence=confidence,
                scores=dict(zip(EMOTIONS, row, strict=False)),  # the row goes on with neutral
                neutral=row[_NEUTRAL_ID],
                distress=Distress(score=score, level=LEVELS[level]),
                windows=len(encoded.windows),
            )
            for encoded, label, confidence, row, score, level in zip(batch, *columns, strict=True)
        ]
