"""XED: lines of film subtitles with Plutchik's eight emotions, or neutral.

Öhman et al., "XED: A Multilingual Dataset for Sentiment Analysis and Emotion Detection" (COLING 2020).
CC BY 4.0. English is labelled by people; other languages got the labels of the lines that they stand
beside, so they are noisier. Read from a folder:

    xed/en-annotated.tsv, xed/neu_en.txt             text TAB numbers; 9 TAB text
    xed/projections/LANG-projections.tsv             text TAB numbers

Disgust is read as in BRIGHTER (``training.data.brighter``). Anticipation and trust are no emotions of this
project's, and whether such a line is joyful or neutral besides is not known: with nothing else it is left
out. So are the lines of the projections that a torn quotation left without numbers.
A tenth of each language is validation and a tenth test, by the hash of the text. The projections translate
the English lines, with the same numbers, but nothing says which line is whose: translations of held-out
lines are trained on. So what was trained on projections is not judged by XED.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from model.labels import NEUTRAL
from training.data.rows import Row, Splits, lines_of
from training.errors import DataError

NUMBERS: Final = {1: "anger", 4: "fear", 5: "joy", 6: "sadness", 7: "surprise"}
"""XED's numbers of the emotions that are this project's too; 2 is anticipation, 3 disgust, 8 trust."""
_DISGUST: Final = 3


def load_xed(folder: Path | None, languages: Iterable[str] = ()) -> Splits:
    """English, and the projections into ``languages`` (XED's names).

    Raises:
        DataError: no folder, a file that is missing, or a line that is no row.
    """
    if folder is None:
        raise DataError("XED is read from a folder: name one that holds xed/ with --data")
    root = folder / "xed"
    rows = [*_labelled(root / "en-annotated.tsv", "en"), *_neutral(root / "neu_en.txt", "en")]
    for language in languages:
        rows += _labelled(root / "projections" / f"{language}-projections.tsv", language, torn_lines=True)
    parts: tuple[list[Row], list[Row], list[Row]] = ([], [], [])
    for row in rows:
        parts[_part(row.text)].append(row)
    return Splits(*(tuple(part) for part in parts))


def _part(text: str) -> int:
    """0 for training, 1 for validation, 2 for test."""
    place = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % 10
    return max(0, place - 7)


def _labelled(file: Path, language: str, *, torn_lines: bool = False) -> Iterator[Row]:
    for number, line in enumerate(_lines(file), start=1):
        text, _, numbers = line.rpartition("\t")
        try:
            marks = {int(mark) for mark in numbers.split(",")}
        except ValueError:
            if torn_lines:
                continue
            raise DataError(
                f"{file}:{number}: expected a text, a tab, and numbers of emotions by commas"
            ) from None
        labels = [label for mark, label in NUMBERS.items() if mark in marks]
        unknown = ["love"]
        if _DISGUST in marks and "anger" not in labels:
            unknown.append("anger")
            labels = labels or ["anger"]
        if labels and text.strip():
            yield Row(
                text, labels[0], "xed", also=tuple(labels[1:]), unknown=tuple(unknown), language=language
            )


def _neutral(file: Path, language: str) -> Iterator[Row]:
    for line in _lines(file):
        text = line.partition("\t")[2]
        if text.strip():
            yield Row(text, NEUTRAL, "xed", language=language)


def _lines(file: Path) -> list[str]:
    return [line for line in lines_of(file, "name a folder that holds xed/ with --data") if line]
