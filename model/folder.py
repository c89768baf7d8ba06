"""A model folder in the Hugging Face layout: what is in it, and whether it can be used.

    config.json            labels, length, padding       model.safetensors   weights for torch
    tokenizer.json         the fast tokenizer            model.int8.onnx     weights for the CPU without torch
    calibration.json       see model.calibration         README.md           the model card
    manifest.json          see model.manifest

Reads only the small files, and hashes the others. Weights are opened by the runtimes, and never from pickles:
a pickle runs the code of whoever wrote it.
"""

import errno
import hashlib
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from model import manifest
from model.calibration import FILE_NAME as CALIBRATION_FILE
from model.calibration import Calibration
from model.errors import CalibrationError, ModelError
from model.jsonfile import read_object
from model.labels import EMOTIONS, LABEL2ID, LABELS

WEIGHTS: Final = Path(__file__).parent / "weights"
"""The weights that are used where none are named."""

DEFAULT: Final = "en"
"""The name that stands for them."""

SHIPPED: Final = {DEFAULT: WEIGHTS, "multilingual": WEIGHTS.with_name("weights-multilingual")}
"""The weights that ship with the package, by the names that stand for them; ``./en`` is a folder."""

CONFIG_FILE: Final = "config.json"
SAFETENSORS_FILE: Final = "model.safetensors"
INT8_ONNX_FILE: Final = "model.int8.onnx"
PICKLES: Final = ("pytorch_model.bin", "model.pt", "model.pth", "model.ckpt")

# A tokenizer_config.json without a limit says so with a number of thirty digits.
_NO_LIMIT: Final = 1 << 20
_NOT_THERE: Final = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP))
"""Errors by which there is no folder; by any other, nobody can tell."""
_LEAST_TOKENS: Final = 8
"""As in a calibration: of less, special tokens and the overlap of windows leave no text."""


@dataclass(frozen=True)
class ModelFolder:
    """A checked folder. ``columns[k]`` is the label of logit k, as an index into ``LABELS``; ``vocabulary``
    is how many tokens the network knows, where its configuration says so.

    ``digests`` are the SHA-256 of the files that decide; ``verified`` says that a manifest states the same.
    """

    path: Path
    columns: tuple[int, ...]
    max_tokens: int
    pad_token_id: int
    vocabulary: int | None
    calibration: Calibration
    digests: Mapping[str, str]
    stated: Mapping[str, str] | None

    @classmethod
    def open(cls, path: Path) -> "ModelFolder":
        """Read and check the folder; raises ``ModelError`` with one line that says what to do."""
        if not _is_folder(path):
            raise ModelError(
                f"{path} is no folder: name a Hugging Face model folder, or none for the shipped"
            )
        config = _read_config(path)
        stated, digests = manifest.read(path), manifest.digests(path)
        if stated is not None:
            manifest.check(path, stated, digests)
        calibration, vocabulary = Calibration.load(path), _vocabulary(config)
        folder = cls(
            path=path,
            columns=_columns(path, config),
            max_tokens=min([calibration.max_tokens, *_length_limits(path, config)]),
            pad_token_id=_pad_token_id(path, config, vocabulary),
            vocabulary=vocabulary,
            calibration=calibration,
            digests=digests,
            stated=stated,
        )
        folder._check_revision()
        return folder

    @property
    def safetensors(self) -> Path | None:
        """The weights for torch, if they are there."""
        return self._existing(SAFETENSORS_FILE)

    @property
    def int8_onnx(self) -> Path | None:
        """The quantised weights for onnxruntime, if they are there."""
        return self._existing(INT8_ONNX_FILE)

    @property
    def name(self) -> str:
        return self.calibration.name or self.path.resolve().name

    @property
    def verified(self) -> bool:
        """Whether a manifest states the content of every file that decides a label."""
        return self.stated is not None

    @property
    def revision(self) -> str:
        """12 hex digits over every file that decides a label: same revision, same answers.

        With a manifest it is the manifest's, so that a copy for CPUs, without the weights for torch, has the
        same. Raises ``ModelError`` where the folder holds no weights.
        """
        if not set(self.digests) & set(manifest.WEIGHT_FILES):
            raise ModelError(self._without_safetensors())
        return manifest.revision(self.digests if self.stated is None else self.stated)

    @property
    def trained_revision(self) -> str | None:
        """The start of the SHA-256 of the weights as they were trained; None in a folder that holds neither
        them nor it.

        A folder for CPUs may leave ``model.safetensors`` out; its calibration still says what they were.
        """
        digest = self.digests.get(SAFETENSORS_FILE)
        return self.calibration.revision if digest is None else digest[:12]

    def weights(self, precision: str = "auto") -> Path:
        """The file that a runtime of this precision opens; "auto" takes what is there, int8 before others.

        Raises ``ModelError`` where it is missing.
        """
        int8, others = self.int8_onnx, self.safetensors
        found = {"auto": int8 or others, "int8": int8}.get(precision, others)
        if found is None and precision == "int8":
            raise ModelError(f"{self.path / INT8_ONNX_FILE} is missing: emotion-train export makes it")
        if found is None:
            raise ModelError(self._without_safetensors())
        return found

    def _without_safetensors(self) -> str:
        """Why torch cannot load this folder, in one line."""
        if pickles := [name for name in PICKLES if self._existing(name)]:
            return (
                f"{self.path / pickles[0]} is a pickle and could run code when opened: safetensors only; "
                "convert it with transformers' save_pretrained(), if you trust where it came from"
            )
        return (
            f"{self.path / SAFETENSORS_FILE} is missing: copy the whole model folder, make it with "
            "emotion-train export, or use device cpu and precision int8"
        )

    def _existing(self, name: str) -> Path | None:
        file = self.path / name
        return file if file.is_file() else None

    def _check_revision(self) -> None:
        """Refuse a calibration that was fitted on other weights: its probabilities would be wrong."""
        fitted_on = self.calibration.revision
        if fitted_on is not None and fitted_on != self.trained_revision:
            raise CalibrationError(
                self.path / CALIBRATION_FILE,
                "revision",
                f"fitted on weights {fitted_on}, but these are {self.trained_revision}; export the folder "
                "again or remove the file to use uncalibrated probabilities",
            )


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)  # since Python 3.14, is_dir() hides why it cannot tell
    except OSError as error:
        if error.errno in _NOT_THERE:
            return False
        raise ModelError(  # a folder above it that this user may not enter
            f"{path} cannot be looked at ({error.strerror}): give this user the right to read it, and to "
            "enter the folders above it"
        ) from error


