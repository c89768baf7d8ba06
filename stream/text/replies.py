"""Quoted mail in a reply: what others wrote before. Pure.

Three marks are known, in the languages of the common clients: lines that begin with ``>``, the line that says
who wrote ("On 3 Nov 2025 at 10:12, Ana wrote:"), and the header block of Outlook and of forwarded mail. What
is written between or below quoted lines is the author's and stays.
"""

import re
from typing import Final

from stream.text.vocabulary import FORWARDS, FROM, OPENINGS, SENT, SEPARATORS, SUBJECT, WROTE

_QUOTED: Final = re.compile(r">(?=[\s>\w\"'(\[*@#&<-]|$)(?![:;=._oO^-]{1,2}[()\[\]{}DPpcC<>/|_.](?:\s|$))")
"""A quoted line, but not a face: ``>:(``, ``>.<``, ``>_<``."""

_DATE: Final = re.compile(r"(?<!\d)(?:19|20)\d{2}(?!\d)|(?<!\d)\d{1,2}([./-])\d{1,2}\1\d{2}(?!\d)")
_TIME: Final = re.compile(r"(?<!\d)\d{1,2}[:.h]\d{2}(?!\d)")
_ADDRESS: Final = re.compile(r"[<(] ?[^<>()@\s]+@ ?[^<>()@\s]+[>)]")
"""A line may have been broken within it; joined lines have a space there."""
_OPENING: Final = re.compile(rf"(?:{OPENINGS})\b", re.IGNORECASE)
_WROTE: Final = re.compile(WROTE, re.IGNORECASE)
_LONGEST_ATTRIBUTION: Final = 300
_ATTRIBUTION_LINES: Final = 3

_SEPARATOR: Final = re.compile(
    rf"-{{2,}} ?(?:{SEPARATORS}) ?-{{2,}}|(?:{FORWARDS}) ?:?|##- ?.{{5,100}} ?-##", re.IGNORECASE
)
"""The last is a help desk's, in any language: "##- Please type your reply above this line -##"."""
_FROM: Final = re.compile(rf"\*?(?:{FROM}) ?:\*? ?\S", re.IGNORECASE)
_SENT: Final = re.compile(rf"\*?(?:{SENT}) ?:\*? ?\S", re.IGNORECASE)
_SUBJECT: Final = re.compile(rf"\*?(?:{SUBJECT}) ?:", re.IGNORECASE)
_HEADERS: Final = 5
_RULE: Final = re.compile(r"[_-]{5,}")


def without_quoted_replies(text: str) -> str:
    """The text without quoted lines, and without quoted mail below it. Lines must be trimmed."""
    if "\n" not in text:  # a single line has nothing above or below it
        return text
    lines = text.split("\n")
    kept: list[str] = []
    number = 0
    while number < len(lines):
        line = lines[number]
        if _QUOTED.match(line):
            number += 1
        elif _begins_quoted_mail(lines, number):
            return _joined(kept)
        elif taken := _attribution(lines, number):
            number += taken
            if not _quotes_follow(lines, number):
                return _joined(kept)
        else:
            kept.append(line)
            number += 1
    return _joined(kept)


def _joined(kept: list[str]) -> str:
    while kept and _RULE.fullmatch(kept[-1]):  # Outlook draws one above the mail it quotes
        kept.pop()
    return "\n".join(kept)


def _begins_quoted_mail(lines: list[str], number: int) -> bool:
    """A separator such as "-----Original Message-----", or a header block: From, Sent and Subject.

    Where an address shows that it is mail, the subject may be missing; a journey has From and Date too.
    """
    line = lines[number]
    if _SEPARATOR.fullmatch(line):
        return True
    if not _FROM.match(line):
        return False
    following = lines[number + 1 : number + _HEADERS]
    is_mail = _ADDRESS.search(line) or any(map(_SUBJECT.match, following))
    return bool(is_mail) and any(map(_SENT.match, following))


def _attribution(lines: list[str], number: int) -> int:
    """Over how many lines somebody is said to have written what follows; 0 where that is not said."""
    for count, last in enumerate(lines[number : number + _ATTRIBUTION_LINES], start=1):
        if last.rstrip().endswith(":"):
            said = " ".join(lines[number : number + count])
            quotes_follow = _quotes_follow(lines, number + count)
            begun = count == 1 or _begins_broken_attribution(lines, number, quotes_follow)
            told = len(said) <= _LONGEST_ATTRIBUTION and _says_who_wrote(said, quotes_follow)
            return count if begun and told else 0
    return 0


def _begins_broken_attribution(lines: list[str], number: int, quotes_follow: bool) -> bool:
    """Whether this line is the first of several that say who wrote, and not the author's own above them.

    Date and time stand in it, and where its first word is not known, the beginning of an address as well.
    """
    line, following = lines[number], lines[number + 1]
    if not (_DATE.search(line) and _TIME.search(line)) or _attribution(lines, number + 1):
        return False
    return _OPENING.match(line) is not None or (quotes_follow and ("<" in line or following.startswith("<")))


def _says_who_wrote(line: str, quotes_follow: bool) -> bool:
    """A date, a time and an address, in any language; or a verb that says it, with a date and one of both.

    A sentence of the author's own can name a date, too: only where quoted lines follow is that enough.
    """
    timed, addressed = bool(_TIME.search(line)), bool(_ADDRESS.search(line))
    said = _WROTE.search(line) is not None
    if not _DATE.search(line):
        return said and addressed and quotes_follow
    if said and (quotes_follow or _OPENING.match(line)):
        return timed or addressed or (quotes_follow and _OPENING.match(line) is not None)
    return timed and addressed


def _quotes_follow(lines: list[str], number: int) -> bool:
    following = next((line for line in lines[number : number + 2] if line.strip()), "")
    return bool(_QUOTED.match(following))
