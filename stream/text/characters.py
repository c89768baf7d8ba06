"""Characters as people see them: Unicode NFKC (UAX #15), no references of HTML, nothing invisible. Pure."""

import html
import html.entities
import re
import unicodedata
from itertools import groupby
from typing import Final

_LINE_ENDS: Final = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f"  # controls, without tab and line feed
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e"  # soft hyphen, joiners and fillers that draw nothing
    "\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # zero width, marks of direction
    "\U000e0000-\U000e007f]"  # language tags
)
_JOINERS: Final = re.compile(
    # Persian, the scripts of India and emoji are spelt with them; between other letters they only hide words.
    "[\u200c\u200d](?![\u0590-\u1fff\u2070-\ufefe\uff00-\U000dffff\U000e0100-\U0010ffff])"
    "|(?<![\u0590-\u1fff\u2070-\ufefe\uff00-\U000dffff\U000e0100-\U0010ffff])[\u200c\u200d]"
)
_MARKS: Final = re.compile("(?:[^\\w\\s\x00-\x7f]|[\uff9e\uff9f]){31,}")
"""More signs in a row than any language puts on a letter (UAX #15, section 13); some of them are accents."""
_REFERENCE: Final = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_LONGEST_REFERENCE: Final = 33


def with_plain_characters(text: str) -> str:
    """NFKC form without character references, controls and characters that draw nothing.

    Line ends become ``\\n``. Never longer than the NFKC form of ``text``, and stable.
    """
    text = _drawn(text)
    if "&" in text and ";" in text:
        text = _drawn(_without_references(text))
    return text


def _drawn(text: str) -> str:
    if text.isascii():
        return _INVISIBLE.sub("", _LINE_ENDS.sub("\n", text))
    text = _INVISIBLE.sub("", _LINE_ENDS.sub("\n", composed(text)))
    # Once more: letters that something invisible held apart compose now.
    return composed(_JOINERS.sub("", text))


def composed(text: str) -> str:
    """NFKC. It puts accents in order one by one, so a heap of them on one letter is sorted before."""
    if unicodedata.is_normalized("NFKC", text):  # most texts are, and no heap that is out of order
        return text
    return unicodedata.normalize("NFKC", _MARKS.sub(_in_order, text))


def _in_order(marks: re.Match[str]) -> str:
    """The same marks, decomposed, those of one letter by their class."""
    characters = "".join(unicodedata.normalize("NFKD", mark) for mark in marks[0])
    heaps = groupby(characters, lambda each: unicodedata.combining(each) > 0)
    return "".join("".join(sorted(heap, key=unicodedata.combining)) for _, heap in heaps)


def _without_references(text: str) -> str:
    """References replaced from left to right, those that others make up included (``&amp;lt;``).

    Each semicolon looks back at what stands before it, so the work grows with the text alone, however
    deep somebody has nested them.
    """
    written: list[str] = []
    ahead = [(text, 0)]
    while ahead:
        part, begin = ahead.pop()
        end = part.find(";", begin) + 1
        if not end:
            written.extend(part[begin:])
            continue
        written.extend(part[begin:end])
        if end < len(part):
            ahead.append((part, end))
        tail = "".join(written[-_LONGEST_REFERENCE:])
        start = tail.rfind("&")
        if start >= 0 and (reference := _REFERENCE.fullmatch(tail, start)):
            meant = _meaning(reference[0])
            if meant != reference[0]:
                del written[-len(reference[0]) :]
                ahead.append((meant, 0))
    return "".join(written)


def _meaning(reference: str) -> str:
    """What a reference stands for; an unknown one, or one that takes less room as it is, stays."""
    if reference[1] != "#" and reference[1:] not in html.entities.html5:
        return reference
    meant = _drawn(html.unescape(reference))
    return meant if len(meant) < len(reference) else reference
