"""An evaluation's ``metrics.json``, as the model card reads it back.

Another version may have written it, or a hand: every score that the card gives is looked for at once.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BaseModel

from model.folder import ModelFolder
from training.errors import TrainingError
from training.runs import Score, read_facts

METRICS_FILE: Final = Path("evaluation") / "metrics.json"


Named = TypeVar("Named", bound=Mapping[str, Any])


def _with(*names: str) -> Callable[[Named], Named]:
    """A check that these names are there."""

    def check(scores: Named) -> Named:
        if missing := [name for name in names if name not in scores]:
            raise ValueError(f"no {missing[0]}")
        return scores

    return check


def _of_languages(scores: dict[str, float]) -> dict[str, float]:
    """A check that what is scored on BRIGHTER has its mean, and its calibration error in English."""
    of_brighter = any(name.startswith("brighter_") for name in scores)
    return _with("brighter_claimed_mean", "brighter_en_ece")(scores) if of_brighter else scores


class LabelScores(BaseModel):
    """Scores of one label on dair-ai/emotion's test rows."""

    label: str
    precision: float
    recall: float
    f1: float
    rows: int


class Model(BaseModel):
    """Which model was measured."""

    revision: str


class Measured(BaseModel):
    """What the card reads of it. Pairs of ``behaviour``: passed, of how many."""

    model: Model
    benchmark: Annotated[
        dict[str, Score],
        AfterValidator(
            _with(
                *("accuracy", "macro_f1", "weighted_f1", "roc_auc_weighted", "ece_before", "own_temperature"),
                *("ece_after", "ece_shipped", "consistent_rows", "consistent_accuracy"),
            )
        ),
    ]
    intervals: Annotated[dict[str, tuple[Score, Score]], AfterValidator(_with("accuracy", "macro_f1"))]
    by_label: list[LabelScores]
    goemotions: Annotated[
        dict[str, Score],
        AfterValidator(_with("rows", "macro_f1", "macro_f1_low", "macro_f1_high", "accuracy", "ece")),
    ]
    messages: Annotated[dict[str, Score], AfterValidator(_with("rows", "accuracy", "macro_f1", "ece"))]
    behaviour: dict[str, tuple[int, int]]
    languages: Annotated[dict[str, Score], AfterValidator(_of_languages)] = {}


def measured_of(run: Path) -> Measured:
    """What was measured of a run as it is now.

    Raises ``TrainingError`` where it is not evaluated, lacks a score, or was trained or calibrated since.
    """
    if not (run / METRICS_FILE).is_file():
        raise TrainingError(f"{run} is not evaluated: emotion-train evaluate {run}")
    remedy = f"evaluate it again: emotion-train evaluate {run}"
    measured = read_facts(run / METRICS_FILE, Measured, remedy)
    if measured.model.revision != ModelFolder.open(run).revision:
        raise TrainingError(f"{run} was trained or calibrated after it was evaluated: {remedy}")
    return measured
