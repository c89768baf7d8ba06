"""Where training rows come from: dair-ai/emotion, GoEmotions and banking77, as one kind of row.

    hub or folder ──load_*──► rows ──leakage guard (training.data.leakage)──► recipe's sources ──► fit

A folder (``--data`` or ``EMOTION_DATA``) has this layout; without one, the sets come from the Hugging Face
hub.

    emotion/{train,validation,test}.jsonl          {"text": ..., "label": "joy"}
    goemotions/{train,dev,test}.tsv                text TAB comma-separated label ids TAB comment id
    goemotions/emotions.txt                        the 28 names, one a line, in the order of the ids
    support/banking77_{train,test}.jsonl           {"text": ..., "label": "card_arrival"}
"""

import hashlib
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from model.labels import EMOTIONS, LABELS, NEUTRAL
from training.errors import DataError

# dair-ai/emotion's six are the primary emotions of Parrott ("Emotions in Social Psychology", 2001), so a
# GoEmotions label goes to the branch of Parrott's tree in which its name, or the nearest name, stands:
#   love      affection and longing: love, caring, desire
#   joy       cheerfulness, zest, contentment, pride, optimism, relief: and with them the two GoEmotions
# labels
#             for pleasure in another person's deed, admiration and gratitude, as in the set's own Ekman
# mapping
#   anger     irritation, rage, and disgust, which is a branch of anger there
#   sadness   suffering, disappointment, shame (remorse), neglect (embarrassment)
#   fear      horror and nervousness
GOEMOTIONS_TO_LABEL: Final = {
    "sadness": "sadness",
    "grief": "sadness",
    "disappointment": "sadness",
    "remorse": "sadness",
    "embarrassment": "sadness",
    "joy": "joy",
    "amusement": "joy",
    "excitement": "joy",
    "optimism": "joy",
    "pride": "joy",
    "relief": "joy",
    "admiration": "joy",
    "gratitude": "joy",
    "love": "love",
    "caring": "love",
    "desire": "love",
    "anger": "anger",
    "annoyance": "anger",
    "disgust": "anger",
    "fear": "fear",
    "nervousness": "fear",
    "surprise": "surprise",
    "neutral": NEUTRAL,
}
# Stances and states of knowledge, which are no emotions in Parrott's tree. To call every question a
# surprise or every "I agree" a joy would make a stream of ordinary messages look excited. Rows that carry
# one are neither trained on nor scored, except by the mapping below.
GOEMOTIONS_LEFT_OUT: Final = frozenset({"approval", "disapproval", "confusion", "curiosity", "realization"})
# The set's own Ekman mapping for the five; a second score is published with it, over every single-label
# row.
GOEMOTIONS_TO_LABEL_EKMAN: Final = {
    **GOEMOTIONS_TO_LABEL,
    "approval": "joy",
    "disapproval": "anger",
    "confusion": "surprise",
    "curiosity": "surprise",
    "realization": "surprise",
}

# Half a surrogate pair, which JSON can carry, is no Unicode text: neither encoded nor embedded.
_HALF_PAIR: Final = re.compile("[\ud800-\udfff]")

EMOTION_HUB: Final = "dair-ai/emotion"
GOEMOTIONS_HUB: Final = "google-research-datasets/go_emotions"
BANKING77_HUB: Final = "PolyAI/banking77"


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled text and the data set it comes from.

    - ``label``: the feeling that stands first; ``also``: the others that the text carries.
    - ``unknown``: labels of which nobody said whether the text carries them.
    - ``language``: BCP 47.
    - ``distress``: 0 (none) to 3 (high), where somebody graded it.
    """

    text: str
    label: str
    source: str
    also: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    language: str = "en"
    distress: int | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """Every feeling of the text, ``neutral`` where there is none."""
        return (self.label, *self.also)


@dataclass(frozen=True, slots=True)
class Splits:
    """One data set's rows for training, for every choice, and for the published score."""

    train: tuple[Row, ...]
    validation: tuple[Row, ...]
    test: tuple[Row, ...]

    @property
    def held_out(self) -> tuple[Row, ...]:
        """What nothing is trained on."""
        return (*self.validation, *self.test)


