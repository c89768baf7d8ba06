"""However an author is spelt, it is one author: hashed, opted out, forgotten and keyed as one."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.authors import canonical_author
from stream.privacy import OptOut, Pseudonyms
from tests.conftest import Topics
from tests.records import read_committed_all
from tests.stream.commands import run_beside, write

COMPOSED, DECOMPOSED = "J\u00fcrgen", "Ju\u0308rgen"
CASES = st.sampled_from(["kept", "folded"])


@pytest.mark.parametrize(
    "spelling", [DECOMPOSED, f" {COMPOSED}\t", f"\ufeff{DECOMPOSED}\u200b", "\u2003Jürgen\n"]
)
def test_spellings_of_one_author_have_one_pseudonym(spelling: str) -> None:
    pseudonyms = Pseudonyms(b"key")
    assert pseudonyms.of(spelling) == pseudonyms.of(COMPOSED)


def test_case_makes_another_author_unless_it_is_to_be_folded() -> None:
    assert Pseudonyms(b"key").of("Kim") != Pseudonyms(b"key").of("kim")
    folded = Pseudonyms(b"key", author_case="folded")
    assert folded.of("Kim") == folded.of("kim")
    assert folded.of("Straße") == folded.of("STRASSE")


@pytest.mark.parametrize("author", ["kim", "ann@example.org", "42", COMPOSED, "安娜", "Kim Lee"])
def test_pseudonyms_of_authors_that_are_spelt_canonically_are_those_of_earlier_releases(author: str) -> None:
    assert Pseudonyms(b"key").of(author) == Pseudonyms(b"key").of_exactly(author)


@given(st.text(), CASES)
def test_a_canonical_author_stays_as_it_is(author: str, case: str) -> None:
    canonical = canonical_author(author, case)  # type: ignore[arg-type]
    assert canonical_author(canonical, case) == canonical  # type: ignore[arg-type]


@given(st.text(), st.sampled_from(["NFC", "NFD"]), CASES)
def test_how_an_author_is_composed_makes_no_difference(author: str, form: str, case: str) -> None:
    composed = unicodedata.normalize(form, author)  # type: ignore[arg-type]
    assert canonical_author(composed, case) == canonical_author(author, case)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("listed", "writes"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED), ("kim", " kim ")]
)
def test_whoever_opted_out_is_not_labelled_for_another_spelling(
    tmp_path: Path, listed: str, writes: str
) -> None:
    pseudonyms = Pseudonyms(b"key")
    file = tmp_path / "optout.txt"
    file.write_text(f"{listed}\n", encoding="utf-8")
    assert writes in OptOut(pseudonyms, file)
    by_topic = OptOut(pseudonyms)
    by_topic.update(pseudonyms.of(listed), opted_out=True)
    assert writes in by_topic


def test_an_opt_out_from_before_spellings_were_joined_still_holds() -> None:
    pseudonyms = Pseudonyms(b"key")
    optout = OptOut(pseudonyms)
    optout.update(pseudonyms.of_exactly(DECOMPOSED), opted_out=True)
    assert DECOMPOSED in optout


def test_the_list_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "optout.txt"
    file.write_text("kim\nlee\n", encoding="utf-8-sig")
    optout = OptOut(Pseudonyms(b"key"), file)
    assert "kim" in optout
    assert "lee" in optout


async def test_produce_keys_the_spellings_of_an_author_alike(topics: Topics) -> None:
    settings = await topics(partitions=8)
    write("m.csv", f"text,author\none,{COMPOSED}\ntwo, {DECOMPOSED}\nthree,JÜRGEN\n")
    await run_beside("produce", "m.csv", "--author-case", "folded", settings=settings)
    records = await read_committed_all(settings.bootstrap_servers or "", settings.input_topic)
    assert len(records) == 3
    assert len({(record.key, record.partition) for record in records}) == 1
