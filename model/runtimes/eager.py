"""Batches run operation by operation, on any device: padded for any network, packed for those that can be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch

from model.contract import Logits
from model.runtimes.distilbert import PackedDistilBert
from model.runtimes.packing import packs
from model.runtimes.padding import chunks, pad

# On a GPU a batch must be wide to fill it, and 64k tokens of a 768-wide encoder stay under 2 GB. On a CPU
# wide batches gain nothing and padding costs.
MAX_BATCH_TOKENS: Final = {"cuda": 65_536, "cpu": 512}

# Lengths are rounded up to a few values: tensor cores work in eights, and the allocator meets the same
# shapes again and again.
LENGTH_MULTIPLE: Final = {"cuda": 8, "cpu": 1}


class PaddedRunner:
    """A ``transformers`` sequence classifier over rectangular batches."""

    def __init__(self, network: Any, *, device: torch.device, pad_token_id: int, outputs: int) -> None:
        self._network = network
        self._device = device
        self._pad_token_id = pad_token_id
        self._outputs = outputs

    def forward(self, windows: Sequence[Sequence[int]]) -> Logits:
        """Logits (windows, outputs), in the order given; chunked by length.

        Batches are queued on the GPU one after the other, the next padded while one runs; the logits come
        back in one copy, which is the only wait.
        """
        kind = self._device.type
        batches = chunks([len(w) for w in windows], MAX_BATCH_TOKENS[kind], LENGTH_MULTIPLE[kind])
        if not batches:
            return np.empty((0, self._outputs), dtype=np.float32)
        with torch.inference_mode():
            parts = [self._run([windows[row] for row in rows]) for rows in batches]
            return _gathered(parts, np.concatenate(batches))

    def _run(self, windows: Sequence[Sequence[int]]) -> torch.Tensor:
        """Logits of one padded batch, on the device; does not wait for them."""
        input_ids, attention_mask = pad(windows, self._pad_token_id, LENGTH_MULTIPLE[self._device.type])
        # Without a mask, attention takes its fastest kernel.
        mask = None if attention_mask.all() else _moved(attention_mask, self._device)
        ids = _moved(input_ids, self._device)
        logits: torch.Tensor = self._network(input_ids=ids, attention_mask=mask).logits
        return logits


class PackedRunner:
    """A packed network, one pack of at most ``max_tokens`` after the other."""

    def __init__(self, network: PackedDistilBert, max_tokens: int | None = None) -> None:
        self._network = network
        self._max_tokens = max(max_tokens or MAX_BATCH_TOKENS[network.device.type], network.longest)

    def forward(self, windows: Sequence[Sequence[int]]) -> Logits:
        """Logits (windows, outputs), in the order given."""
        if not windows:
            return np.empty((0, self._network.outputs), dtype=np.float32)
        # By length, so that attention by length meets few of them in a pack.
        order = np.argsort([len(window) for window in windows], kind="stable")
        by_length = [windows[row] for row in order.tolist()]
        parts, rows = [], []
        with torch.inference_mode():
            for pack in packs(by_length, self._max_tokens, self._max_tokens):
                arrays = (pack.input_ids, pack.positions, pack.starts)
                input_ids, positions, starts = (_moved(array, self._network.device) for array in arrays)
                parts.append(self._network.forward(input_ids, positions, starts, pack.longest))
                rows.append(order[pack.rows])
            return _gathered(parts, np.concatenate(rows))


def _gathered(parts: list[torch.Tensor], rows: np.ndarray[Any, Any]) -> Logits:
    """Logits of all batches, back in the order given: ``rows[i]`` is the place of the i-th."""
    gathered = torch.cat(parts).float().cpu().numpy()
    logits: Logits = np.empty_like(gathered)
    logits[rows] = gathered
    return logits


def _moved(array: np.ndarray[Any, Any], device: torch.device) -> torch.Tensor:
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor
