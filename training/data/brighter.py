"""BRIGHTER: short texts in 28 languages, each labelled with any number of emotions by several people.

Muhammad et al., "BRIGHTER: BRIdging the Gap in Human-Annotated Textual Emotion Recognition Datasets for 28
Languages" (ACL 2025); SemEval-2025 task 11, track A. CC BY 4.0. Read from a folder:

    brighter/{train,dev}/LANG.csv          id, text, and one column of 0 or 1 an emotion

Its disgust is a branch of anger in the tree that this project's labels come from, but people who marked
disgust were asked for anger as well: of a text with disgust and no anger it is left open whether it is angry.
Nobody was asked for love, nor, in some languages, for surprise. A text without any mark is neutral.
"""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from model.labels import EMOTIONS, NEUTRAL
from training.data.languages import BRIGHTER
from training.data.rows import Row, Splits
from training.errors import DataError

ENGLISH: Final = "eng"
_DISGUST: Final = "disgust"


def load_brighter(folder: Path | None, languages: Iterable[str], source: str = "brighter") -> Splits:
    """The rows of some languages by BRIGHTER's names; the dev rows are validation, and nothing is test.

    Raises:
        DataError: no folder, a file that is missing, or a line that is no row.
    """
    if folder is None:
        raise DataError("BRIGHTER is read from a folder: name one that holds brighter/ with --data")
    chosen = tuple(languages)
    train, validation = (
        tuple(
            row for name in chosen for row in _read(folder / "brighter" / part / f"{name}.csv", name, source)
        )
        for part in ("train", "dev")
    )
    return Splits(train, validation, ())


def _read(file: Path, name: str, source: str) -> Iterator[Row]:
    try:
        handle = file.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise DataError(
            f"{file}: {error.strerror}; name a folder that holds brighter/ with --data"
        ) from error
    with handle:
        reader = csv.DictReader(handle)
        try:
            asked = [emotion for emotion in EMOTIONS if emotion in (reader.fieldnames or ())]
            for record in reader:
                marks = {key: int(value) for key, value in record.items() if key not in ("id", "text")}
                yield _row(record["text"], marks, asked, BRIGHTER[name], source)
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            raise DataError(
                f"{file}:{reader.line_num}: expected id, text, and 0 or 1 an emotion, in UTF-8"
            ) from error


def _row(text: str, marks: dict[str, int], asked: list[str], language: str, source: str) -> Row:
    labels = [emotion for emotion in asked if marks[emotion]]
    unknown = [emotion for emotion in EMOTIONS if emotion not in asked]
    if marks.get(_DISGUST) and "anger" not in labels:
        unknown.append("anger")
        labels = labels or ["anger"]
    first, *others = labels or [NEUTRAL]
    return Row(text, first, source, also=tuple(others), unknown=tuple(unknown), language=language)
