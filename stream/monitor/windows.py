"""Tumbling windows in event time: which window a moment falls into, and which windows are over. Pure.

Times are whole seconds since the epoch; a window is named by its start and covers [start, start + length).
"""

from typing import Final

HOUR_S: Final = 3600
FIVE_MINUTES_S: Final = 300
KEPT_S: Final = 2 * HOUR_S
"""How long base windows are kept beyond the allowed lateness, or the delay of judging where that is longer:
the hour now, and the hour before it."""


def window_start(moment_s: float, length_s: int) -> int:
    """Start of the window that ``moment_s`` falls into."""
    whole_s = int(moment_s // 1)
    return whole_s - whole_s % length_s


def window_lengths(base_s: int) -> tuple[int, ...]:
    """Lengths that counters are published in: the base window, and 5 min and 1 h where it divides them."""
    longer = (length for length in (FIVE_MINUTES_S, HOUR_S) if length > base_s and length % base_s == 0)
    return (base_s, *longer)


def is_late(start_s: int, length_s: int, *, allowed_lateness_s: float, watermark_s: int) -> bool:
    """Whether a window is over for good: its end lies more than the allowed lateness behind the watermark.

    The watermark is how far event time has come in the same partition (``stream.monitor.watermark``).
    """
    return start_s + length_s + allowed_lateness_s <= watermark_s


def is_expired(start_s: int, *, open_s: float, watermark_s: int) -> bool:
    """Whether a base window may be forgotten: no window that contains it can be updated or judged any more.

    That is within ``open_s`` of the end of such a window.
    """
    return start_s + KEPT_S + open_s <= watermark_s
