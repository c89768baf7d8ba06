"""How windows of different lengths are put end to end, so that nothing is padded. Pure, numpy only.

    windows      [CLS] so glad [SEP]   [CLS] why [SEP]
    input_ids    101 2061 5580 102 101 2339 102
    positions      0    1    2   3   0    1   2
    starts         0                 4             7

Every layer but attention works on tokens and needs no borders; attention takes them from ``starts``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
import numpy.typing as npt

Int32 = npt.NDArray[np.int32]

SHORT: Final = 128
"""Tokens of the longest window among short ones: kernels of attention take queries by blocks of 128, so that
windows up to here need one block each, and a pack of them no room for more."""


@dataclass(frozen=True, slots=True)
class Pack:
    """Windows end to end. ``rows`` are their places in what was asked for.

    ``input_ids`` and ``positions`` have shape (tokens,), ``starts`` (windows + 1,): where each window starts,
    and where the last one ends. ``longest`` is the length of the longest window.
    """

    rows: npt.NDArray[np.intp]
    input_ids: Int32
    positions: Int32
    starts: Int32
    longest: int

    @property
    def tokens(self) -> int:
        return len(self.input_ids)

    @property
    def windows(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Budget:
    """Room of a fixed size for a pack, as one array: input ids, positions, starts.

    What a pack leaves free of it belongs to no window: the last start is repeated to the end.
    """

    tokens: int
    windows: int

    @property
    def parts(self) -> tuple[int, int, int]:
        """The lengths of the three parts."""
        return self.tokens, self.tokens, self.windows + 1

    def holds(self, pack: Pack) -> bool:
        return pack.tokens <= self.tokens and pack.windows <= self.windows

    def lay_out(self, pack: Pack, room: Int32) -> None:
        """Write the pack into ``room``, of shape (sum of ``parts``,)."""
        positions, starts = self.tokens, 2 * self.tokens
        room[: pack.tokens] = pack.input_ids
        room[pack.tokens : positions] = 0
        room[positions : positions + pack.tokens] = pack.positions
        room[positions + pack.tokens : starts] = 0
        room[starts : starts + len(pack.starts)] = pack.starts
        room[starts + len(pack.starts) :] = pack.tokens


def packs(windows: Sequence[Sequence[int]], max_tokens: int, max_windows: int) -> Iterator[Pack]:
    """Packs of at most ``max_tokens`` tokens and ``max_windows`` windows, filled in the order given.

    Long windows, those beyond ``SHORT``, come last and in packs of their own.

    Raises:
        ValueError: a window is empty, or longer than ``max_tokens``.
    """
    lengths = np.fromiter(map(len, windows), dtype=np.int64, count=len(windows))
    if not len(lengths):
        return
    if lengths.min() < 1 or lengths.max() > max_tokens:
        raise ValueError(
            f"windows must have 1 to {max_tokens} tokens, not {lengths.min()} to {lengths.max()}"
        )
    is_long = lengths > SHORT
    for rows in (np.flatnonzero(~is_long), np.flatnonzero(is_long)):
        yield from _filled(windows, rows, lengths[rows], max_tokens, max_windows)


def _filled(
    windows: Sequence[Sequence[int]],
    rows: npt.NDArray[np.intp],
    lengths: npt.NDArray[np.int64],
    max_tokens: int,
    max_windows: int,
) -> Iterator[Pack]:
    ends = np.cumsum(lengths)
    first = 0
    while first < len(rows):
        begin = ends[first] - lengths[first]
        last = int(np.searchsorted(ends, begin + max_tokens, side="right"))
        part = slice(first, min(last, first + max_windows))
        yield _pack(windows, rows[part], lengths[part])
        first = part.stop


def _pack(
    windows: Sequence[Sequence[int]], rows: npt.NDArray[np.intp], lengths: npt.NDArray[np.int64]
) -> Pack:
    starts = np.zeros(len(rows) + 1, dtype=np.int32)
    np.cumsum(lengths, out=starts[1:])
    tokens = int(starts[-1])
    ids = chain.from_iterable([windows[row] for row in rows.tolist()])
    return Pack(
        rows=rows,
        input_ids=np.fromiter(ids, dtype=np.int32, count=tokens),
        positions=np.arange(tokens, dtype=np.int32) - np.repeat(starts[:-1], lengths),
        starts=starts,
        longest=int(lengths.max()),
    )
