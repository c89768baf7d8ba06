"""Augmentation, written examples, emoji: the forms of real messages."""

import random

from hypothesis import given
from hypothesis import strategies as st

from model.labels import LABELS
from training.bases.emoji import EMOJI
from training.data.augment import Augmentation, augment, fill_placeholders, punctuated, with_typo
from training.data.behaviour_cases import CASES
from training.data.leakage import NearDuplicates
from training.data.rows import Row
from training.data.written import PATTERNS, WORDS, written_rows

EVERYTHING = Augmentation(punctuation=1, emoji=1, typos=1, handle=1, shout=1, elongate=1)


@given(st.text(max_size=60), st.sampled_from(LABELS), st.integers())
def test_augmentation_takes_any_text_and_keeps_the_label(text: str, label: str, seed: int) -> None:
    row = augment(Row(text, label, "emotion"), EVERYTHING, random.Random(seed))
    assert row.label == label
    assert row.source == "emotion"


def test_the_same_seed_gives_the_same_form() -> None:
    row = Row("i feel so happy today", "joy", "emotion")
    forms = {augment(row, EVERYTHING, random.Random(7)).text for _ in range(3)}
    assert len(forms) == 1


def test_without_likelihoods_a_text_stays_as_it_is() -> None:
    never = Augmentation(0, 0, 0, 0, 0, 0)
    row = Row("i feel fine", "joy", "emotion")
    assert augment(row, never, random.Random(0)) == row


def test_contractions_and_capitals_come_back() -> None:
    text = punctuated("im sure i dont mind", "neutral", random.Random(0))
    assert text.startswith("I'm sure I don't mind")


def test_placeholders_never_reach_the_model() -> None:
    filled = fill_placeholders("[NAME] and [NAME], the [RELIGION]", random.Random(0))
    assert "[" not in filled


def test_a_typo_changes_letters_and_nothing_else() -> None:
    text = "a perfectly normal sentence"
    changed = with_typo(text, random.Random(1))
    assert changed != text
    assert abs(len(changed) - len(text)) <= 1
    assert changed.count(" ") == text.count(" ")


def test_written_rows_fill_every_slot_and_cover_every_label() -> None:
    rows = written_rows(800, seed=0)
    assert {row.label for row in rows} == set(LABELS)
    assert not any("{" in row.text for row in rows)
    assert rows == written_rows(800, seed=0)


def test_every_slot_of_the_patterns_has_words() -> None:
    slots = {part.split("}")[0] for group in PATTERNS.values() for p in group for part in p.split("{")[1:]}
    assert slots <= set(WORDS)


def test_written_rows_and_the_behavioural_set_share_nothing() -> None:
    near = NearDuplicates([text for group in CASES.values() for _, text in group])
    assert [row.text for row in written_rows(12_000, seed=0) if row.text in near] == []


def test_each_emoji_is_one_character_and_listed_once() -> None:
    assert all(len(emoji) == 1 for emoji in EMOJI)
    assert len(EMOJI) < 994


def test_the_behavioural_set_has_400_cases_in_kinds_of_one_size_and_names_only_known_labels() -> None:
    assert [len(group) for group in CASES.values()] == [25] * 16
    assert {label for group in CASES.values() for labels, _ in group for label in labels.split("|")} == set(
        LABELS
    )
    texts = [text for group in CASES.values() for _, text in group]
    assert len(set(texts)) == len(texts)
