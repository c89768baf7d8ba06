"""Which language a message is in, and whether the model was measured in it.

CLD2 (``pycld2``) names the language of a text by its script and its letters. It says when it is not sure, and
then the language is undetermined; so it is where a few Latin letters are all there is, since "ok" and "super"
belong to many. A message is unknown to the model only where its language is determined, is none of those that
the weights were measured in, and stays so when CLD2 is told to expect these; all else is labelled.
"""

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import pycld2

LEAST_LETTERS: Final = 12
"""Latin letters that a text needs: of 762 English texts, 1 in 760 is then taken for another language."""
LEAST_SHARE: Final = 30
"""Per cent of a text from which on a language counts as one that it is written in, beside the first."""
LEAST_SCORE: Final = 300
"""How well the letters must fit, by CLD2's score: below it, two tags in three are wrong."""
_CHARACTERS: Final = 2_000
_SHORT: Final = 250
"""Characters up to which the letters of a text may fit its neighbours' languages as well."""
_UNDETERMINED_CODES: Final = frozenset(("un", "tlh", "zzb", "zze", "zzh", "zzp"))
"""The code for none, and those of languages made up for fun (Klingon, "Hacker"), which few words pass for."""
_BCP_47: Final = {"iw": "he", "jw": "jv"}
"""CLD2's codes that BCP 47 has replaced."""
_SAME_LANGUAGE: Final = {**_BCP_47, "nb": "no", "nn": "no", "fil": "tl"}
"""Tags that mean a language which has another, too: CLD2 says ``no`` of Bokmål and ``tl`` of Filipino."""
_LACKING: Final = {
    "be": frozenset("иїєщъ"),
    "mk": frozenset("ёіїєґйщъыьэюяў"),
    "sr": frozenset("ёіїєґйщъыьэюяў"),
}
"""Letters that an alphabet does not have; CLD2 says of Ukrainian with them that it is Serbian."""
_NO_LETTERS: Final = bytes(byte for byte in range(128) if not chr(byte).isalpha())


@dataclass(frozen=True, slots=True)
class Language:
    """``tag``: BCP 47, None where it is undetermined; ``confidence``: share of the text that is in it.

    ``others``: further languages of a text in several.
    """

    tag: str | None = None
    confidence: float = 0.0
    others: tuple[str, ...] = ()


UNDETERMINED: Final = Language()


def identify(text: str) -> Language:
    """The language of a text; only its first two thousand characters are looked at."""
    return _identified(_shown(text))


def _shown(text: str) -> str:
    shown = text[:_CHARACTERS]
    if not shown.isprintable():
        # CLD2 refuses what cannot be printed, line ends among it; the words on both sides must stay apart.
        shown = "".join(filter(str.isprintable, " ".join(shown.split())))
    return shown


def _identified(shown: str, expected: str | None = None) -> Language:
    """``expected``: CLD2's code of a language that it takes where its letters fit as well as another's."""
    try:
        reliable, _, found = pycld2.detect(shown, isPlainText=True, bestEffort=True, hintLanguage=expected)
    except (pycld2.error, ValueError):
        return UNDETERMINED
    (_, code, share, score), *rest = found
    if not reliable or code in _UNDETERMINED_CODES or score < LEAST_SCORE or not _enough_letters(shown):
        return UNDETERMINED
    if code in _LACKING and not _LACKING[code].isdisjoint(shown.lower()):
        return UNDETERMINED
    # Most texts are in one language, and looking for others takes longer than asking here.
    others: tuple[str, ...] = ()
    if rest[0][2] >= LEAST_SHARE:
        others = tuple(
            other for _, other, part, _ in rest if part >= LEAST_SHARE and other not in _UNDETERMINED_CODES
        )
    return _language(code, share, others)


@lru_cache(maxsize=4096)
def _language(code: str, share: int, others: tuple[str, ...]) -> Language:
    """Made once for each answer that CLD2 gives, since every message asks."""
    tag, *other_tags = (_BCP_47.get(each, each) for each in (code, *others))
    return Language(tag, share / 100, tuple(other_tags))


class LanguageGate:
    """Tells apart what the model may read and what it may not.

    ``measured``: tags of the languages that the weights were measured in; none means that nobody said, and
    then everything is read, as it is with ``read_all``.
    """

    def __init__(self, measured: Collection[str], *, read_all: bool = False) -> None:
        self._measured = frozenset(_language_of(tag) for tag in measured)
        self._read_all = read_all or not self._measured
        codes = {code for _, code in pycld2.LANGUAGES}
        self._codes = sorted(code for code in codes if _language_of(code) in self._measured)

    def readable(self, language: Language, text: str) -> bool:
        """Whether the model was measured in the language, or in another one that the text is written in.

        So it is where ``text``, if short, passes for one of the measured languages once that is expected:
        the letters of few words of Swedish are Norwegian, too.
        """
        if self._read_all or language.tag is None or self._is_measured(language):
            return True
        if len(text) > _SHORT:
            return False
        shown = _shown(text)
        return any(self._is_measured(_identified(shown, code)) for code in self._codes)

    def _is_measured(self, language: Language) -> bool:
        tags = (language.tag, *language.others) if language.tag else ()
        return any(_language_of(tag) in self._measured for tag in tags)


def _language_of(tag: str) -> str:
    """The language of a tag without region or script, by one name: "pt" of "pt-BR", "no" of "nb"."""
    language = tag.lower().partition("-")[0]
    return _SAME_LANGUAGE.get(language, language)


def _enough_letters(text: str) -> bool:
    head = text[: 4 * LEAST_LETTERS]
    if head.isascii():  # all letters are Latin
        return len(head.encode().translate(None, _NO_LETTERS)) >= LEAST_LETTERS
    letters = [character for character in head if character.isalpha()]
    latin = sum(map(_is_latin, letters))
    return len(letters) >= LEAST_LETTERS if 2 * latin > len(letters) else bool(letters)


@lru_cache(maxsize=4096)
def _is_latin(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith("LATIN")
