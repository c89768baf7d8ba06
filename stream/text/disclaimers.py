"""Notices of confidentiality that a firm's mail server adds below a message. Pure.

They are longer than most messages, and calm: read with it, they decide. One is known by how it begins and by
its words for "confidential" and "intended for"; it neither exclaims nor says "I", and what does is the
author's.
"""

import re
from typing import Final

from stream.text.vocabulary import CONFIDENTIAL, FIRST_PERSON, INTENDED_FOR, NOTICES

_BEGINNING: Final = re.compile(rf"[*_ -]*(?:{NOTICES})", re.IGNORECASE)
_CONFIDENTIAL: Final = re.compile(CONFIDENTIAL, re.IGNORECASE)
_INTENDED_FOR: Final = re.compile(INTENDED_FOR, re.IGNORECASE)
_OF_AUTHOR: Final = re.compile(rf"[!?]|\bI\b|\b(?i:{FIRST_PERSON})\b")
_MOST_CHARACTERS: Final = 3_000
_MOST_LINES: Final = 40


def without_disclaimer(text: str) -> str:
    """The text without a notice at its end, and with what the author wrote below one."""
    if "\n" not in text or not _CONFIDENTIAL.search(text[-_MOST_CHARACTERS:]):
        return text
    lines = text.split("\n")
    for start in range(_first(lines), len(lines)):
        if not _BEGINNING.match(lines[start]):
            continue
        end = next((at for at in range(start, len(lines)) if _OF_AUTHOR.search(lines[at])), len(lines))
        notice = " ".join(lines[start:end])
        if _CONFIDENTIAL.search(notice) and _INTENDED_FOR.search(notice):
            return "\n".join(lines[:start] + lines[end:])
    return text


def _first(lines: list[str]) -> int:
    """Where the last lines begin that are no longer, together, than a notice is."""
    left = _MOST_CHARACTERS
    for number in range(len(lines) - 1, max(-1, len(lines) - _MOST_LINES - 1), -1):
        left -= len(lines[number])
        if left < 0:
            return number + 1
    return max(0, len(lines) - _MOST_LINES)
