"""Phrase lists: whole words, any case, names only."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import SettingsError
from stream.followedfile import Content, FollowedFile
from stream.phrases import PhraseLists, PhrasesFile

LISTS = PhraseLists(
    {
        "leaving": ["cancel my account", "cancel"],
        "urgent": ["can't go on", "right now"],
        "billing": ["my account", "Überweisung"],
    }
)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Please CANCEL my account!", ("billing", "leaving")),
        ("I can’t go on like this", ("urgent",)),
        ("do it Right   now.", ("urgent",)),
        ("an überweisung is missing", ("billing",)),
        ("cancellation of my accounts", ()),
        ("right, and now what?", ()),
        ("", ()),
    ],
)
def test_phrases_match_as_whole_words_in_any_case(text: str, names: tuple[str, ...]) -> None:
    assert LISTS.match(text) == names


@pytest.mark.parametrize(
    ("phrase", "said", "other"),
    [
        ("मार", "मुझे मार दिया", "मेरा मोर"),
        ("विदा", "मैं विदा लेता हूँ", "मेरा वादा"),
        ("কাটা", "হাত কাটা", "কেটে গেছে"),
        ("தற்கொலை", "நான் தற்கொலை செய்வேன்", "நான் கொலை"),
        ("مُت", "لقد مُت اليوم", "مت"),
    ],
)
def test_signs_above_and_below_letters_belong_to_the_word(phrase: str, said: str, other: str) -> None:
    lists = PhraseLists({"urgent": [phrase]})
    assert lists.match(said) == ("urgent",)
    assert lists.match(other) == ()


@pytest.mark.parametrize(
    ("phrase", "said", "other"),
    [
        ("自杀", "我想自杀了。", "我自己杀鱼"),
        ("死にたい", "もう死にたいです", "死んだ"),
        ("カード", "クレジットカードを・失くした", "カド"),
        ("อยากตาย", "ฉันอยากตายแล้ว", "ฉันอยากได้"),
        ("มา", "เขามาแล้ว", "ม้า"),
        ("ស្លាប់", "ខ្ញុំចង់ស្លាប់ណាស់", "ខ្ញុំ"),
        ("cancel 账户", "请cancel账户吧", "cancellation 账户"),
    ],
)
def test_a_phrase_is_found_inside_writing_without_spaces(phrase: str, said: str, other: str) -> None:
    lists = PhraseLists({"urgent": [phrase]})
    assert lists.match(said) == ("urgent",)
    assert lists.match(other) == ()


@pytest.mark.parametrize("said", ["_right now_", "__Right__ _now_", "#right_now", "наконец right_now"])
def test_underlines_around_words_are_punctuation(said: str) -> None:
    assert LISTS.match(said) == ("urgent",)
    assert PhraseLists({"urgent": ["right_now"]}).match("right now") == ("urgent",)


@pytest.mark.parametrize(
    ("phrase", "said"),
    [
        ("iptal", "İPTAL edin"),
        ("sıkıldım artık", "SIKILDIM ARTIK"),
        ("İstanbul", "istanbul"),
        ("straße", "STRASSE"),
    ],
)
def test_capitals_of_any_alphabet_are_its_small_letters(phrase: str, said: str) -> None:
    assert PhraseLists({"urgent": [phrase]}).match(said) == ("urgent",)


@pytest.mark.parametrize("phrase", ["ri\u200bght now", "ri\u00adght now\ufeff", "right&nbsp;now"])
def test_what_nobody_sees_in_a_phrase_does_not_part_its_words(phrase: str) -> None:
    assert PhraseLists({"urgent": [phrase]}).match("right now") == ("urgent",)


def test_emoji_between_the_words_of_a_phrase_make_no_difference() -> None:
    assert LISTS.match("right ❤️ now 1️⃣") == ("urgent",)
    assert LISTS.match("right👨‍👩‍👧now") == ("urgent",)


def test_overlapping_phrases_of_different_lists_all_count() -> None:
    lists = PhraseLists({"a": ["one two three"], "b": ["two"], "c": ["two three four"]})
    assert lists.match("zero one two three four") == ("a", "b", "c")


@given(
    before=st.lists(st.sampled_from(["so", "cannot", "go", "right"]), max_size=6),
    after=st.lists(st.sampled_from(["on", "now", "then"]), max_size=6),
)
def test_a_phrase_is_found_wherever_it_stands(before: list[str], after: list[str]) -> None:
    text = " ".join([*before, "can't go on", *after])
    assert "urgent" in LISTS.match(text)


def test_a_file_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "phrases.toml"
    file.write_text('[lists]\nurgent = ["right now"]\n', encoding="utf-8")
    assert PhrasesFile(file).names == {"urgent"}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("urgent = 3", "has no phrase lists"),
        ("[lists]\nurgent = 'right now'", "lists.urgent must be a list"),
        ("[lists]\nurgent = ['!!']", "has no word in it"),
        ("[lists", "not valid TOML"),
    ],
)
def test_a_wrong_file_gets_one_clear_line(tmp_path: Path, content: str, complaint: str) -> None:
    file = tmp_path / "phrases.toml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError, match=complaint) as raised:
        PhrasesFile(file)
    assert "\n" not in str(raised.value).removesuffix("\n")


def test_a_missing_file_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="phrases_file"):
        PhrasesFile(tmp_path / "none.toml")


def test_a_file_that_is_cut_short_is_told_by_its_end_line(tmp_path: Path) -> None:
    file = tmp_path / "phrases.toml"
    file.write_text('[lists]\na = ["x"]\nb = ["y"]\n# end: 2\n')
    assert PhrasesFile(file).names == {"a", "b"}
    file.write_text('[lists]\na = ["x"]\n# end: 2\n')
    with pytest.raises(SettingsError, match="cut short"):
        PhrasesFile(file)


def rewritten(file: Path, text: str) -> None:
    """As whoever replaces a file does it: written aside and renamed."""
    aside = file.with_suffix(".new")
    aside.write_text(text, encoding="utf-8")
    aside.replace(file)


def test_a_changed_file_is_in_force_once_it_was_read_again(tmp_path: Path) -> None:
    file = tmp_path / "phrases.toml"
    file.write_text('[lists]\nurgent = ["right now"]\n')
    phrases = PhrasesFile(file)
    assert not phrases.reload()
    rewritten(file, '[lists]\nurgent = ["at once"]\nleaving = ["cancel"]\n')
    assert phrases.reload()
    assert phrases.match("cancel it at once, right now") == ("leaving", "urgent")
    assert phrases.match("right now") == ()
    rewritten(file, '[lists]\nleaving = ["cancel"]\n# end: 1\n')
    assert phrases.reload()
    assert (phrases.match("at once"), phrases.problem, phrases.failures) == ((), None, 0)


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        ("", r"has no phrase lists: write \[lists\]"),
        ("[lists]\nurgent = ['right", "not valid TOML"),
        ('[lists]\nurgent = ["right now"]\n', "leaving would go.* end the file with '# end: 1'"),
        (None, "cannot be read.* see phrases_file"),
    ],
)
def test_a_file_that_is_broken_or_cut_short_or_gone_leaves_the_lists_in_force(
    tmp_path: Path, content: str | None, remedy: str
) -> None:
    file = tmp_path / "phrases.toml"
    whole = '[lists]\nurgent = ["right now"]\nleaving = ["cancel"]\n'
    file.write_text(whole)
    phrases = PhrasesFile(file)
    if content is None:
        file.unlink()
    else:
        rewritten(file, content)
    for _ in range(3):
        assert not phrases.reload()
    assert re.search(remedy, phrases.problem or "")
    assert phrases.failures == 1
    assert phrases.match("cancel right now") == ("leaving", "urgent")
    rewritten(file, whole)
    assert phrases.reload()
    assert phrases.problem is None


def test_a_file_that_cannot_be_read_for_a_while_is_tried_again_and_told_once(tmp_path: Path) -> None:
    """What was in the way, a right or a disk, leaves no trace on the file when it has gone."""
    file = tmp_path / "phrases.toml"
    file.write_text('[lists]\nurgent = ["right now"]\n')
    in_the_way = [OSError("no")] * 3

    def parse(path: Path) -> Content[str]:
        if in_the_way and path.read_text() == "new":
            raise SettingsError("it cannot be read") from in_the_way.pop()
        return Content(path.read_text(), frozenset(), False)

    followed = FollowedFile(file, parse, what="things")
    rewritten(file, "new")
    assert [followed.reload() for _ in range(5)] == [False, False, False, True, False]
    assert (followed.held, followed.failures, followed.problem) == ("new", 1, None)
