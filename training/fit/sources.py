"""Which rows a recipe trains on and which it is judged by, with the leakage guards applied.

load ─► drop contradictions ─► drop near-duplicates of any validation or test row of the recipe's sets, of any
message held out or written to test with, and of the behavioural set ─► recipe
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from training.data.behaviour_cases import behavioural_rows
from training.data.brighter import ENGLISH, load_brighter
from training.data.languages import MULTILINGUAL, XED
from training.data.leakage import NearDuplicates
from training.data.messages import load_distress, load_languages, load_messages, load_replies
from training.data.rows import (
    Resplit,
    Row,
    Splits,
    drop_contradictions,
    load_banking77,
    load_emotion,
    load_goemotions,
)
from training.data.written import written_rows
from training.data.xed import load_xed
from training.fit.recipe import Recipe

JUDGED: Final = ("emotion", "goemotions", "messages", "brighter", "brighter_en", "languages")
"""The data sets whose validation rows a run is judged by."""
WRITTEN_ROWS: Final = 12_000
"""Written examples in all; a recipe draws its share of them anew in each epoch."""

# What comes with the package stays as it is, and is read once, however many runs follow.
_messages: Final = cache(load_messages)
_languages: Final = cache(load_languages)
_distress: Final = cache(load_distress)


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Rows to train on, and rows by data set to make every choice on."""

    train: tuple[Row, ...]
    validation: dict[str, Sequence[Row]]


def training_data(recipe: Recipe, folder: Path | None, *, resplit: Resplit | None = None) -> TrainingData:
    """Everything ``recipe`` trains on. Raises ``DataError`` where a data set is missing."""
    sets = loaded(recipe, folder, resplit)
    held_out = NearDuplicates({row.text for splits in sets.values() for row in splits.held_out})
    packaged = _packaged_held_out()
    train: list[Row] = []
    for name, limit in recipe.sources.items():
        rows = (
            written_rows(WRITTEN_ROWS, seed=0) if name == "written" else drop_contradictions(sets[name].train)
        )
        rows = [row for row in rows if row.text not in held_out and row.text not in packaged]
        if (
            recipe.distil and limit is not None
        ):  # each row costs the teachers a pass: no more than can be drawn
            rows = random.Random("pool").sample(rows, min(len(rows), limit * recipe.epochs))
        train += rows
    validation: dict[str, Sequence[Row]] = {name: sets[name].validation for name in JUDGED if name in sets}
    return TrainingData(tuple(train), validation)


def loaded(recipe: Recipe, folder: Path | None, resplit: Resplit | None = None) -> dict[str, Splits]:
    """The data sets among the recipe's sources, by name."""
    loaders: dict[str, Callable[[], Splits]] = {
        "emotion": lambda: load_emotion(folder, resplit),
        "goemotions": lambda: load_goemotions(folder),
        "banking77": lambda: load_banking77(folder),
        "messages": _messages,
        "brighter": lambda: load_brighter(folder, (name for name in MULTILINGUAL if name != ENGLISH)),
        "brighter_en": lambda: load_brighter(folder, (ENGLISH,), "brighter_en"),
        "languages": _languages,
        "distress": _distress,
        "xed": lambda: load_xed(folder, XED),
    }
    sets = {name: load() for name, load in loaders.items() if name in recipe.sources}
    return {name: _in_languages(splits, recipe.languages) for name, splits in sets.items()}


@cache
def _packaged_held_out() -> NearDuplicates:
    """What comes with the package to be scored with, whatever was trained on."""
    splits = (_messages(), _languages(), _distress())
    rows = [row for one in splits for row in one.held_out]
    return NearDuplicates({row.text for row in (*rows, *load_replies(), *behavioural_rows())})


def _in_languages(splits: Splits, languages: Sequence[str]) -> Splits:
    """The rows in these languages; all where none is named."""
    if not languages:
        return splits
    parts = (splits.train, splits.validation, splits.test)
    return Splits(*(tuple(row for row in part if row.language in languages) for part in parts))
