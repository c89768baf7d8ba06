"""Authors leave as pseudonyms, and whoever opted out is not read."""

import os
from pathlib import Path

import pytest

from stream.errors import SettingsError
from stream.privacy import OptOut, Pseudonyms


def test_a_pseudonym_is_stable_under_its_key_and_tells_nothing_of_the_author() -> None:
    first, second = Pseudonyms(b"key"), Pseudonyms(b"key")
    assert first.of("kim") == second.of("kim")
    assert first.of("kim") != first.of("kimi")
    assert first.of("kim") != Pseudonyms(b"other").of("kim")
    assert "kim" not in first.of("kim")
    assert len(first.of("kim")) == 32


def test_without_a_key_pseudonyms_change_at_each_start() -> None:
    assert Pseudonyms(None).of("kim") != Pseudonyms(None).of("kim")


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


def test_a_file_that_has_gone_leaves_its_last_list_in_force(tmp_path: Path) -> None:
    file = tmp_path / "optout.txt"
    file.write_text("kim\n")
    optout = OptOut(Pseudonyms(b"key"), file)
    file.unlink()
    optout.reload()
    assert "kim" in optout
    file.write_text("lee\n")
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
