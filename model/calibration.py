"""What ships beside the weights so that their scores can be read: ``calibration.json``.

Training fits these numbers on validation data and saves them next to the weights; the classifier reads
them back, and ``model.decide`` applies them. A plain Hugging Face folder has no such file: the defaults
below then leave the probabilities as they are and make the decision a plain argmax.

This file is pure but for ``load`` and ``save``.
"""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from model.errors import CalibrationError
from model.labels import LABELS

FILE_NAME: Final = "calibration.json"
CONTEXT_OF_0_1: Final = "context_tokens"

Probability = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Threshold = Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DistressWeights(_Frozen):
    """How much of each emotion's probability counts as distress.

    Anger counts half by default: most of it, in support messages above all, is about a thing that went
    wrong and not about the state of the person who writes.
    """

    sadness: Probability = 1.0
    fear: Probability = 1.0
    anger: Probability = 0.5


class DistressLevels(_Frozen):
    """The distress scores at which each level begins; below ``watch`` the level is ``none``."""

    watch: Threshold = 0.5
    elevated: Threshold = 0.7
    high: Threshold = 0.9

    @model_validator(mode="after")
    def _ascend(self) -> Self:
        if not self.watch <= self.elevated <= self.high:
            raise ValueError("levels must ascend: watch <= elevated <= high")
        return self


class Presence(_Frozen):
    """Whether a text carries one emotion, beside others: the probability is the logistic function of
    ``scale`` · logit + ``bias`` (Platt, 1999), and from ``threshold`` on it is named.
    """

    scale: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)
    bias: float = Field(default=0.0, allow_inf_nan=False)
    threshold: Threshold = 0.5


class Calibration(_Frozen):
    """Temperature, decision rule, distress reading and limits of one set of weights.

    - ``temperature`` divides the logits before the softmax (Guo et al., "On Calibration of Modern Neural
      Networks", ICML 2017).
    - ``temperature_entropy``: how much warmer the logits of an undecided message are read than those of a
      plain one; see ``model.decide.temperatures``. 0 is the one temperature for all.
    - ``thresholds``: the label with the greatest probability / threshold wins. Labels left out have 0.5,
      so with no thresholds at all the most probable label wins.
    - ``neutral_threshold``: an emotion less probable than this is not named; the label is neutral. It is
      the only way to neutral for a model that has no neutral logit.
    - ``presence``: for each emotion, when a text carries it; without any, a text carries its label alone.
    - ``distress_map``: knots (reading, calibrated score) of a piecewise linear, non-decreasing map,
      as isotonic regression gives it; empty leaves the reading as it is. The reading is the weighted sum, or,
      where the weights have an output of its own for distress, the logistic function of that.
    - ``language``: BCP 47 tag of the language the weights were trained for.
    - ``languages``: BCP 47 tags of those that they were measured in, where there are several, each with its
      score; the model card says on which set.
    - ``name``, ``revision``: which weights these numbers belong to. The revision is the first 12 hex
      digits of the SHA-256 of ``model.safetensors``; a folder whose weights differ is refused.
    - ``max_tokens``, ``overlap_tokens``: longest window, special tokens included, and how many tokens
      neighbouring windows of a long text share at least.
    """

    version: Literal[1] = 1
    name: str | None = None
    revision: str | None = Field(default=None, pattern=r"^[0-9a-f]{12}$")
    language: str = Field(default="en", min_length=2)
    languages: dict[str, Probability] = Field(default_factory=dict)
    temperature: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)
    temperature_entropy: float = Field(default=0.0, ge=0.0, le=1.0, allow_inf_nan=False)
    thresholds: dict[str, Threshold] = Field(default_factory=dict)
    neutral_threshold: Probability = 0.0
    presence: dict[str, Presence] = Field(default_factory=dict)
    distress_weights: DistressWeights = DistressWeights()
    distress_levels: DistressLevels = DistressLevels()
    distress_map: tuple[tuple[Probability, Probability], ...] = ()
    max_tokens: int = Field(default=512, ge=8)
    overlap_tokens: int = Field(default=64, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _single_messages(cls, fields: Any) -> Any:
        """Read what version 0.1 wrote, but for weights that it trained to read a message in context."""
        if not isinstance(fields, dict) or CONTEXT_OF_0_1 not in fields:
            return fields
        if fields[CONTEXT_OF_0_1] != 0:
            raise ValueError(
                f"{CONTEXT_OF_0_1} is {fields[CONTEXT_OF_0_1]}: weights that expect earlier messages "
                "before a message are no longer read; train and calibrate them anew"
            )
        return {name: value for name, value in fields.items() if name != CONTEXT_OF_0_1}

    @field_validator("thresholds", "presence")
    @classmethod
    def _known_labels(cls, by_label: dict[str, Any]) -> dict[str, Any]:
        if unknown := sorted(set(by_label) - set(LABELS)):
            raise ValueError(f"unknown label {unknown[0]!r}; expected {', '.join(LABELS)}")
        return by_label

    @field_validator("distress_map")
    @classmethod
    def _monotone(cls, knots: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        if len(knots) == 1:
            raise ValueError("a map needs two knots or more, or none")
        for (x, y), (next_x, next_y) in pairwise(knots):
            if next_x <= x or next_y < y:
                raise ValueError(f"knots must ascend, ({next_x}, {next_y}) follows ({x}, {y})")
        return knots

    @model_validator(mode="after")
    def _overlap_leaves_room(self) -> Self:
        if self.overlap_tokens > self.max_tokens // 2:
            raise ValueError("overlap_tokens must be at most half of max_tokens")
        return self

    @property
    def measured_languages(self) -> tuple[str, ...]:
        """The languages that the weights were measured in; else the one they were trained for; none where
        nobody said.
        """
        if self.languages:
            return tuple(self.languages)
        return (self.language,) if "language" in self.model_fields_set else ()

    def reads(self, language: str) -> bool:
        """Whether the weights were measured in ``language``, of whatever region, or nobody said in which."""
        known = {tag.partition("-")[0] for tag in self.measured_languages}
        return not known or language.partition("-")[0] in known

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The calibration in ``folder``, or the defaults where there is no such file.

        Raises ``CalibrationError``, which names the file and the first field that is wrong.
        """
        file = folder / FILE_NAME
        try:
            return cls.model_validate_json(file.read_bytes())
        except FileNotFoundError as error:
            if file.is_symlink():
                raise CalibrationError(
                    file,
                    "file",
                    "is a link that leads to no file: copy the files behind links too",
                ) from error
            return cls()
        except OSError as error:
            raise CalibrationError(file, "file", f"cannot be read ({error.strerror})") from error
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, first["loc"])) or "file"
            raise CalibrationError(file, field, first["msg"]) from error

    def save(self, folder: Path) -> Path:
        """Write ``calibration.json`` into ``folder`` and return its path."""
        file = folder / FILE_NAME
        file.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
        return file
