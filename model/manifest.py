"""Whether a model folder is the one that was exported: ``manifest.json``, a SHA-256 of what decides.

    emotion-train export …              writes it
    python -m model.manifest FOLDER     writes it anew, for whoever changed a file on purpose

Swap two rows of the head inside ``model.int8.onnx``, and joy is called sadness by a folder that looks whole.
With a manifest such a folder is refused. A plain Hugging Face folder has none: it loads, and counts as
unverified. A manifest guards against mistakes and torn copies, not against someone who writes a new one; for
that, compare the revision in the events with the one that was published.
"""

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from model.errors import ModelError
from model.jsonfile import read_object

FILE_NAME: Final = "manifest.json"

WEIGHT_FILES: Final = ("model.safetensors", "model.int8.onnx")
"""Weights for torch and for CPUs; a copy for one kind of machine may leave the other out."""

DECIDING_FILES: Final = (
    "calibration.json",
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    *WEIGHT_FILES,
)
"""Every file that has a say in a label. The card has none."""

_VERSION: Final = 1


def digests(folder: Path) -> dict[str, str]:
    """SHA-256, in hex, of each deciding file that ``folder`` holds, by name. Reads them whole.

    Raises ``ModelError`` for one that cannot be read, and for a link that leads nowhere.
    """
    return {name: _sha256(folder / name) for name in DECIDING_FILES if _is_there(folder / name)}


def write(folder: Path) -> Path:
    """Write the manifest of ``folder`` as it is now, and return its path."""
    return state(folder, digests(folder))


def state(folder: Path, files: Mapping[str, str]) -> Path:
    """Write a manifest that states ``files``, their digests by name, and return its path."""
    file = folder / FILE_NAME
    content = {"version": _VERSION, "files": dict(files)}
    file.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return file


def read(folder: Path) -> dict[str, str] | None:
    """The digests that the manifest of ``folder`` states; None where there is no manifest.

    Raises ``ModelError`` for one that cannot be read, and for a link that leads nowhere.
    """
    file = folder / FILE_NAME
    if not _is_there(file):
        return None
    content = read_object(file)
    files = content.get("files")
    if content.get("version") != _VERSION or not isinstance(files, dict):
        raise ModelError(f"{file} is no manifest of version {_VERSION}: export the folder again")
    return {str(name): str(digest) for name, digest in files.items()}


def check(folder: Path, stated: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Raise ``ModelError`` where the files ``found`` in ``folder`` are not those that were ``stated``."""
    for name, digest in found.items():
        if stated.get(name) != digest:
            written = stated[name][:12] if name in stated else "nothing of it"
            raise ModelError(
                f"{folder / name} is not the file that was exported ({FILE_NAME} states {written}, found is "
                f"{digest[:12]}): copy the folder again; if you changed it on purpose, python -m "
                f"model.manifest {folder}"
            )
    if missing := sorted(set(stated) - set(found) - set(WEIGHT_FILES)):
        raise ModelError(f"{folder / missing[0]} is missing, {FILE_NAME} states it: copy the whole folder")


def revision(stated: Mapping[str, str]) -> str:
    """12 hex digits over all of ``stated``: the same revision, the same files."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(stated.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:12]


def _is_there(file: Path) -> bool:
    """Whether the file is there. A link without its file, as in a cache of the hub that was copied without
    its blobs, is no file that was left out: the folder would load as another model than it is.
    """
    if file.is_file():
        return True
    if file.is_symlink():
        raise ModelError(f"{file} is a link that leads to no file: copy the files behind links too")
    return False


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{file} cannot be read ({error.strerror}): copy the whole model folder") from error


def main(arguments: list[str]) -> int:
    """Write the manifest of the one folder that is named; the exit status."""
    if len(arguments) != 1 or not (Path(arguments[0]) / "config.json").is_file():
        sys.stderr.write("usage: python -m model.manifest FOLDER (one with a config.json)\n")
        return 2
    sys.stdout.write(f"{write(Path(arguments[0]))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