@dataclass(frozen=True, slots=True)
class Resplit:
    """Another split of dair-ai/emotion than its own: percentages, and the seed that drew it."""

    percent: tuple[int, int, int]
    seed: int


def load_emotion(folder: Path | None, resplit: Resplit | None = None) -> Splits:
    """dair-ai/emotion in its own split or another, from ``folder`` or from the hub. Raises ``DataError``."""
    parts = {}
    for split in ("train", "validation", "test"):
        if folder is None:
            pairs = [(row["text"], EMOTIONS[row["label"]]) for row in _from_hub(EMOTION_HUB, "split", split)]
        else:
            pairs = read_labelled(folder / "emotion" / f"{split}.jsonl")
        for number, (_, label) in enumerate(pairs, start=1):
            if label not in EMOTIONS:
                raise DataError(
                    f"emotion/{split}, row {number}: unknown label {label!r}; expected {', '.join(EMOTIONS)}"
                )
        parts[split] = tuple(Row(text, label, "emotion") for text, label in pairs)
    if resplit is not None:
        every = [row for part in parts.values() for row in part]
        return _with_rows("emotion, split anew", stratified_split(every, resplit.percent, resplit.seed))
    return _with_rows("emotion", Splits(parts["train"], parts["validation"], parts["test"]))


def load_goemotions(folder: Path | None, *, ekman: bool = False) -> Splits:
    """GoEmotions rows that carry a single label, mapped to the seven labels. Raises ``DataError``.

    ``ekman`` maps the five stance labels too, as the set's own Ekman grouping does; otherwise rows with one
    of them are left out.
    """
    mapping = GOEMOTIONS_TO_LABEL_EKMAN if ekman else GOEMOTIONS_TO_LABEL
    parts = {}
    for split in ("train", "validation", "test"):
        pairs = _goemotions_from_hub(split) if folder is None else _read_goemotions(folder, split)
        parts[split] = tuple(
            Row(text, mapping[name], "goemotions") for text, name in pairs if name in mapping
        )
    return _with_rows("goemotions", Splits(parts["train"], parts["validation"], parts["test"]))


