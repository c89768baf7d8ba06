"""Which words drove a label: the parts are the text again, and a word that decides weighs most."""

from collections.abc import Sequence
from math import log

from hypothesis import given
from hypothesis import strategies as st

from model.contract import Distress, Emotion
from stream.dashboard.explain import MOST_PARTS, explained, parts_of


def classify(texts: Sequence[str]) -> list[Emotion]:
    """Sad, all the more with every "alone" in the text; less so with "fine"."""
    emotions = []
    for text in texts:
        odds = 2.0 ** (1 + 2 * text.count("alone") - text.count("fine"))
        sadness = odds / (1 + odds)
        scores = {"sadness": sadness, "joy": 0.0, "love": 0.0, "anger": 0.0, "fear": 0.0, "surprise": 0.0}
        emotions.append(Emotion("sadness", sadness, scores, 1 - sadness, Distress(sadness, "none")))
    return emotions


@given(st.text())
def test_the_parts_are_the_text_again(text: str) -> None:
    parts = parts_of(text)
    assert "".join(parts) == text
    assert len(parts) <= MOST_PARTS
    assert all(parts)


def test_a_word_weighs_what_the_log_odds_lose_without_it() -> None:
    _, parts = explained("I am alone but fine", classify)
    weights = {part.text.strip(): round(part.weight, 3) for part in parts}
    assert weights == {"I": 0, "am": 0, "alone": round(2 * log(2), 3), "but": 0, "fine": round(-log(2), 3)}


def test_a_text_of_one_word_has_nothing_to_be_held_against() -> None:
    _, parts = explained("alone", classify)
    assert [part.weight for part in parts] == [0.0]
