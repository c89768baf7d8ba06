"""The leakage guard finds exactly the near-duplicates, and the audit counts what is wrong."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from training.data.leakage import NearDuplicates, audit, contradicted, without_leaks, word_grams
from training.data.rows import Row, Splits, load_emotion

WORDS = st.lists(st.sampled_from("abcde"), min_size=1, max_size=12).map(" ".join)


def _similarity(a: str, b: str) -> float:
    first, second = word_grams(a), word_grams(b)
    return len(first & second) / len(first | second)


@given(st.lists(WORDS, min_size=1, max_size=8), WORDS)
def test_the_index_finds_what_comparing_every_pair_finds(protected: list[str], text: str) -> None:
    expected = any(_similarity(text, other) >= 0.8 for other in protected)
    assert (text in NearDuplicates(protected)) == expected


def test_case_and_punctuation_do_not_hide_a_duplicate() -> None:
    near = NearDuplicates(["i didnt feel humiliated at all today"])
    assert "I didn't feel humiliated at all, today!" in near
    assert "i didnt feel humiliated at all yesterday, and that is a surprise" not in near


def test_short_texts_are_compared_as_a_whole() -> None:
    near = NearDuplicates(["so sad"])
    assert "So sad!" in near
    assert "so happy" not in near


def test_rows_like_protected_ones_are_left_out() -> None:
    rows = [Row("one two three four", "joy", "x"), Row("five six seven eight", "joy", "x")]
    assert without_leaks(rows, [Row("One, two, three, four", "fear", "y")]) == rows[1:]


def test_audit_counts_duplicates_contradictions_overlap_and_debris() -> None:
    train = (Row("a a a", "joy", "x"), Row("a a a", "fear", "x"), Row("b b b", "joy", "x"))
    found = audit(Splits(train, (Row("b b b", "joy", "x"),), (Row("go to href www", "joy", "x"),)))
    assert found.duplicate_texts_in_train == 1
    assert found.conflicting_texts_in_train == 1
    assert found.shared_train_validation == 1
    assert found.near_duplicates_of_held_out_in_train == 1
    assert found.html_debris == 1


def test_a_test_row_is_contradicted_only_by_another_label() -> None:
    test = [Row("a", "joy", "x"), Row("b", "joy", "x"), Row("c", "joy", "x")]
    train = [Row("a", "fear", "x"), Row("b", "joy", "x")]
    assert contradicted(test, train) == [True, False, False]


def test_the_real_audit_finds_what_is_known_of_the_set(real_data: Path) -> None:
    found = audit(load_emotion(real_data))
    assert found.texts_with_several_labels == 51
    assert found.shared_with_test == {"train": 11, "validation": 3}
    assert found.shared_train_validation == 5
