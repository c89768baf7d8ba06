"""What the clock of a receiver says, by the ``Date`` of its answers. Pure.

Alertmanager holds the end that an alert is sent with against its own clock: by one that is ahead of ours by
an hour, whatever fires looks ended.
"""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

ROUGHLY: Final = timedelta(seconds=5)
"""A ``Date`` is in whole seconds and was on its way: a smaller difference may be none."""

WORTH_TELLING: Final = timedelta(minutes=1)

MOST_APART: Final = timedelta(days=1)
"""A ``Date`` that is further from our clock is not believed."""


class ReceiverClock:
    """``heard`` once there was an answer; ``apart`` is by how much its clock is ahead of ours."""

    def __init__(self) -> None:
        self.heard = False
        self.apart = timedelta()
        self._told = False

    @property
    def believed(self) -> bool:
        return abs(self.apart) <= MOST_APART

    def hear(self, date: str | None, now: datetime) -> bool:
        """Take the ``Date`` of an answer; whether the clocks differ now by what nobody was told of before.

        Without one that can be read, the last one holds.
        """
        self.heard = True
        try:
            said = parsedate_to_datetime(date or "")
        except (ValueError, OverflowError):
            return False
        self.apart = (said if said.tzinfo else said.replace(tzinfo=UTC)) - now
        before, self._told = self._told, abs(self.apart) >= WORTH_TELLING
        return self._told and not before

    def at(self, now: datetime) -> datetime:
        """What it says while ours says ``now``."""
        return now + self.apart if self.believed and abs(self.apart) > ROUGHLY else now
