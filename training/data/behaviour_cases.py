"""The behavioural test set: messages written to see whether a model reads what people really write.

CheckList style (Ribeiro et al., ACL 2020): each kind tests one ability, and all are of one size. Written
apart from ``training.data.written``, with other sentences and patterns; the leakage guards hold the two
apart. A label with an alternative ("sadness|fear") accepts either: the message carries both. In what is told
of others, the label is what the writer feels: nothing, where somebody only reports.
"""

from typing import Final

from training.data.behaviour_forms import FORMS
from training.data.behaviour_meanings import MEANINGS
from training.data.rows import Row

Case = tuple[str, str]
"""Accepted labels, separated by "|", and the message."""

CASES: Final[dict[str, tuple[Case, ...]]] = MEANINGS | FORMS


def behavioural_rows() -> list[Row]:
    """The set's messages, to be kept out of training; of several right labels the first."""
    return [
        Row(text, labels.split("|")[0], "behaviour") for group in CASES.values() for labels, text in group
    ]
