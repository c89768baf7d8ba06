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
from itertools import chain
from typing import Final

import numpy as np
import numpy.typing as npt

from model.contract import Logits
from model.runtimes import Runtime

REMEMBER: Final = 16_384
"""Windows that are remembered where nothing else is said: some 4 MB."""

_FIRST_ROWS: Final = 1024


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

    ``size`` bounds the windows that are remembered, some 250 bytes each, taken as windows come; with 0 only
    equal windows of one batch are shared.
    """

    def __init__(self, runtime: Runtime, size: int) -> None:
        self._runtime = runtime
        self._size = size
        self._keys = _Keys()
        self._slots: OrderedDict[bytes, int] = OrderedDict()  # rows of what is remembered, by key
        self._used = 0  # rows that were handed out: those below
        self._remembered: Logits | None = None  # (rows, labels)
        self._asked = self._known = 0

    @property
    def use(self) -> MemoryUse:
        """What the memory has saved so far."""
        return MemoryUse(self._asked, self._known)

    def forward(self, windows: Sequence[Sequence[int]]) -> Logits:
        """Logits of every window, shape (windows, labels), in the order given."""
        if not windows:
            return self._runtime.forward(windows)
        new: dict[bytes, int] = {}  # which of those to compute has this key
        to_compute: list[Sequence[int]] = []
        sources: list[int] = []  # a remembered row, or below zero one of those to compute
        for window, key in zip(windows, self._keys.of(windows), strict=True):
            slot = self._slots.get(key)
            if slot is not None:
                self._slots.move_to_end(key)
                sources.append(slot)
                continue
            place = new.setdefault(key, len(to_compute))
            if place == len(to_compute):
                to_compute.append(window)
            sources.append(~place)
        computed = self._compute(to_compute)
        logits = self._gathered(np.array(sources), computed)
        self._asked += len(windows)
        self._known += len(windows) - len(new)
        self._remember(new, computed)
        return logits

    def _compute(self, windows: list[Sequence[int]]) -> Logits:
        if not windows:
            return np.empty((0, 0), dtype=np.float32)
        try:
            return self._runtime.forward(windows)
        except Exception:
            # Whoever asks next whether the runtime still works must hear it from the runtime.
            self._slots.clear()
            self._used = 0
            raise

    def _gathered(self, sources: npt.NDArray[np.int64], computed: Logits) -> Logits:
        is_new = sources < 0
        if self._remembered is None or is_new.all():
            return computed[~sources]
        logits: Logits = self._remembered[np.where(is_new, 0, sources)]
        if len(computed):
            logits[is_new] = computed[~sources[is_new]]
        return logits

    def _remember(self, new: dict[bytes, int], computed: Logits) -> None:
        if not new or not self._size:
            return
        finite = np.isfinite(computed.sum(axis=1))
        kept = [(key, place) for key, place in new.items() if finite[place]][-self._size :]
        slots = self._slots_for(len(kept))
        self._slots.update(zip((key for key, _ in kept), slots, strict=True))
        self._with_room(computed.shape[1])[slots] = computed[[place for _, place in kept]]

    def _slots_for(self, count: int) -> list[int]:
        """So many rows: those that were never used, then those of the least recently used windows."""
        fresh = range(self._used, min(self._used + count, self._size))
        self._used = fresh.stop
        return [*fresh, *(self._slots.popitem(last=False)[1] for _ in range(count - len(fresh)))]

    def _with_room(self, labels: int) -> Logits:
        """The remembered logits, with room for all rows in use."""
        before = self._remembered
        if before is None or len(before) < self._used:
            rows = min(self._size, max(_FIRST_ROWS, 2 * self._used))
            self._remembered = np.empty((rows, labels), dtype=np.float32)
            if before is not None:
                self._remembered[: len(before)] = before
            return self._remembered
        return before


class _Keys:
    """Sixteen bytes for a window: two sums of its ids, each times a secret random number of its place.

    Multilinear hashing modulo 2^64 (Lemire and Kaser, "Strongly universal string hashing is fast", 2014): two
    windows share a key by a chance below 2^-90, whoever wrote them, since nobody outside knows the numbers.
    A batch is a few operations of numpy, where a cryptographic hash costs more than the rest of this file.
    """

    def __init__(self) -> None:
        self._factors = np.empty((2, 0), dtype=np.uint64)

    def of(self, windows: Sequence[Sequence[int]]) -> list[bytes]:
        lengths = np.fromiter(map(len, windows), dtype=np.int64, count=len(windows))
        ends = np.cumsum(lengths)
        ids = np.fromiter(chain.from_iterable(windows), dtype=np.uint64, count=int(ends[-1]))
        places = np.arange(len(ids)) - np.repeat(ends - lengths, lengths)
        # An id counts from 1: a window differs from itself with a zero behind it.
        products = self._at_least(int(lengths.max()))[:, places] * (ids + np.uint64(1))
        sums = np.zeros((2, len(ids) + 1), dtype=np.uint64)
        np.cumsum(products, axis=1, out=sums[:, 1:])
        keys = np.ascontiguousarray((sums[:, ends] - sums[:, ends - lengths]).T).tobytes()
        return [keys[start : start + 16] for start in range(0, len(keys), 16)]

    def _at_least(self, places: int) -> npt.NDArray[np.uint64]:
        """The numbers of the first ``places`` and more."""
        missing = places - self._factors.shape[1]
        if missing > 0:
            drawn = np.frombuffer(secrets.token_bytes(16 * missing), dtype=np.uint64).reshape(2, missing)
            self._factors = np.concatenate([self._factors, drawn], axis=1)
        return self._factors
