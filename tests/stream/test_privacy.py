"""Authors leave as pseudonyms, and whoever opted out is not read."""

import os
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from stream.errors import SettingsError
from stream.privacy import OptOut, Pseudonyms, is_pseudonym


def test_a_pseudonym_is_stable_under_its_key_and_tells_nothing_of_the_author() -> None:
    first, second = Pseudonyms(b"key"), Pseudonyms(b"key")
    assert first.of("kim") == second.of("kim")
    assert first.of("kim") != first.of("kimi")
    assert first.of("kim") != Pseudonyms(b"other").of("kim")
    assert "kim" not in first.of("kim")
    assert is_pseudonym(first.of("kim"))


def test_without_a_key_pseudonyms_change_at_each_start() -> None:
    assert Pseudonyms(None).of("kim") != Pseudonyms(None).of("kim")


def test_whoever_writes_long_keys_or_names_fills_no_memory() -> None:
    pseudonyms = Pseudonyms(b"key")
    tracemalloc.start()
    try:
        for number in range(20):
            long = f"{number}{'k' * 100_000}"
            found = pseudonyms.of_key(long.encode(), pseudonyms.of("kim"))
            assert pseudonyms.of_key(long.encode(), pseudonyms.of(long)) == pseudonyms.of(long).encode()
            assert found == pseudonyms.of_key(long.encode(), None) != pseudonyms.of(long).encode()
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes < 1_000_000


def test_an_empty_key_is_refused() -> None:
    with pytest.raises(SettingsError, match="EMOTION_AUTHOR_KEY"):
        Pseudonyms(b"")


def test_the_file_lists_authors_or_pseudonyms(tmp_path: Path) -> None:
    pseudonyms = Pseudonyms(b"key")
    file = tmp_path / "optout.txt"
    file.write_text(f"# asked by mail\nkim\n\n  {pseudonyms.of('ada')}  \n")
    optout = OptOut(pseudonyms, file)
    assert "kim" in optout
    assert "ada" in optout
    assert "lee" not in optout
    assert None not in optout


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "optout.txt"
    file.write_text("kim\n")
    optout = OptOut(Pseudonyms(b"key"), file)
    file.write_text("kim\nlee\n")
    os.utime(file, ns=(1, 1))
    optout.reload()
    assert "lee" in optout


def optout_of(tmp_path: Path, text: str) -> tuple[OptOut, Callable[[str], bool]]:
    """A list, and a way to write its file anew and have it read."""
    file = tmp_path / "optout.txt"
    file.write_text(text)
    optout = OptOut(Pseudonyms(b"key"), file)

    def rewrite(text: str) -> bool:
        file.write_text(text)
        os.utime(file, ns=(time.time_ns(), time.time_ns()))
        return optout.reload()

    return optout, rewrite


@pytest.mark.parametrize("torn", ["", "ki", "kim\n", "kim\nlee\n", "lee\nada\n# end: 3\n", "# end: 3\n"])
def test_while_a_file_is_rewritten_nobody_is_opted_in(tmp_path: Path, torn: str) -> None:
    whole = "kim\nlee\nada\n"
    optout, rewrite = optout_of(tmp_path, whole)
    assert not rewrite(torn)
    assert all(author in optout for author in ("kim", "lee", "ada"))
    assert optout.problem is not None
    assert rewrite(whole)
    assert (optout.problem, optout.held, len(optout)) == (None, 0, 3)


def test_who_goes_from_the_list_is_opted_in_once_the_file_says_that_it_is_whole(tmp_path: Path) -> None:
    optout, rewrite = optout_of(tmp_path, "kim\nlee\n")
    assert not rewrite("lee\nada\n")
    assert "kim" in optout
    assert "ada" in optout, "who is added is opted out at once"
    assert optout.held == 1
    assert "'# end: 2'" in (optout.problem or "")
    assert rewrite("lee\nada\n# end: 2\n")
    assert "kim" not in optout
    assert rewrite("# nobody any more\n# End: 0\n")
    assert len(optout) == 0


def test_a_file_that_said_that_it_is_whole_must_go_on_saying_so(tmp_path: Path) -> None:
    optout, rewrite = optout_of(tmp_path, "kim\n# end: 1\n")
    assert not rewrite("kim\nlee\n")
    assert "lee" in optout
    assert not rewrite("kim\n# end: 1\nlee\n")
    assert "lines follow" in (optout.problem or "")
    assert rewrite("kim\nlee\n# end: 2\n")


@pytest.mark.parametrize("text", ["", "# only a comment\n", "kim\n# end: 2\n"])
def test_a_start_on_a_list_that_may_be_cut_short_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="# end: "):
        optout_of(tmp_path, text)


def test_a_problem_is_said_once_and_what_cannot_be_read_leaves_the_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    optout, rewrite = optout_of(tmp_path, "kim\n")
    (tmp_path / "optout.txt").unlink()
    assert [optout.reload() for _ in range(3)] == [False, True, True]
    assert "kim" in optout
    assert rewrite("kim\n")
    assert optout.problem is None
    assert capsys.readouterr().out.count("stays opted out") == 1


def test_a_file_that_has_gone_leaves_its_last_list_in_force(tmp_path: Path) -> None:
    file = tmp_path / "optout.txt"
    file.write_text("kim\n")
    optout = OptOut(Pseudonyms(b"key"), file)
    file.unlink()
    optout.reload()
    assert "kim" in optout
    file.write_text("lee\n# end: 1\n")
    optout.reload()
    assert "lee" in optout
    assert "kim" not in optout


def test_a_missing_file_at_the_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="optout_file"):
        OptOut(Pseudonyms(b"key"), tmp_path / "missing.txt")


def test_the_topic_opts_out_and_in_again() -> None:
    pseudonyms = Pseudonyms(b"key")
    optout = OptOut(pseudonyms)
    optout.update(pseudonyms.of("kim"), opted_out=True)
    assert "kim" in optout
    optout.update(pseudonyms.of("kim"), opted_out=False)
    assert "kim" not in optout
