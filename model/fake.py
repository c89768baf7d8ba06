"""Classifiers without weights, for tests, examples and load runs of everything around the model.

``FakeClassifier`` answers by a hash of the text, can be slow, and can fail on purpose. ``NullClassifier``
does no work at all, so that a load run measures the pipeline and nothing else.
"""

import time
import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np

from model.calibration import Calibration
from model.contract import Distress, Emotion, Encoded, Logits, ModelInfo
from model.decide import DecisionRule
from model.errors import ModelError
from model.labels import EMOTIONS, LABEL2ID, LABELS, NEUTRAL

CHARS_PER_TOKEN: Final = 4
MAX_TOKENS: Final = 512
MOST_DELAY_MS: Final = 86_400_000
_POISON: Final = -1


class FakeFailureError(RuntimeError):
    """Raised by ``FakeClassifier.forward`` where it was told to fail."""


def _windows(first: tuple[int, ...], tokens: int) -> tuple[tuple[int, ...], ...]:
    """``tokens`` ids beginning with ``first``, in windows of at most ``MAX_TOKENS``; each begins so."""
    full, rest = divmod(max(tokens, len(first)), MAX_TOKENS)
    sizes = [MAX_TOKENS] * full + ([max(rest, len(first))] if rest else [])
    return tuple(first + (0,) * (size - len(first)) for size in sizes)


class FakeClassifier:
    """Same text, same answer, with no weights; about ``len(text) / 4`` tokens a text.

    A text that holds the name of a label ("sadness: no parcel") gets that label, so that a test can
    choose; any other text gets one by its hash. ``delay_ms`` is slept once a batch. A batch with a text
    that holds one of ``fail_on`` raises ``FakeFailureError``.
    """

    def __init__(self, *, delay_ms: float = 0.0, fail_on: Sequence[str] = ()) -> None:
        """Raises ``ModelError`` where nobody can sleep for ``delay_ms``."""
        if not 0 <= delay_ms <= MOST_DELAY_MS:
            raise ModelError(f"fake model: delay_ms must be from 0 to {MOST_DELAY_MS}, not {delay_ms:g}")
        self.delay_ms = delay_ms
        self.fail_on = tuple(fail_on)
        self._rule = DecisionRule(Calibration(name="fake"))

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(name="fake", revision="0" * 12, languages=(), device="cpu", precision="none")

    @property
    def remembered(self) -> int:
        """Nothing is remembered."""
        return 0

    def tokenize(self, texts: Sequence[str]) -> list[Encoded]:
        return [self._encode(text) for text in texts]

    def forward(self, batch: Sequence[Encoded]) -> Logits:
        """Logits of every window, shape (windows, 7), from the two ids each window begins with."""
        if self.delay_ms:
            time.sleep(self.delay_ms / 1000)
        heads = [window[:2] for encoded in batch for window in encoded.windows]
        if any(label == _POISON for label, _ in heads):
            raise FakeFailureError("the fake classifier was told to fail on a text in this batch")
        logits = np.zeros((len(heads), len(LABELS)), dtype=np.float32)
        for row, (label, seed) in zip(logits, heads, strict=True):
            row[label] = 3.0 + seed % 1000 / 250  # confidence 0.77 to 0.99
        return logits

    def decide(self, batch: Sequence[Encoded], logits: Logits) -> list[Emotion]:
        return self._rule.decide(batch, logits)

    def warm_up(self) -> None:
        """Nothing to warm."""

    def _encode(self, text: str) -> Encoded:
        seed = zlib.crc32(text.encode("utf-8", "surrogatepass"))
        named = (LABEL2ID[label] for label in LABELS if label in text)
        label = next(named, seed % len(LABELS))
        if any(bad in text for bad in self.fail_on):
            label = _POISON
        return Encoded(_windows((label, seed), len(text) // CHARS_PER_TOKEN))


class NullClassifier:
    """No work: tokens are counted from characters, and the decisions were made before the first message.

    Labels go round, so that every label is counted and published in a load run.
    """

    def __init__(self) -> None:
        self._encoded: dict[int, Encoded] = {}
        self._decisions = [_certain(label) for label in LABELS]

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(name="null", revision="0" * 12, languages=(), device="none", precision="none")

    @property
    def remembered(self) -> int:
        """Nothing is remembered."""
        return 0

    def tokenize(self, texts: Sequence[str]) -> list[Encoded]:
        return [self._of_length(len(text) // CHARS_PER_TOKEN) for text in texts]

    def forward(self, batch: Sequence[Encoded]) -> Logits:
        """Zeros, shape (windows, 7)."""
        return np.zeros((sum(len(encoded.windows) for encoded in batch), len(LABELS)), dtype=np.float32)

    def decide(self, batch: Sequence[Encoded], logits: Logits) -> list[Emotion]:  # noqa: ARG002 - protocol
        rounds, rest = divmod(len(batch), len(self._decisions))
        return self._decisions * rounds + self._decisions[:rest]

    def warm_up(self) -> None:
        """Nothing to warm."""

    def _of_length(self, tokens: int) -> Encoded:
        known = self._encoded.get(tokens)
        if known is None:
            known = Encoded(_windows((0, 0), tokens))
            if tokens <= MAX_TOKENS:  # so the cache stays small whatever comes in
                self._encoded[tokens] = known
        return known


def _certain(label: str) -> Emotion:
    """The decision for a text whose label is beyond doubt."""
    distressed = label in ("sadness", "fear")
    return Emotion(
        label=label,
        confidence=1.0,
        scores={emotion: float(emotion == label) for emotion in EMOTIONS},
        neutral=float(label == NEUTRAL),
        distress=Distress(score=float(distressed), level="high" if distressed else "none"),
        labels=() if label == NEUTRAL else (label,),
    )
