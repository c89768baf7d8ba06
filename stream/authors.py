"""When two spellings name the same author: hashed and compared is the canonical one. Pure."""

import re
import unicodedata
from typing import Final, Literal

AuthorCase = Literal["kept", "folded"]

_AROUND: Final = re.compile(r"^[\s\u200b\u2060\ufeff]+|[\s\u200b\u2060\ufeff]+$")


def canonical_author(author: str, case: AuthorCase = "kept") -> str:
    """The author in Unicode's NFC form, trimmed; with ``case`` "folded" also without regard to case.

    A keyboard that writes "ü" as two characters writes the same author. Case is folded as for canonical
    caseless matching (Unicode 3.13, D145), where systems differ in how they spell a login.
    """
    if case == "folded":
        author = unicodedata.normalize("NFD", unicodedata.normalize("NFD", author).casefold())
    return _AROUND.sub("", unicodedata.normalize("NFC", author))
