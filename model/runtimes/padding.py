"""How windows of different lengths become rectangular batches with little padding. Pure, numpy only.

A padded batch costs rows x longest, so windows are sorted by length first, and a batch holds no more
padded tokens than the runtime's bound. Scores do not depend on it: the mask hides the padding.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]


def chunks(lengths: Sequence[int], max_tokens: int, multiple: int = 1) -> list[list[int]]:
    """Indices of the windows of each batch, by length, longest first.

    ``max_tokens`` bounds rows x longest, longest rounded up to ``multiple``; a window that is longer than
    that alone has a batch of its own. Longest first, so that memory is at its peak in the first batch and
    later ones reuse it.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    batches: list[list[int]] = []
    start = 0
    while start < len(order):
        rows = max(1, max_tokens // rounded_up(lengths[order[start]], multiple))
        batches.append(order[start : start + rows])
        start += rows
    return batches


def cheapest(lengths: Sequence[int], max_tokens: int, batch_cost: int) -> list[list[int]]:
    """Indices of the windows of each batch, so that the whole costs least; the dearest batch first.

    A batch costs its padded tokens and ``batch_cost`` tokens beside them, for what a pass costs whatever is
    in it: so a batch ends where the lengths change. ``max_tokens`` bounds it as it does for ``chunks``.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    ends = _cheapest_ends([lengths[index] for index in order], max_tokens, batch_cost)
    batches = []
    start = 0
    while start < len(order):
        batches.append(order[start : ends[start]])
        start = ends[start]
    return sorted(batches, key=lambda batch: len(batch) * lengths[batch[0]], reverse=True)


def _cheapest_ends(descending: Sequence[int], max_tokens: int, batch_cost: int) -> list[int]:
    """For each window, the end of the batch that begins with it; dynamic programming from the last window."""
    count = len(descending)
    costs = [0] * (count + 1)  # of all windows from this one on
    ends = [0] * count
    for start in range(count - 1, -1, -1):
        longest = descending[start]
        last = min(count, start + max(1, max_tokens // longest))
        costs[start], ends[start] = min(
            (longest * (end - start) + batch_cost + costs[end], end) for end in range(start + 1, last + 1)
        )
    return ends


def even_share(tokens: int, workers: int, max_tokens: int) -> int:
    """The bound on a batch, at most ``max_tokens``, with which ``workers`` end together.

    With one batch more than there are workers, all would wait for the one that has it.
    """
    rounds = -(-tokens // (workers * max_tokens))
    return max(1, min(max_tokens, -(-tokens // (workers * max(1, rounds)))))


def rounded_up(length: int, multiple: int) -> int:
    """The smallest multiple of ``multiple`` that is at least ``length``."""
    return -(-length // multiple) * multiple


def pad(windows: Sequence[Sequence[int]], pad_token_id: int, multiple: int = 1) -> tuple[Ids, Ids]:
    """``input_ids`` and ``attention_mask``, both of shape (windows, longest rounded up to ``multiple``)."""
    lengths = np.fromiter(map(len, windows), dtype=np.int64, count=len(windows))
    width = rounded_up(int(lengths.max()), multiple)
    mask = np.arange(width) < lengths[:, None]  # (windows, width)
    input_ids = np.full(mask.shape, pad_token_id, dtype=np.int64)
    input_ids[mask] = np.concatenate([np.asarray(window, dtype=np.int64) for window in windows])
    return input_ids, mask.astype(np.int64)
