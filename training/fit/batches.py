"""Token ids in batches of about equal length.

B: texts in a batch, T: tokens of its longest text, rounded up.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from model.tokenizer import Tokenizer
from training.data.rows import Row

if TYPE_CHECKING:
    from torch import Tensor

# oneDNN compiles its kernels for each shape it meets, and with every length from 5 to 70 it never stops
# compiling. Rounded up to a multiple of 8, nine lengths are left.
PAD_MULTIPLE: Final = 8
# Batches whose texts are sorted by length together: enough for little padding, and still a random mixture.
BATCHES_A_POOL: Final = 50


@dataclass(frozen=True, slots=True)
class Batch:
    """``input_ids`` and ``attention_mask``: int64 (B, T); ``rows``: each text's index in the sequence
    encoded.
    """

    input_ids: "Tensor"
    attention_mask: "Tensor"
    rows: tuple[int, ...]


def encode(tokenizer: Tokenizer, rows: Sequence[Row]) -> list[tuple[int, ...]]:
    """Token ids of each row, as the classifier reads them; of a text too long for one window, its first."""
    return [encoded.windows[0] for encoded in tokenizer.encode([row.text for row in rows])]


def training_batches(
    ids: Sequence[Sequence[int]], size: int, rng: random.Random, pad_id: int
) -> Iterator[Batch]:
    """Every row once, in random order, each batch of rows of about equal length."""
    order = list(range(len(ids)))
    rng.shuffle(order)
    chosen: list[list[int]] = []
    for start in range(0, len(order), size * BATCHES_A_POOL):
        pool = sorted(order[start : start + size * BATCHES_A_POOL], key=lambda row: len(ids[row]))
        chosen.extend(pool[first : first + size] for first in range(0, len(pool), size))
    rng.shuffle(chosen)
    for rows in chosen:
        yield collate(ids, rows, pad_id)


def ordered_batches(ids: Sequence[Sequence[int]], size: int, pad_id: int) -> Iterator[Batch]:
    """Every row once, shortest first: the order for inference."""
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    for start in range(0, len(order), size):
        yield collate(ids, order[start : start + size], pad_id)


def collate(ids: Sequence[Sequence[int]], rows: Sequence[int], pad_id: int) -> Batch:
    """The rows of ``ids`` named by ``rows`` as one padded batch."""
    import torch

    longest = max(len(ids[row]) for row in rows)
    width = -(-longest // PAD_MULTIPLE) * PAD_MULTIPLE
    input_ids = torch.full((len(rows), width), pad_id, dtype=torch.long)
    attention_mask = torch.zeros((len(rows), width), dtype=torch.long)
    for place, row in enumerate(rows):
        length = len(ids[row])
        input_ids[place, :length] = torch.tensor(ids[row], dtype=torch.long)
        attention_mask[place, :length] = 1
    return Batch(input_ids, attention_mask, tuple(rows))
