"""From logits to emotions: the last step of the flow, and the cheapest.

    logits ──probabilities──► (windows, 7) ──aggregate──► (texts, 7) ──choose, distress_scores──► Emotion

Pure numpy, whole batches at a time. Shapes: W windows, T texts, K labels of the model, and the 7 labels
in the order of ``model.labels.LABELS``. What logits there are beside the K: ``model.outputs``.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from model.calibration import Calibration, Presence
from model.contract import Distress, DistressLevel, Emotion, Encoded, Logits
from model.errors import ModelError
from model.labels import EMOTIONS, LABEL2ID, LABELS, NEUTRAL
from model.outputs import beside, presence

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
_ALONE: Final = [(emotion,) for emotion in EMOTIONS]


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


def logistic(logits: Floats) -> Floats:
    """The logistic function, of any shape; quiet at the ends."""
    result: Floats = 1.0 / (1.0 + np.exp(-np.clip(logits, -60.0, 60.0)))
    return result


def aggregate(by_window: Floats, batch: Sequence[Encoded]) -> Floats:
    """Probabilities of each text, shape (T, any), from those of its windows, shape (W, any).

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
    def _presences(self) -> tuple[Floats, Floats, Floats]:
        """Scale, bias and threshold of each emotion, shape (6,) each."""
        given = [self.calibration.presence.get(emotion, Presence()) for emotion in EMOTIONS]
        return (
            np.array([presence.scale for presence in given]),
            np.array([presence.bias for presence in given]),
            np.array([presence.threshold for presence in given]),
        )

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
        by_label = logits[:, : len(self.columns)]
        return probabilities(by_label, self.temperatures(by_label), self.columns)

    def presences(self, logits: Logits) -> Floats:
        """The probability that each window carries each of the six emotions, shape (W, 6)."""
        scale, bias, _ = self._presences
        if place := presence(len(self.columns), logits.shape[1]):
            return logistic(logits[:, place] * scale + bias)
        placed = np.full((len(logits), len(LABELS)), -np.inf)
        placed[:, list(self.columns)] = logits[:, : len(self.columns)]
        return logistic(placed[:, : len(EMOTIONS)] * scale + bias)

    def distress_outputs(self, logits: Logits) -> Floats | None:
        """The logistic function of each window's output for distress, (W, 1); None without such an output."""
        place = beside(len(self.columns), logits.shape[1]).get("distress")
        return None if place is None else logistic(logits[:, place].astype(np.float64))

    def carried(self, logits: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.bool_]:
        """Whether each emotion reaches its threshold, of logits (W, 6) in the order of ``EMOTIONS``."""
        scale, bias, thresholds = self._presences
        return logistic(logits * scale + bias) >= thresholds

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

    def labels(self, chosen: Indices, carried: Floats) -> list[tuple[str, ...]]:
        """Every emotion of each text, strongest first; ``carried`` (T, 6) is the probability of each.

        The label that was chosen is one of them whatever its threshold, so that ``labels`` never contradicts
        ``label``; a neutral text has none.
        """
        if not self.calibration.presence:
            return [() if label == _NEUTRAL_ID else (LABELS[label],) for label in chosen.tolist()]
        _, _, thresholds = self._presences
        there = carried >= thresholds
        strength = np.where(there, carried, -1.0)
        emotional = np.flatnonzero(chosen != _NEUTRAL_ID)
        there[chosen == _NEUTRAL_ID] = False
        there[emotional, chosen[emotional]] = True
        strength[emotional, chosen[emotional]] = 2.0  # above any probability
        order = np.argsort(-strength, axis=1, kind="stable").tolist()
        counts = there.sum(axis=1).tolist()
        return [
            _ALONE[row[0]] if count == 1 else tuple([EMOTIONS[k] for k in row[:count]])
            for row, count in zip(order, counts, strict=True)
        ]

    def distress_scores(self, by_text: Floats, output: Floats | None = None) -> Floats:
        """How distressed each text reads, in [0, 1], shape (T,): ``output``, else the weighted sum of
        sadness, fear and anger; through ``distress_map``.
        """
        score: Floats = by_text @ self._distress_weights if output is None else output
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
        carried = aggregate(self.presences(logits), batch)
        by_window = self.distress_outputs(logits)
        distress = None if by_window is None else aggregate(by_window, batch)[:, 0]
        scores = np.round(self.distress_scores(by_text, distress), DECIMALS)
        names = [LABELS[label] for label in chosen.tolist()]
        confidences = np.round(self.confidences(by_text, chosen), DECIMALS).tolist()
        by_emotion, neutral = _named(by_text), by_text[:, _NEUTRAL_ID].tolist()
        levels = [LEVELS[level] for level in self.distress_levels(scores).tolist()]
        distresses = map(Distress, scores.tolist(), levels)
        windows = [len(encoded.windows) for encoded in batch]
        labels = self.labels(chosen, carried)
        # In the order of the fields, without a loop of Python's: this is what a GPU waits for.
        return list(map(Emotion, names, confidences, by_emotion, neutral, distresses, labels, windows))


def _named(by_text: Floats) -> list[dict[str, float]]:
    """The six emotions' columns of (T, 7), by name."""
    first, second, third, fourth, fifth, sixth = EMOTIONS
    return [
        {first: a, second: b, third: c, fourth: d, fifth: e, sixth: f}
        for a, b, c, d, e, f, _ in by_text.tolist()
    ]
