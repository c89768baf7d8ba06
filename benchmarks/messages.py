"""Messages of real lengths to measure with."""

import csv
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

SHIPPED: Final = Path(__file__).parent.parent / "training" / "messages" / "test.jsonl"


def json_lines(file: Path) -> Iterator[str]:
    with file.open(encoding="utf-8") as lines:
        yield from (json.loads(line)["text"] for line in lines)


def tab_separated(file: Path) -> Iterator[str]:
    with file.open(encoding="utf-8", newline="") as lines:
        yield from (row[0] for row in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


SOURCES: Final[dict[str, Callable[[Path], Iterator[str]]]] = {
    "emotion/validation.jsonl": json_lines,
    "goemotions/dev.tsv": tab_separated,
    "support/airline_tweets.jsonl": json_lines,
    "support/twcs_sample.jsonl": json_lines,
}
"""Of ``EMOTION_DATA``: blog posts, comments, tweets to airlines, support tweets."""


def messages(count: int) -> tuple[list[str], str]:
    """``count`` different messages at most, always the same, and where they are from.

    The same number of each of ``SOURCES`` where ``EMOTION_DATA`` names a folder that has them, else messages
    that ship with the project.
    """
    folder = Path(os.environ.get("EMOTION_DATA", "nowhere"))
    found = {name: read for name, read in SOURCES.items() if (folder / name).is_file()}
    choose = random.Random(0)
    if not found:
        return _some(json_lines(SHIPPED), count, choose), "messages that ship with the project"
    share = -(-count // len(found))
    texts = [text for name, read in found.items() for text in _some(read(folder / name), share, choose)]
    choose.shuffle(texts)
    return texts[:count], f"{', '.join(found)} in equal parts"


def _some(texts: Iterator[str], count: int, choose: random.Random) -> list[str]:
    different = list(dict.fromkeys(text.strip() for text in texts if text.strip()))
    return choose.sample(different, min(count, len(different)))
