"""Which moment a message counts for: its own time, Kafka's, or now, as far as they can be right. Pure.

    the message's own ts ─► can be right? ─► Kafka's time stamp ─► can be right? ─► now

Event time moves windows and watermarks, so one wrong clock would make the messages of all others late, or
count them in January 1970. All times are Unix milliseconds.
"""

from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

EARLIEST_MS: Final = int(datetime(1990, 1, 1, tzinfo=UTC).timestamp()) * 1000
"""Before this, a time is a clock that was never set, or one in seconds where milliseconds were meant."""

Clock = Literal["message", "broker"]


class MessageTime(NamedTuple):
    """``event_ms`` is when it was written, ``taken_ms`` when Kafka took it, corrected where they had to be.

    ``wrong`` names the clock whose time was replaced in ``event_ms``.
    """

    event_ms: int
    taken_ms: int
    wrong: Clock | None


def message_time(
    claimed: datetime | None, record_ms: int, now_ms: int, max_ahead_ms: int, written_ms: int | None = None
) -> MessageTime:
    """The time of a message with this ``ts``, in a record with this time stamp, read at ``now_ms``.

    ``written_ms`` is the record's first time stamp, where it has been sent back from the dead letters. What
    lies further ahead than ``max_ahead_ms``, of now or of the time that Kafka took it, cannot be right.
    """
    taken_ms = record_ms if _possible(record_ms, now_ms + max_ahead_ms) else now_ms
    latest_ms = taken_ms + max_ahead_ms
    if claimed is not None:
        claimed_ms = int(claimed.timestamp() * 1000)
        if _possible(claimed_ms, latest_ms):
            return MessageTime(claimed_ms, taken_ms, None)
    wrong: Clock | None = "message" if claimed is not None else None
    if written_ms is None:
        written_ms = record_ms
    if _possible(written_ms, latest_ms):
        return MessageTime(written_ms, taken_ms, wrong)
    return MessageTime(taken_ms, taken_ms, wrong or "broker")


def _possible(ms: int, latest_ms: int) -> bool:
    return EARLIEST_MS <= ms <= latest_ms
