"""Messages written one by one for this project: what people write to companies, in public, to each other, and
for help.

``training/messages/`` holds them as JSON Lines, a file a kind. About a tenth of each file is held out for
validation, chosen by the texts' hashes: a message stays on its side when others come or go. What a test file
holds is never trained on. The last messages of ``conversations_test`` are labelled in the light of the ones
before.

    KIND.jsonl, test.jsonl                           {"text": ..., "label": "joy"}, of some kinds with
                                                     "labels", every feeling, and "distress"
    languages/LANG.jsonl, languages/LANG_test.jsonl  the same, all with "labels" and "distress"
    distress.jsonl, distress_test.jsonl              {"text": ..., "lang": "en", "distress": 0 to 3}, of
                                                     those in English most with "label" and "labels" too
    conversations_test.jsonl                         {"context": [..., newest], "text": ..., "label": ...}
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from model.labels import LABELS, NEUTRAL
from training.data.rows import Row, Splits, lines_of
from training.errors import DataError

FOLDER: Final = Path(__file__).parent.parent / "messages"
KINDS: Final = (
    "support", "complaints", "mentions", "reviews", "community", "posts", "comments", "debate", "young",
    "everyday", "dialogue", "family", "short", "learners", "situations", "contrasts", "wellbeing", "work",
    "bulletins", "irony", "idioms", "time", "narratives",
)  # fmt: skip
GRADES: Final = (None, 0, 1, 2, 3)
"""None; an ordinary message; a hard time; suffering to look at today; despair or danger.

Despair is death wanted, decided, prepared or tried; danger is to life or limb, the writer's or another's, and
now: violence, captivity, a threat to kill, an injury that needs help, a farewell followed by silence. Harm to
oneself, abuse or a wish not to wake that goes on without such danger is suffering to look at today; grief and
worry are a hard time until somebody can no longer eat, sleep, work or be with others.
"""
HELD_OUT: Final = 10
"""About one message in so many is held out."""


def load_messages(folder: Path = FOLDER) -> Splits:
    """The messages of all kinds, for training, validation and test. Raises ``DataError``."""
    rows = [row for kind in KINDS for row in _read(folder / f"{kind}.jsonl", "messages")]
    return _split(rows, test=_read(folder / "test.jsonl", "messages"))


def load_replies(folder: Path = FOLDER) -> tuple[Row, ...]:
    """Last messages of conversations, alone, to test with: what they mean hangs on messages that a model does
    not see. Raises ``DataError``.
    """
    return tuple(_read(folder / "conversations_test.jsonl", "replies"))


def load_languages(folder: Path = FOLDER) -> Splits:
    """The messages in other languages than English. Raises ``DataError``."""
    parts: dict[bool, list[Row]] = {False: [], True: []}
    for file in sorted((folder / "languages").glob("*.jsonl")):
        language, _, test = file.stem.partition("_")
        parts[bool(test)] += _read(file, "languages", language)
    return _split(parts[False], test=parts[True])


def load_distress(folder: Path = FOLDER) -> Splits:
    """The messages written to be graded by distress. Raises ``DataError``."""
    files = ("distress.jsonl", "distress_test.jsonl")
    train, test = (_read(folder / name, "distress") for name in files)
    return _split(train, test=test)


def _split(rows: Sequence[Row], test: Sequence[Row]) -> Splits:
    held_out = [_is_held_out(row) for row in rows]
    return Splits(
        tuple(row for row, held in zip(rows, held_out, strict=True) if not held),
        tuple(row for row, held in zip(rows, held_out, strict=True) if held),
        tuple(test),
    )


def _is_held_out(row: Row) -> bool:
    digest = hashlib.sha256(row.text.encode()).digest()
    return int.from_bytes(digest[:8], "big") % HELD_OUT == 0


def _read(file: Path, source: str, language: str = "en") -> list[Row]:
    rows = []
    for number, line in enumerate(lines_of(file, "reinstall the package"), start=1):
        try:
            rows.append(_row(json.loads(line), source, language))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f'{file}:{number}: expected {{"text": ..., "label": one of {", ".join(LABELS)}}}'
            ) from error
    return rows


def _row(record: dict[str, Any], source: str, language: str) -> Row:
    text, grade, language = record["text"], record.get("distress"), record.get("lang", language)
    if not text.strip() or grade not in GRADES:
        raise ValueError(record)
    if "label" not in record:  # graded alone: nobody said what it feels
        if grade is None:
            raise ValueError(record)
        return Row(text, NEUTRAL, source, unknown=LABELS, language=language, distress=grade)
    label, labels = record["label"], record.get("labels", [])
    if not {label, *labels} <= set(LABELS):
        raise ValueError(label)
    also = tuple(other for other in labels if other not in (label, NEUTRAL))
    return Row(text, label, source, also, language=language, distress=grade)
