"""Whether each partition gets anywhere, over one membership in the group and the next, and we in it. Pure.

Only what is committed counts as getting somewhere, and a partition for itself: neither other partitions that
move, nor joining the group anew, nor losing the partition together with the broker stops its clock. The clock
stands still while Kafka is known to hold nothing for us, and ends when somebody else has the partition.

Who has no partition, or none with messages that wait, has to go on polling as a member of the group.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

Place = tuple[str, int]
"""Topic and partition. aiokafka's ``TopicPartition`` is one."""


@dataclass(frozen=True, slots=True)
class Stall:
    """A partition that stands still. ``messages`` is None where its lag could not even be learnt."""

    place: Place
    for_s: float
    messages: int | None

    def __str__(self) -> str:
        waiting = "what waits is not known" if self.messages is None else f"{self.messages} messages wait"
        topic, partition = self.place
        return f"{topic}, partition {partition}: {waiting} and none was finished for {self.for_s:.0f} s"


@dataclass(slots=True)
class Progress:
    """Clocks of the partitions that are ours. Times are seconds on one monotonic clock."""

    stall_timeout_s: float
    session_timeout_s: float = 0.0
    """Sharing out partitions may wait so long for a member that has died."""
    finished_messages: int = 0
    lag_messages: dict[Place, int] = field(default_factory=dict)
    """Lag of each partition when it was last known."""
    _waiting_since: dict[Place, float] = field(default_factory=dict)
    _ours: frozenset[Place] = frozenset()
    _polled_at: float | None = None

    def assigned(self, now: float, partitions: frozenset[Place]) -> None:
        """The group has shared out its partitions, and these are ours now: all others are somebody else's.

        Until its lag is known, a partition counts as one with messages that wait.
        """
        self._ours = partitions
        for gone in (self._waiting_since.keys() | self.lag_messages.keys()) - partitions:
            self._waiting_since.pop(gone, None)
            self.lag_messages.pop(gone, None)
        for partition in partitions:
            self._waiting_since.setdefault(partition, now)

    def observed(self, now: float, partition: Place, lag: int) -> None:
        """So many messages of a partition are not finished, as the broker has just told."""
        if partition not in self._ours:
            return
        self.lag_messages[partition] = lag
        if lag == 0:
            self._waiting_since.pop(partition, None)
        else:
            self._waiting_since.setdefault(partition, now)

    def committed(self, now: float, partition: Place, messages: int) -> None:
        """So many messages of a partition were finished, or none, where what was read on is nobody's."""
        self.finished_messages += messages
        if partition in self._waiting_since:
            self._waiting_since[partition] = now

    def polled(self, now: float) -> None:
        """The consumer has been polled as a member of its group, or there is nothing to be a member for."""
        self._polled_at = now

    def excused(self, now: float, partition: Place) -> None:
        """What a partition waits for is not ours to mend: a restart would not bring it back."""
        if partition in self._waiting_since:
            self._waiting_since[partition] = now

    def forget(self, topics: Collection[str]) -> None:
        """What waited in these topics is not there any more: they have gone."""
        for topic, partition in self._ours | self._waiting_since.keys():
            if topic in topics:
                self._waiting_since.pop((topic, partition), None)
                self.lag_messages.pop((topic, partition), None)
        self._ours = frozenset(place for place in self._ours if place[0] not in topics)

    def still_s(self, now: float, partition: Place) -> float:
        """How long messages of a partition have waited and none was finished, in seconds."""
        return now - self._waiting_since.get(partition, now)

    def stall(self, now: float) -> Stall | None:
        """The partition that has stood still for longest, where that is ``stall_timeout_s`` or more."""
        if not self._waiting_since:
            return None
        partition, since = min(self._waiting_since.items(), key=lambda waiting: waiting[1])
        if now - since < self.stall_timeout_s:
            return None
        return Stall(partition, now - since, self.lag_messages.get(partition))

    def standstill(self, now: float) -> str | None:
        """What stands still, where anything does: a partition, or else the consumer itself."""
        if stall := self.stall(now):
            return str(stall)
        idle_s = 0.0 if self._polled_at is None else now - self._polled_at
        if idle_s < self.stall_timeout_s + self.session_timeout_s:
            return None
        return f"the consumer has not been polled as a member of its group for {idle_s:.0f} s"
