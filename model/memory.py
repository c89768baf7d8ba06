"""Equal texts are computed once: within a batch, and across batches by a bounded memory of logits.

Streams repeat themselves: "thanks!", canned replies, forwarded messages. Windows of the same token ids have
the same logits, whatever stands beside them in a batch, so a remembered answer is the answer. The memory
holds logits under a keyed hash of the token ids: no text, and nothing that a text could be looked up by
outside of the process.
"""

import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import numpy as np
import numpy.typing as npt

from model.contract import Logits
from model.runtimes import Runtime

REMEMBER: Final = 16_384
"""Windows that are remembered where nothing else is said: some 5 MB."""


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """How many windows were asked for since the start, and how many of them needed no computing."""

    asked: int
    known: int

    @property
    def hit_rate(self) -> float:
        """In [0, 1]; 0 where nothing was asked."""
        return self.known / self.asked if self.asked else 0.0


class Memory:
    """A runtime's logits by token ids, least recently used first out. One thread at a time.

    ``size`` bounds the windows that are remembered, some 300 bytes each; with 0 only equal windows of one
    batch are shared.
    """

    def __init__(self, runtime: Runtime, size: int) -> None:
        self._runtime = runtime
        self._size = size
        self._rows: OrderedDict[bytes, npt.NDArray[np.float32]] = OrderedDict()
        self._key = secrets.token_bytes(16)
        self._asked = self._known = 0

    @property
    def use(self) -> MemoryUse:
        """What the memory has saved so far."""
        return MemoryUse(self._asked, self._known)

    def forward(self, windows: Sequence[Sequence[int]]) -> Logits:
        """Logits of every window, shape (windows, labels), in the order given."""
        if not windows:
            return self._runtime.forward(windows)
        keys = [self._digest(window) for window in windows]
        new = {key: i for i, key in enumerate(keys) if key not in self._rows}
        rows = {key: self._rows[key] for key in keys if key not in new}
        if new:
            try:
                computed = self._runtime.forward([windows[i] for i in new.values()])
            except Exception:
                # Whoever asks next whether the runtime still works must hear it from the runtime.
                self._rows.clear()
                raise
            rows |= zip(new, computed, strict=True)
        self._asked += len(keys)
        self._known += len(keys) - len(new)
        self._remember(rows)
        return np.stack([rows[key] for key in keys])

    def _digest(self, window: Sequence[int]) -> bytes:
        ids = np.asarray(window, dtype=np.int32).tobytes()
        return blake2b(ids, digest_size=16, key=self._key).digest()

    def _remember(self, rows: dict[bytes, npt.NDArray[np.float32]]) -> None:
        for key, row in rows.items():
            if key not in self._rows:
                if not np.isfinite(row).all():
                    continue
                self._rows[key] = row.copy()  # a view would keep its whole batch alive
            self._rows.move_to_end(key)
        while len(self._rows) > self._size:
            self._rows.popitem(last=False)
