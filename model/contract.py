"""What the stream knows of a model: tokenize, forward, decide.

A classifier takes texts through three steps, so that a caller can tokenize the next batch while one
is in inference:

    texts ──tokenize──► Encoded ──forward──► logits ──decide──► Emotion

``tokenize`` and ``decide`` are cheap and run anywhere; ``forward`` is the expensive step and is called
by one thread at a time. This file is pure: it imports no runtime.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

DistressLevel = Literal["none", "watch", "elevated", "high"]

Logits = npt.NDArray[np.float32]
"""Shape (windows, outputs): one row a window, in the order of the texts and their windows. The outputs are
the model's labels, and after them distress where the weights have an output of its own for it."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """One text as token ids: one window, or several overlapping ones where the text is too long for one."""

    windows: tuple[tuple[int, ...], ...]

    @property
    def longest(self) -> int:
        """Tokens in the longest window: what padding makes of every window in the batch."""
        windows = self.windows  # every message asks, and most have one
        return len(windows[0]) if len(windows) == 1 else max(map(len, windows))

    @property
    def tokens(self) -> int:
        """Tokens in all windows, special tokens and overlap included."""
        windows = self.windows
        return len(windows[0]) if len(windows) == 1 else sum(map(len, windows))


@dataclass(frozen=True, slots=True)
class Distress:
    """How much a message reads like one that a person on duty would want to see, in [0, 1].

    A statistical signal, never a diagnosis.
    """

    score: float
    level: DistressLevel


@dataclass(frozen=True, slots=True)
class Emotion:
    """What the model says of one text.

    ``scores`` are the calibrated probabilities of the six emotions; with ``neutral`` they sum to 1.
    ``label`` is the decision, ``confidence`` the probability that stands behind it. ``labels`` holds every
    emotion that the text carries, strongest first: ``label`` and others beside it; empty when it is neutral.
    """

    label: str
    confidence: float
    scores: dict[str, float]
    neutral: float
    distress: Distress
    labels: tuple[str, ...] = ()
    windows: int = 1


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Which model spoke: goes into every event, so that a label can be traced to its weights.

    ``languages``: BCP 47 tags of the languages that the weights were measured in; empty where nobody said.
    """

    name: str
    revision: str
    languages: tuple[str, ...]
    device: str
    precision: str
    verified: bool = True


class Model(Protocol):
    """A loaded classifier. Implementations: ``model.classifier`` (real) and ``model.fake``."""

    @property
    def info(self) -> ModelInfo: ...

    @property
    def remembered(self) -> int:
        """Windows since the start whose logits were known from an equal one, and needed no computing."""
        ...

    def tokenize(self, texts: Sequence[str]) -> list[Encoded]:
        """Token ids of each text; a text beyond the model's length becomes several windows, never cut."""
        ...

    def forward(self, batch: Sequence[Encoded]) -> Logits:
        """Logits of every window in the batch, shape (windows, labels). Not thread-safe."""
        ...

    def decide(self, batch: Sequence[Encoded], logits: Logits) -> list[Emotion]:
        """One decision a text: windows aggregated, probabilities calibrated, thresholds applied."""
        ...

    def warm_up(self) -> None:
        """Run the shapes that are to come once, so that the first message does not pay for them."""
        ...
