"""The guard between training rows and the rows a score is computed on, and the audit of a data set.

Two texts are near-duplicates when the Jaccard similarity of their word-3-gram sets is at least 0.8 (a text
of one or two words is a single gram). Nothing that equals, or nearly equals, a protected text is trained
on.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from training.data.rows import Row, Splits

JACCARD: Final = 0.8
# A word is a run of letters and digits; in writing without spaces, each character.
_WORD: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")
_APOSTROPHE: Final = re.compile(r"['’]")
_HTML: Final = re.compile(r"\b(?:https?|href|www|img|src)\b")

Gram = tuple[str, ...]


def word_grams(text: str) -> frozenset[Gram]:
    """The set of word-3-grams of a text, lower case, without punctuation; shorter texts are one gram."""
    words = _WORD.findall(_APOSTROPHE.sub("", text.lower()))
    if len(words) < 3:
        return frozenset([tuple(words)])
    return frozenset(zip(words, words[1:], words[2:], strict=False))


class NearDuplicates:
    """An index of protected texts that answers whether another text nearly equals one of them.

    Exact, by the prefix filter (Bayardo et al., WWW 2007): if J(a, b) >= t then a shares at least t·|a|
    grams with b, so one of any |a| - ceil(t·|a|) + 1 grams of a is in b. Looking up the rarest of them
    keeps the candidates few.
    """

    def __init__(self, texts: Iterable[str], threshold: float = JACCARD) -> None:
        self._threshold = threshold
        self._protected = [word_grams(text) for text in texts]
        self._index: dict[Gram, list[int]] = defaultdict(list)
        for number, grams in enumerate(self._protected):
            for gram in grams:
                self._index[gram].append(number)

    def __contains__(self, text: str) -> bool:
        grams = word_grams(text)
        needed = math.ceil(self._threshold * len(grams))
        rarest = sorted(grams, key=lambda gram: len(self._index.get(gram, ())))[: len(grams) - needed + 1]
        candidates = {number for gram in rarest for number in self._index.get(gram, ())}
        return any(self._similar(grams, self._protected[number]) for number in candidates)

    def _similar(self, a: frozenset[Gram], b: frozenset[Gram]) -> bool:
        shared = len(a & b)
        return shared >= self._threshold * (len(a) + len(b) - shared)


def without_leaks(rows: Sequence[Row], protected: Iterable[Row]) -> list[Row]:
    """``rows`` less those whose text nearly equals a text in ``protected``."""
    near = NearDuplicates({row.text for row in protected})
    return [row for row in rows if row.text not in near]


@dataclass(frozen=True, slots=True)
class Audit:
    """What is wrong with a data set, in numbers of rows unless said otherwise."""

    rows: dict[str, int]
    labels: dict[str, int]
    duplicate_texts_in_train: int
    conflicting_texts_in_train: int
    texts_with_several_labels: int
    shared_with_test: dict[str, int]
    shared_train_validation: int
    near_duplicates_of_held_out_in_train: int
    html_debris: int
    words_median: int
    words_most: int

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def audit(splits: Splits) -> Audit:
    """Count duplicates, contradictions, overlap between splits and HTML debris."""
    everything = [*splits.train, *splits.validation, *splits.test]
    train_texts = Counter(row.text for row in splits.train)
    validation_texts = {row.text for row in splits.validation}
    test_texts = {row.text for row in splits.test}
    lengths = sorted(len(row.text.split()) for row in everything)
    kept = without_leaks(splits.train, splits.held_out)
    return Audit(
        rows={"train": len(splits.train), "validation": len(splits.validation), "test": len(splits.test)},
        labels=dict(Counter(row.label for row in splits.train)),
        duplicate_texts_in_train=sum(count > 1 for count in train_texts.values()),
        conflicting_texts_in_train=len(_conflicting(splits.train)),
        texts_with_several_labels=len(_conflicting(everything)),
        shared_with_test={
            "train": len(set(train_texts) & test_texts),
            "validation": len(validation_texts & test_texts),
        },
        shared_train_validation=len(set(train_texts) & validation_texts),
        near_duplicates_of_held_out_in_train=len(splits.train) - len(kept),
        html_debris=sum(bool(_HTML.search(row.text)) for row in everything),
        words_median=lengths[len(lengths) // 2] if lengths else 0,
        words_most=lengths[-1] if lengths else 0,
    )


def contradicted(test: Sequence[Row], train: Iterable[Row]) -> list[bool]:
    """For each test row, whether the same text stands in the training split under another label."""
    labels: dict[str, set[str]] = defaultdict(set)
    for row in train:
        labels[row.text].add(row.label)
    return [bool(labels.get(row.text, {row.label}) - {row.label}) for row in test]


def _conflicting(rows: Iterable[Row]) -> set[str]:
    labels: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        labels[row.text].add(row.label)
    return {text for text, given in labels.items() if len(given) > 1}
