"""What the model reads of a message: characters as people see them, and only what its author wrote anew.

    written text ─► characters ─► markup ─► replies ─► disclaimers ─► signatures ─► links ─► text to read
                    └────── always ─────┘   └─────────────── text_parts = new ──────────────┘

Quoted mail, notices of confidentiality, signatures and links are words of somebody else or of a program:
"With love, Ana" under a complaint is a formula. A cut that would leave nothing is not made, so what consists
of a quotation or a signature alone keeps its own text. Published text (``include_text``) stays as it was
written. Pure.

mail-parser-reply 1.36 and quotequail 0.5 were tried for this. The first cuts everything after a line that
begins with a hyphen or "thank you", which loses complaints written as lists, and keeps ``>`` lines; the
second needs three ``>`` lines in a row and knows no signatures.
"""

import re
from collections.abc import Callable
from typing import Final, Literal

from stream.text.characters import with_plain_characters
from stream.text.disclaimers import without_disclaimer
from stream.text.links import without_links
from stream.text.markup import without_block_quotes, without_markup
from stream.text.replies import without_quoted_replies
from stream.text.signatures import without_device, without_signature

TextParts = Literal["new", "all"]

_MAY_HOLD_LINK: Final = re.compile(r"://|www\.|@|\.[a-z]{2,4}/")
_MAY_BE_SIGNED: Final = re.compile(r"[.!?] [\w' ]{2,30}, ?[A-Z][\w .'-]*$")
_ONLY_RULES: Final = re.compile(r"[\s\-_=*~|]*")
_UNTIDY: Final = re.compile(r"\A\s|\s\Z|[^\S\n ]|\s\s")
_ROUNDS: Final = 6
"""A cut can bring to light what another one cuts; more rounds than these no real message needs."""

_ALWAYS: Final[tuple[Callable[[str], str], ...]] = (without_markup,)
_NEW: Final = (
    without_block_quotes,
    without_markup,
    without_quoted_replies,
    without_disclaimer,
    without_signature,
    without_links,
)


def text_to_read(text: str, parts: TextParts) -> str:
    """The text for the model: never empty for a text that is not, and stable when read again.

    ``parts``: "new" is what the author added, "all" keeps quotations, signatures and links.
    """
    if _is_plain(text) and (parts == "all" or not _may_be_cut(text)):
        return text
    for _ in range(_ROUNDS):
        plain = tidied(with_plain_characters(text))
        before, text = plain, _cut(plain, parts) or text
        if text == before:
            break
    return text


def _is_plain(text: str) -> bool:
    """One line of ASCII, trimmed, without angle brackets, ampersands or double spaces."""
    return (
        text.isascii()
        and text.isprintable()
        and text == text.strip()
        and "  " not in text
        and "&" not in text
        and "<" not in text
        and ">" not in text
    )


def _may_be_cut(text: str) -> bool:
    # What is searched for has one of these, and looking for them costs a tenth of the search.
    if ("/" in text or "@" in text or "www." in text) and _MAY_HOLD_LINK.search(text):
        return True
    ended = text.rstrip(".!?")
    if "." not in ended and "!" not in ended and "?" not in ended:
        return False  # names and devices are cut behind a sentence
    return ("," in ended and _MAY_BE_SIGNED.search(text) is not None) or without_device(text) != text


def _cut(text: str, parts: TextParts) -> str:
    for cut in _NEW if parts == "new" else _ALWAYS:
        left = cut(text)
        if left != text and not _ONLY_RULES.fullmatch(left := tidied(left)):
            text = left
    return text


def tidied(text: str) -> str:
    """Single spaces, no blank lines: how a text is laid out says nothing that the model reads."""
    if not _UNTIDY.search(text):
        return text
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join(line for line in lines if line)
