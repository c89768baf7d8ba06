"""Model folders for the tests: a tiny real one, copies of it to spoil, and the one that ships."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from model.folder import WEIGHTS
from tests.model.tiny import write_tiny_folder

FolderMaker = Callable[..., Path]

# Examples are not timed: a busy machine is no defect.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Models this small only wait for each other's threads."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model's folder, for reading only."""
    folder = tmp_path_factory.mktemp("tiny-distilbert")
    write_tiny_folder(folder)
    return folder


@pytest.fixture
def make_folder(tiny_folder: Path, tmp_path: Path) -> FolderMaker:
    """A copy of the tiny folder to change: files left out, values of config.json or the calibration set."""

    def make(
        *, without: tuple[str, ...] = (), config: dict[str, object] | None = None, **calibration: object
    ) -> Path:
        folder = tmp_path / "copy"
        shutil.copytree(tiny_folder, folder, ignore=lambda _, names: set(without) & set(names))
        for name, changes in (("config.json", config), ("calibration.json", calibration)):
            if changes:
                file = folder / name
                file.write_text(json.dumps(json.loads(file.read_text()) | changes))
        return folder

    return make


@pytest.fixture(scope="session")
def shipped_folder() -> Path:
    """The weights that ship with the package."""
    if not (WEIGHTS / "config.json").is_file():
        pytest.skip(f"{WEIGHTS} holds no weights: emotion-train export makes them")
    return WEIGHTS