def revision_of(weights: Path) -> str:
    """First 12 hex digits of the SHA-256 of a weights file."""
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def _read_config(path: Path) -> dict[str, Any]:
    config = read_object(path / CONFIG_FILE)
    if config.get("problem_type") == "multi_label_classification":
        raise ModelError(f"{path / CONFIG_FILE}: a multi-label model; use one with a single label a text")
    return config


def _columns(path: Path, config: dict[str, Any]) -> tuple[int, ...]:
    """The label of each logit, from ``id2label``; upper case is allowed."""
    expected = f"expected are {', '.join(EMOTIONS)} and optionally neutral"
    file = path / CONFIG_FILE
    id2label = config.get("id2label")
    if not isinstance(id2label, dict) or not id2label:
        raise ModelError(f"{file}: no id2label, so the logits have no names; {expected}")
    try:
        names = [str(id2label[str(index)]).strip().lower() for index in range(len(id2label))]
    except KeyError as error:
        raise ModelError(f"{file}: id2label lacks {error}; it must number all logits from 0") from error
    if unknown := [name for name in names if name not in LABELS]:
        raise ModelError(f"{file}: id2label has the unknown label {unknown[0]!r}; {expected}")
    if len(set(names)) < len(names):
        raise ModelError(f"{file}: id2label names a label twice; {expected}")
    return tuple(LABEL2ID[name] for name in names)


def _length_limits(path: Path, config: dict[str, Any]) -> list[int]:
    """What the model and its tokenizer say of the longest input, in tokens."""
    tokenizer_file = path / "tokenizer_config.json"
    tokenizer = read_object(tokenizer_file) if tokenizer_file.is_file() else {}
    stated = (
        _length_limit(path / CONFIG_FILE, config, "max_position_embeddings"),
        _length_limit(tokenizer_file, tokenizer, "model_max_length"),
    )
    return [limit for limit in stated if limit is not None]


def _length_limit(file: Path, content: dict[str, Any], key: str) -> int | None:
    limit = content.get(key)
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not limit >= _LEAST_TOKENS:
        raise ModelError(f"{file}: {key} is {limit!r}, expected are {_LEAST_TOKENS} tokens or more: mend it")
    return int(limit) if limit < _NO_LIMIT else None


def _vocabulary(config: dict[str, Any]) -> int | None:
    size = config.get("vocab_size")
    return size if isinstance(size, int) else None


def _pad_token_id(path: Path, config: dict[str, Any], vocabulary: int | None) -> int:
    token = config.get("pad_token_id")
    if token is None:
        return 0
    if isinstance(token, bool) or not isinstance(token, int) or token < 0:
        raise ModelError(
            f"{path / CONFIG_FILE}: pad_token_id is {token!r}, expected is a token's id: mend it"
        )
    if vocabulary is not None and token >= vocabulary:
        raise ModelError(
            f"{path / CONFIG_FILE}: pad_token_id is {token:,}, but there are {vocabulary:,} tokens: mend it"
        )
    return token
