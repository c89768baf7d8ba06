"""What is cut from texts before the model reads them, and what that costs.

    python -m benchmarks.text FILE_OR_FOLDER...       JSON lines and CSV with a column text

Prints each text of which more than links was cut, so that a person can see whether it was the author's.
"""

import csv
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from stream.text import text_to_read, tidied
from stream.text.links import without_links

SHOWN_CHARACTERS = 100


def files_of(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.suffix in (".jsonl", ".csv"))
        else:
            yield path


def texts_of(file: Path) -> Iterator[str]:
    with file.open(encoding="utf-8", errors="replace", newline="") as lines:
        rows = map(json.loads, lines) if file.suffix == ".jsonl" else csv.DictReader(lines)
        for row in rows:
            if isinstance(row, dict) and isinstance(row.get("text"), str) and row["text"].strip():
                yield row["text"]


def main() -> None:
    texts = [text for file in files_of([Path(name) for name in sys.argv[1:]]) for text in texts_of(file)]
    started = time.perf_counter()
    read = [text_to_read(text, "new") for text in texts]
    seconds = time.perf_counter() - started
    cut = 0
    for text, new in zip(texts, read, strict=True):
        whole = text_to_read(text, "all")
        if new not in (whole, tidied(without_links(whole))):
            cut += 1
            print(f"{whole[-SHOWN_CHARACTERS:]!r} -> {new[-SHOWN_CHARACTERS:]!r}")
    print(f"{len(texts)} texts, {cut} cut; {seconds / max(1, len(texts)) * 1e6:.1f} µs a text")


if __name__ == "__main__":
    main()
