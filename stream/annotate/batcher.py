"""Micro-batches bounded by padded tokens and by a deadline. Pure: time comes in as an argument.

A padded batch costs its longest text times its rows, so what is alike in length goes together. Only the
head of the queue is looked through for company, and every batch holds the oldest message, so nobody
starves. The deadline counts from the oldest message: one that moved with each arrival would let a slow
trickle wait for ever.
"""

from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import Final, Generic, TypeVar

T = TypeVar("T")

FULL: Final = float("-inf")
"""When a batch is due that nothing more would fit into."""
_HEAD = 512


@dataclass(slots=True, eq=False)
class _Waiting(Generic[T]):
    item: T
    longest: int
    rows: int
    arrived_at: float


@dataclass(frozen=True, slots=True)
class Batch(Generic[T]):
    """Items in order of length. ``padded_tokens`` is what the model works on, padding included."""

    items: tuple[T, ...]
    padded_tokens: int
    oldest_arrived_at: float


class Batcher(Generic[T]):
    """A queue that gives out batches. Times are seconds on one monotonic clock of the caller's."""

    def __init__(self, max_batch_tokens: int, max_wait_s: float) -> None:
        self._max_batch_tokens = max_batch_tokens
        self._max_wait_s = max_wait_s
        self._queue: deque[_Waiting[T]] = deque()
        self._tokens = 0

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, item: T, *, longest: int, rows: int = 1, arrived_at: float) -> None:
        """Take an item of ``rows`` windows whose longest has ``longest`` tokens."""
        self._queue.append(_Waiting(item, longest, rows, arrived_at))
        self._tokens += longest * rows

    def due_at(self) -> float | None:
        """When the next batch is to leave: ``FULL``, which is at once; None when nothing waits."""
        if not self._queue:
            return None
        if self._tokens >= self._max_batch_tokens:
            return FULL
        return self._queue[0].arrived_at + self._max_wait_s

    def take(self) -> Batch[T]:
        """The oldest item with those in the head of the queue that fit it best in length.

        An item that alone is over the bound goes alone; the model splits it.

        Raises:
            IndexError: nothing waits.
        """
        oldest = self._queue[0]
        head = sorted(islice(self._queue, _HEAD), key=lambda waiting: waiting.longest)
        chosen = self._around(head, head.index(oldest))
        taken = set(chosen)
        kept = [waiting for waiting in islice(self._queue, _HEAD) if waiting not in taken]
        for _ in range(len(head)):
            self._queue.popleft()
        self._queue.extendleft(reversed(kept))
        self._tokens -= sum(waiting.longest * waiting.rows for waiting in chosen)
        return Batch(
            items=tuple(waiting.item for waiting in chosen),
            padded_tokens=chosen[-1].longest * sum(waiting.rows for waiting in chosen),
            oldest_arrived_at=oldest.arrived_at,
        )

    def _around(self, head: list[_Waiting[T]], start: int) -> list[_Waiting[T]]:
        """Grow from ``start`` to the neighbour that is nearer in length while the bound allows."""
        low = high = start
        rows = head[start].rows
        while True:
            longest = head[high].longest
            below = head[low - 1] if low > 0 else None
            above = head[high + 1] if high + 1 < len(head) else None
            if below is not None and longest * (rows + below.rows) > self._max_batch_tokens:
                below = None
            if above is not None and above.longest * (rows + above.rows) > self._max_batch_tokens:
                above = None
            if below is None and above is None:
                return head[low : high + 1]
            if above is None or (
                below is not None and head[low].longest - below.longest <= above.longest - longest
            ):
                assert below is not None
                low, rows = low - 1, rows + below.rows
            else:
                high, rows = high + 1, rows + above.rows
