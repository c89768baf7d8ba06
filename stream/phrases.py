"""Named phrase lists that an operator supplies: a support team's own words for "look at this now".

The annotator matches them before inference; only the names of the lists that matched leave it, never the
text. The file is TOML, a list a key::

    [lists]
    leaving = ["cancel my account", "close my account"]
    urgent = ["can't go on", "right now"]

A phrase matches as whole words, whatever its case; what stands between its words (spaces, punctuation,
a curly apostrophe for a straight one) makes no difference. In writing without spaces each character counts
as a word.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stream.errors import SettingsError
from stream.followedfile import Content, FollowedFile, read_toml
from stream.listfile import says_whole
from stream.text.characters import with_plain_characters

_MARKS = "".join(chr(code) for code in range(0x300, 0xFE00) if unicodedata.category(chr(code))[0] == "M")
"""Vowel signs and accents, which belong to the letter before them but not to ``\\w``."""
_SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Japanese, Chinese
)
_LETTER = rf"[^\W_{_SPACELESS}]"
_WORDS = re.compile(rf"(?=\w)[{_SPACELESS}][{_MARKS}]*|{_LETTER}+(?:[{_MARKS}]+{_LETTER}*)*")
_ASCII_WORDS = re.compile(r"[^\W_]+", re.ASCII)
_NAMES = "\0"
"""Key of a node that ends a phrase; no word contains it."""


class PhraseLists:
    """All lists as one tree of words, so that matching costs the length of the text, not of the lists."""

    def __init__(self, lists: Mapping[str, Iterable[str]]) -> None:
        self._root: dict[str, Any] = {}
        for name, phrases in lists.items():
            for phrase in phrases:
                self._add(name, phrase)

    def match(self, text: str) -> tuple[str, ...]:
        """Names of the lists with a phrase in ``text``, sorted."""
        words = _words(text)
        found: set[str] = set()
        for start, word in enumerate(words):
            node = self._root.get(word)
            position = start
            while node is not None:
                found.update(node.get(_NAMES, ()))
                position += 1
                node = node.get(words[position]) if position < len(words) else None
        return tuple(sorted(found))

    def _add(self, name: str, phrase: str) -> None:
        words = _words(with_plain_characters(phrase))  # as in the text, nothing invisible parts a word
        if not words:
            raise SettingsError(f"phrase list {name}: {phrase!r} has no word in it; remove it")
        node = self._root
        for word in words:
            node = node.setdefault(word, {})
        node.setdefault(_NAMES, set()).add(name)


class PhrasesFile(FollowedFile[PhraseLists]):
    """The lists of a file, which follow it: what is matched next is matched against those in force."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            SettingsError: the file cannot be read, is not whole, or holds something else than such lists.
        """
        super().__init__(path, _parsed, what="phrase lists")

    def match(self, text: str) -> tuple[str, ...]:
        """Names of the lists in force with a phrase in ``text``, sorted."""
        return self.held.match(text)


def _parsed(path: Path) -> Content[PhraseLists]:
    """Lists from a TOML file. One that was cut short is told by its end line (``stream.listfile``)."""
    text, content = read_toml(path, "phrase lists", "phrases_file")
    lists = content.get("lists")
    if not isinstance(lists, dict) or not lists:
        raise SettingsError(f'{path} has no phrase lists: write [lists] and name = ["a phrase", ...]')
    for name, phrases in lists.items():
        if not isinstance(phrases, list) or not all(isinstance(phrase, str) for phrase in phrases):
            raise SettingsError(f"{path}: lists.{name} must be a list of phrases in quotes")
    try:
        whole = says_whole(text, len(lists))
        return Content(PhraseLists(lists), frozenset(lists), whole)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from None


def _words(text: str) -> list[str]:
    if text.isascii():
        return _ASCII_WORDS.findall(text.casefold())
    folded = unicodedata.normalize("NFKC", text).casefold()
    # Turkish has two letters i, and their capitals are İ and I.
    return _WORDS.findall(folded.replace("i\u0307", "i").replace("ı", "i"))