def load_banking77(folder: Path | None) -> Splits:
    """banking77's questions, all labelled neutral; its last 1,000 training rows serve as validation.

    The questions are about intents, not feelings; a few are impatient, and label smoothing has to bear
    them.
    """
    if folder is None:
        pairs = {
            split: [(row["text"], "") for row in _from_hub(BANKING77_HUB, None, split)]
            for split in ("train", "test")
        }
    else:
        pairs = {
            split: read_labelled(folder / "support" / f"banking77_{split}.jsonl")
            for split in ("train", "test")
        }
    train, test = (
        [Row(text, NEUTRAL, "banking77") for text, _ in pairs[split]] for split in ("train", "test")
    )
    random.Random(0).shuffle(train)  # the file is sorted by intent
    held_out = min(1000, len(train) // 10)
    return _with_rows("banking77", Splits(tuple(train[held_out:]), tuple(train[:held_out]), tuple(test)))


def _with_rows(name: str, splits: Splits) -> Splits:
    """The splits, of which each must have rows: a file that came out empty trains or measures nothing."""
    for split in fields(splits):
        if not getattr(splits, split.name):
            raise DataError(f"{name}: no row for {split.name} that has one label of ours; look at its file")
    return splits


def stratified_split(rows: Sequence[Row], percent: tuple[int, int, int], seed: int) -> Splits:
    """All rows split anew, each label in the same proportions; the same seed gives the same split."""
    if sum(percent) != 100 or min(percent) <= 0:
        raise DataError(
            f"split {'/'.join(map(str, percent))}: three positive percentages that sum to 100, please"
        )
    by_label: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_label[row.label].append(row)
    parts: tuple[list[Row], list[Row], list[Row]] = ([], [], [])
    rng = random.Random(seed)
    for label in sorted(by_label):
        group = by_label[label]
        rng.shuffle(group)
        first = round(len(group) * percent[0] / 100)
        second = first + round(len(group) * percent[1] / 100)
        for part, piece in zip(parts, (group[:first], group[first:second], group[second:]), strict=True):
            part.extend(piece)
    for part in parts:
        rng.shuffle(part)
    return Splits(*(tuple(part) for part in parts))


def drop_contradictions(rows: Iterable[Row]) -> list[Row]:
    """Each text once, and none that carries two labels: such a text teaches nothing but doubt."""
    labels: dict[str, set[str]] = defaultdict(set)
    first: dict[str, Row] = {}
    for row in rows:
        labels[row.text].add(row.label)
        first.setdefault(row.text, row)
    return [row for text, row in first.items() if len(labels[text]) == 1]


def label_counts(rows: Iterable[Row]) -> dict[str, int]:
    """How many rows each label has, in the order of ``LABELS``; labels without rows are left out."""
    counts = dict.fromkeys(LABELS, 0)
    for row in rows:
        counts[row.label] += 1
    return {label: count for label, count in counts.items() if count}


def read_labelled(file: Path) -> list[tuple[str, str]]:
    """Text and label of each line of a JSON Lines file. Raises ``DataError`` with the line's number."""
    pairs = []
    for number, line in enumerate(_read_lines(file), start=1):
        try:
            row = json.loads(line)
            text, label = row["text"], row["label"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f'{file}:{number}: expected {{"text": ..., "label": ...}}') from error
        if not isinstance(text, str) or not isinstance(label, str):
            raise DataError(f"{file}:{number}: text and label must be strings")
        pairs.append((_HALF_PAIR.sub("\N{REPLACEMENT CHARACTER}", text), label))
    return pairs


def _read_goemotions(folder: Path, split: str) -> list[tuple[str, str]]:
    names = _read_lines(folder / "goemotions" / "emotions.txt")
    file = folder / "goemotions" / f"{'dev' if split == 'validation' else split}.tsv"
    pairs = []
    for number, line in enumerate(_read_lines(file), start=1):
        try:
            text, ids, _ = line.split("\t")
            labels = [names[int(label)] for label in ids.split(",")]
        except (ValueError, IndexError) as error:
            raise DataError(
                f"{file}:{number}: expected text, label ids and comment id, tab-separated"
            ) from error
        if len(labels) == 1:
            pairs.append((text, labels[0]))
    return pairs


def _read_lines(file: Path) -> list[str]:
    return lines_of(file, "name a folder with --data or EMOTION_DATA, or neither for the hub")


def text_key(text: str) -> str:
    """By what a text is known in files that hold none: 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def lines_of(file: Path, otherwise: str) -> list[str]:
    """The lines of a text file, cut at line feeds alone: a text may hold U+2028 and the like as it stands. A
    byte order mark, as editors on Windows write it, belongs to no line.

    Raises ``DataError``, which says what to do ``otherwise``.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"not UTF-8 ({error.reason})"
        raise DataError(f"{file}: {reason}; {otherwise}") from error
    return lines if lines[-1] else lines[:-1]


def _goemotions_from_hub(split: str) -> list[tuple[str, str]]:
    rows = _from_hub(GOEMOTIONS_HUB, "simplified", split)
    names = rows.features["labels"].feature.names
    return [(row["text"], names[row["labels"][0]]) for row in rows if len(row["labels"]) == 1]


def _from_hub(name: str, configuration: str | None, split: str):  # type: ignore[no-untyped-def]  # datasets has no types
    try:
        import datasets
    except ImportError as error:
        raise DataError(
            "datasets is not installed: pip install 'emotion-stream[train]', or use --data"
        ) from error
    try:
        return datasets.load_dataset(name, configuration, split=split)
    except Exception as error:  # the hub client raises its own, httpx's and OSErrors alike
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{name} cannot be had from the hub ({reason}); use --data FOLDER or EMOTION_DATA"
        ) from error
