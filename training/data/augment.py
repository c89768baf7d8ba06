"""Surface forms that dair-ai/emotion lacks: real messages have capitals, punctuation, emoji, handles and
typos.

Every text of that set is lower case ``[a-z ]``. A model that has seen nothing else reads "I'm SO happy!!!
😊" as a foreign language. Each epoch sees every row in a newly drawn form, and often enough in its own, so
that the benchmark's form is not forgotten. None of the changes turns a label into another.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from model.labels import NEUTRAL
from training.data.rows import Row

# How dair-ai/emotion writes contractions, and how people do.
_CONTRACTIONS: Final = {
    "im": "I'm", "ive": "I've", "id": "I'd", "ill": "I'll", "dont": "don't", "didnt": "didn't",
    "doesnt": "doesn't",
    "cant": "can't", "couldnt": "couldn't", "wont": "won't", "wouldnt": "wouldn't", "isnt": "isn't",
    "wasnt": "wasn't", "arent": "aren't", "havent": "haven't", "hasnt": "hasn't", "hadnt": "hadn't",
    "shouldnt": "shouldn't", "thats": "that's", "theres": "there's", "youre": "you're", "theyre": "they're",
    "i": "I",
}  # fmt: skip
_EMOJI_OF: Final = {
    "sadness": "😢😭😔😞💔🙁😥",
    "joy": "😊😀😄🎉😁🥳😎😂",
    "love": "❤😍🥰💕😘💖💙",
    "anger": "😡😠🤬😤👿",
    "fear": "😨😰😱😬😟",
    "surprise": "😮😲😳🤯😯",
    NEUTRAL: "👍🙂✅📦📧",
}
_ENDINGS: Final = {
    "sadness": (".", "...", ".", ""),
    "joy": ("!", ".", "!!", "!!!"),
    "love": ("!", ".", "", "!!"),
    "anger": ("!", ".", "!!", "!!!"),
    "fear": (".", "...", "!", "?!"),
    "surprise": ("!", "?!", "!!", "."),
    NEUTRAL: (".", "", ".", "?"),
}
_NAMES: Final = (
    "Sam",
    "Maria",
    "Alex",
    "Priya",
    "Tom",
    "Lena",
    "Omar",
    "Chris",
    "Yuki",
    "Nina",
    "@user",
    "John",
)
_PLACEHOLDERS: Final = {"[RELIGION]": ("Christian", "Muslim", "Buddhist", "Jewish", "Hindu")}
_NEIGHBOURS: Final = dict(
    zip("abcdefghijklmnopqrstuvwxyz", "svxfrghjoklknbpowtayibezux", strict=True)
)  # QWERTY
_CAPITAL_AFTER: Final = re.compile(r"(^|[.!?]\s+)([a-z])")


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How likely each change is, a row and epoch."""

    punctuation: float = 0.5
    emoji: float = 0.08
    typos: float = 0.12
    handle: float = 0.04
    shout: float = 0.04
    elongate: float = 0.05


def augment(row: Row, settings: Augmentation, rng: random.Random) -> Row:
    """``row`` in a newly drawn surface form; the label stays."""
    text = fill_placeholders(row.text, rng)
    changes: tuple[tuple[float, Callable[[], str]], ...] = (
        (settings.typos, lambda: with_typo(text, rng)),
        (settings.elongate, lambda: elongated(text, rng)),
        (settings.punctuation if row.source == "emotion" else 0.0, lambda: punctuated(text, row.label, rng)),
        (settings.shout, lambda: text.upper()),
        (
            settings.emoji if row.label not in row.unknown else 0.0,
            lambda: f"{text}{rng.choice((' ', ''))}{rng.choice(_EMOJI_OF[row.label])}",
        ),
        (settings.handle, lambda: f"@{rng.choice(('support', 'user', 'help'))} {text}"),
    )
    for likelihood, change in changes:
        if rng.random() < likelihood:
            text = change()
    return replace(row, text=text)


def fill_placeholders(text: str, rng: random.Random) -> str:
    """GoEmotions' [NAME] and [RELIGION] replaced by what such a message would hold."""
    while "[NAME]" in text:
        text = text.replace("[NAME]", rng.choice(_NAMES), 1)
    for placeholder, words in _PLACEHOLDERS.items():
        text = text.replace(placeholder, rng.choice(words))
    return text


def punctuated(text: str, label: str, rng: random.Random) -> str:
    """Apostrophes, capitals and an ending, as a person would have written the lower-case text."""
    words = [_CONTRACTIONS.get(word, word) for word in text.split()]
    text = _CAPITAL_AFTER.sub(lambda match: match[1] + match[2].upper(), " ".join(words))
    return text + rng.choice(_ENDINGS[label])


def with_typo(text: str, rng: random.Random) -> str:
    """One letter within a word swapped with the next, dropped, doubled, or replaced by a neighbouring key."""
    places = [i for i in range(1, len(text) - 1) if text[i - 1 : i + 2].isalpha()]
    if not places:
        return text
    i = rng.choice(places)
    before, letter, after = text[:i], text[i], text[i + 1 :]
    return rng.choice(
        (
            before + after[0] + letter + after[1:],
            before + after,
            before + letter * 2 + after,
            before + _NEIGHBOURS.get(letter, letter) + after,
        )
    )


def elongated(text: str, rng: random.Random) -> str:
    """One "so", "very", "no" or the like drawn out: "sooo"."""
    places = list(re.finditer(r"\b(so|no|very|really|wow|omg|please|ugh|yes|hey)\b", text, re.IGNORECASE))
    if not places:
        return text
    place = rng.choice(places)
    return text[: place.end()] + text[place.end() - 1] * rng.randint(2, 4) + text[place.end() :]
