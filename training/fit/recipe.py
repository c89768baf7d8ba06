"""A recipe: everything that makes one training differ from another, as data.

A run's folder keeps its recipe in ``run.json``, so a figure can be traced to what produced it.
"""

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from model.labels import EMOTIONS
from model.outputs import Beside
from training.data.augment import Augmentation
from training.errors import TrainingError

Source = Literal[
    "emotion",
    "goemotions",
    "banking77",
    "written",
    "messages",
    "brighter",
    "brighter_en",
    "xed",
    "languages",
    "distress",
]
ClassWeights = Literal["none", "balanced", "sqrt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One way to train.

    - ``sources``: rows drawn of each source in each epoch; None takes them all.
    - ``repeats``: how often an epoch shows each drawn row of a source, each time in a form of its own; once
      where a source is not named.
    - ``class_weights``: of the cross-entropy, by inverse label frequency ("balanced") or its root ("sqrt").
    - ``layer_decay``: factor of the learning rate from each layer to the one below (Sun et al., 2019).
    - ``sequence_dropout``: one dropout mask a sequence instead of one a token (Gal and Ghahramani, 2016).
      On a CPU it is faster: drawing a random number for each activation is slow there.
    - ``frozen_embeddings``: leave the word embeddings as they are; half of the small base's weights are in
      them, and their gradient, its norm and their update are dense.
    - ``presence``: weight of the loss of the sigmoids, which say of each label whether the text carries it; 0
      trains a softmax alone, on one label a text.
    - ``presence_output``: give the sigmoids outputs of their own (``model.outputs``), one an emotion, rather
      than the softmax's logits.
    - ``distress``: weight of the loss of an output of its own for distress; 0 trains none.
    - ``r_drop``: weight of the symmetric KL divergence between two passes (Wu et al., R-Drop, 2021); 0 is
      off.
    - ``ema_decay``: of the moving average of the weights that is evaluated and kept; 0 is off.
    - ``distil``: weight of the teacher's soft labels against the rows' own; needs a teacher in the run.
    - ``patience``: epochs without a better validation score after which the training stops.
    - ``unranked``: sources whose rows say which emotions a text carries, but neither which one stands first
      nor how little of them still counts as neutral: they teach the sigmoids of the emotions alone.
    - ``languages``: BCP 47 tags of those whose rows are taken, of each source; all where it is empty.
    - ``untaught``: sources of whose rows no teacher is asked: what they say themselves stands.
    - ``asked``: sources whose rows the run is asked of as a teacher, beside those that it was trained on.
    """

    name: str
    base: str
    labels: tuple[str, ...] = EMOTIONS
    sources: dict[Source, int | None] = field(default_factory=lambda: {"emotion": None})
    repeats: dict[Source, int] = field(default_factory=dict)
    epochs: int = 5
    patience: int = 1
    batch_size: int = 16
    learning_rate: float = 5e-5
    layer_decay: float = 1.0
    warmup: float = 0.1
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    dropout: float = 0.1
    attention_dropout: float = 0.1
    sequence_dropout: bool = False
    frozen_embeddings: bool = False
    class_weights: ClassWeights = "none"
    label_smoothing: float = 0.0
    presence: float = 0.0
    presence_output: bool = False
    distress: float = 0.0
    r_drop: float = 0.0
    ema_decay: float = 0.0
    distil: float = 0.0
    lora_rank: int = 0
    augmentation: Augmentation | None = None
    max_tokens: int = 128
    unranked: tuple[Source, ...] = ()
    languages: tuple[str, ...] = ()
    untaught: tuple[Source, ...] = ()
    asked: tuple[Source, ...] = ()

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise TrainingError(f"recipe {self.name}: epochs and batch size must be 1 or more")
        if not 0.0 <= self.learning_rate < math.inf or not 0.0 <= self.r_drop < math.inf:
            raise TrainingError(f"recipe {self.name}: learning rate and r-drop must be 0 or more")
        if not 0.0 <= self.label_smoothing < 1.0 or not 0.0 <= self.distil <= 1.0:
            raise TrainingError(f"recipe {self.name}: label smoothing and distil are fractions")
        if self.presence_output and (not self.presence or self.labels[: len(EMOTIONS)] != EMOTIONS):
            raise TrainingError(f"recipe {self.name}: outputs of presence need its loss, and all emotions")

    @property
    def beside(self) -> tuple[Beside, ...]:
        """The outputs beside the labels that it trains."""
        asked: dict[Beside, bool] = {"presence": self.presence_output, "distress": self.distress > 0}
        return tuple(name for name in asked if asked[name])

    def as_dict(self) -> dict[str, Any]:
        """The recipe as JSON can hold it."""
        return asdict(self)
