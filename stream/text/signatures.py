"""Signatures: formulas of goodbye, names, and what programs add at the end of a message. Pure.

A signature is cut only at the end and only where it is short. "With love" in a sentence, thanks that are
meant, and sentences below a signature ("PS: …") are the author's and stay.
"""

import re
from typing import Final

from stream.text.vocabulary import (
    CONTACTS,
    DEVICES,
    EXCUSES,
    FORMULAS,
    FROM_MY,
    OF_DEVICES,
    PARTICLES,
    SENT_FROM,
    SENT_LAST,
    THANKS,
)

_FORMULA: Final = rf"(?:{FORMULAS})"
_FORMULA_LINE: Final = re.compile(rf"(?:{_FORMULA}[,.!]?|(?:{THANKS}),)", re.IGNORECASE)
"""Thanks may be meant, so they are a formula only on a line of their own above a name."""
_SMALL: Final = "".join(chr(code) for code in range(0x2000) if chr(code).islower())
_NAME: Final = rf"[^\W\d_{_SMALL}][\w.'’-]{{0,30}}"
_NAMES: Final = rf"{_NAME}(?: (?:(?:{PARTICLES}) )?{_NAME}){{0,3}}(?: ?[x♥❤\ufe0f]{{1,3}})?[.!]?"
_NAME_LINE: Final = re.compile(_NAMES)
_FORMULA_AND_NAME: Final = re.compile(rf"(?i:{_FORMULA})(?:, ?|! | ){_NAMES}")
_AFTER_SENTENCE: Final = re.compile(rf"(?<=[.!?…]) (?i:{_FORMULA}), ?{_NAMES}$")
_DATA: Final = re.compile(
    rf"[\d!-/:-@\[-`{{-~–—]+|\S*(?:@\w|://|www\.|\.(?:com|org|net|de|fr|es|co)\b)\S*|(?:{CONTACTS}|[a-z])\.?|\S+:",
    re.IGNORECASE,
)
"""A number, an address, or a word that says which of them follows."""
_MAY_BE_SMALL: Final = re.compile(rf"(?:{PARTICLES})|\w{{1,4}}\.")
_PARTS: Final = re.compile(r"[|•·,]")
_TITLE_WORDS: Final = 6
_LONGEST_CONTACT_LINE: Final = 100
_MOST_CONTACT_LINES: Final = 6
_POSTSCRIPT: Final = re.compile(r"p\. ?s\b|ps\b", re.IGNORECASE)

_DELIMITER: Final = "--"
"""RFC 3676, section 4.3; its space is lost to whoever trims lines."""
_MOST_DELIMITED_LINES: Final = 10
_MOST_DELIMITED_CHARACTERS: Final = 600

_DEVICE: Final = rf"(?i:{DEVICES})[\w'’-]*(?: (?:[A-Z\d(][\w.+()-]*|(?i:{OF_DEVICES}))){{0,4}}"
"""A device with its model or its program. Other words make it a sentence: "Sent from my phone, no answer"."""
_SENT: Final = (
    rf"(?i:{SENT_FROM}) ?{_DEVICE}[.!]?(?i:[,;]? ?[–-]? ?(?:please |pls )?(?:{EXCUSES})\b.{{0,60}})?"
    rf"|(?i:(?:{FROM_MY}) ?)?{_DEVICE} ?(?i:{SENT_LAST})[.!]?"
)
_FROM_DEVICE: Final = re.compile(_SENT)
_DEVICE_AFTER_SENTENCE: Final = re.compile(rf"[.!?…。] ?(?=\w)(?:{_SENT})$")
_LONGEST_DEVICE: Final = 160


def without_signature(text: str) -> str:
    """The text without what stands for its author's name at the end. Lines must be trimmed."""
    if "\n" not in text:
        return _AFTER_SENTENCE.sub("", without_device(text))
    lines = text.split("\n")
    while lines and _FROM_DEVICE.fullmatch(lines[-1]):
        lines.pop()
    lines = _without_delimited(lines)
    lines = _without_formula(lines)
    return _AFTER_SENTENCE.sub("", "\n".join(lines))


def without_device(text: str) -> str:
    """A single line without what a phone adds behind the last sentence."""
    found = _DEVICE_AFTER_SENTENCE.search(text, max(0, len(text) - _LONGEST_DEVICE))
    return text[: found.start() + 1] if found else text


def _without_delimited(lines: list[str]) -> list[str]:
    """Without what follows the line ``-- ``, where that begins as signatures do and is as short.

    People draw such a line between their own sentences, too; a motto is one that stands below a name.
    """
    last = lines[-_MOST_DELIMITED_LINES - 1 :]
    if _DELIMITER not in last:
        return lines
    below = last[last.index(_DELIMITER) + 1 :]
    if below and not (_is_contact(below[0]) or _signature_length(below, 0)):
        return lines
    if sum(map(len, below)) > _MOST_DELIMITED_CHARACTERS or any(map(_POSTSCRIPT.match, below)):
        return lines
    return lines[: -len(below) - 1]


def _without_formula(lines: list[str]) -> list[str]:
    """Without a formula and name, and the lines of contact below them; a postscript stays."""
    for start in range(len(lines) - 1, max(0, len(lines) - _MOST_CONTACT_LINES - 2), -1):
        length = _signature_length(lines, start)
        if not length:
            continue
        below = lines[start + length :]
        if all(map(_is_contact, below)):
            return lines[:start]
        if _POSTSCRIPT.match(below[0]):
            return lines[:start] + below
    return lines


def _signature_length(lines: list[str], start: int) -> int:
    """Lines of the formula and the name that begin here: 2, 1 where both are in one, or 0."""
    line = lines[start]
    if _FORMULA_AND_NAME.fullmatch(line):
        return 1
    if not _FORMULA_LINE.fullmatch(line):
        return 0
    if start + 1 < len(lines) and _NAME_LINE.fullmatch(lines[start + 1]):
        return 2
    return 1 if line.endswith(",") and start + 1 == len(lines) else 0


def _is_contact(line: str) -> bool:
    """Titles, firms, numbers and addresses: short, and no sentence."""
    return (
        len(line) <= _LONGEST_CONTACT_LINE
        and line[-1:] not in ".!?…"
        and all(map(_is_title, _PARTS.split(line)))
    )


def _is_title(part: str) -> bool:
    words = [word for word in part.split() if not _DATA.fullmatch(word)]
    return len(words) <= _TITLE_WORDS and all(map(_begins_as_title, words))


def _begins_as_title(word: str) -> bool:
    first = word.lstrip("(\"'")[:1]
    return first.isupper() or first.isdigit() or _MAY_BE_SMALL.fullmatch(word) is not None
