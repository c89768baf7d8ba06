"""When two spellings name the same author: hashed and compared is the canonical one. Pure."""

import re
import unicodedata
from typing import Final, Literal

AuthorCase = Literal["kept", "folded"]

_AROUND: Final = re.compile(r"^[\s\u200b\u2060\ufeff]+|[\s\u200b\u2060\ufeff]+$")


def canonical_author(author: str, case: AuthorCase = "kept") -> str:
    """The author in Unicode's NFC form, trimmed; with ``case`` "folded" also without regard to case.

    A keyboard that writes "ü" as two characters writes the same author.
    """
    text = caseless(author) if case == "folded" else author
    return text.strip() if text.isascii() else _AROUND.sub("", unicodedata.normalize("NFC", text))


def caseless(text: str) -> str:
    """A text in which all spellings of an author that stands in it look alike.

    Case is folded as for canonical caseless matching (Unicode 3.13, D145), since systems differ in how they
    spell a login.
    """
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())
