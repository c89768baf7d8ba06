"""How far the dead letters of each cause have been sent back: the offsets of a consumer group each."""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError
from aiokafka.structs import TopicPartition

from stream.admin import TIMEOUT_S, connected
from stream.commands.letters import Letter
from stream.settings import Settings

Positions = dict[TopicPartition, int]


def replay_group(group_id: str, cause: str) -> str:
    """The consumer group that keeps how far dead letters of a cause have been sent back."""
    return f"{group_id}-replay-{cause}"


@dataclass(slots=True)
class Progress:
    """How far one cause has been sent back: ``wanted_from`` is where this replay begins to send."""

    committed: Positions
    wanted_from: Positions

    def wants(self, letter: Letter) -> bool:
        place = TopicPartition(letter.record.topic, letter.record.partition)
        offset: int = letter.record.offset
        return offset >= self.wanted_from.get(place, 0)

    def begin_again_beyond(self, place: TopicPartition, end: int) -> None:
        """Forget a position that the partition does not reach: its topic was deleted and made anew."""
        if self.committed.get(place, 0) > end:
            del self.committed[place]
            self.wanted_from.pop(place, None)

    def ahead(self, positions: Positions) -> Positions:
        """Those of the positions that are beyond what is committed: ``--again`` must not set it back."""
        return {place: offset for place, offset in positions.items() if offset > self.committed.get(place, 0)}


async def read_progress(settings: Settings, causes: Iterable[str], *, again: bool) -> dict[str, Progress]:
    """How far each cause has come; ``again``: all is wanted once more."""
    async with connected(settings) as admin:
        progress = {}
        for cause in causes:
            committed = await _committed(admin, replay_group(settings.group_id, cause), settings.topics.dlq)
            progress[cause] = Progress(committed, {} if again else dict(committed))
    return progress


async def _committed(admin: AIOKafkaAdminClient, group_id: str, topic: str) -> Positions:
    """Offsets that a group has committed in a topic."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            try:
                offsets = await admin.list_consumer_group_offsets(group_id)
            except GroupCoordinatorNotAvailableError:
                # A fresh cluster makes its offsets topic only when it is asked for the first time.
                await asyncio.sleep(0.1)
            else:
                return {place: kept.offset for place, kept in offsets.items() if place.topic == topic}


async def seek_wanted(consumer: AIOKafkaConsumer, progress: Collection[Progress]) -> Positions:
    """Go to the first dead letter that any cause still wants; returns the ends as of now."""
    places = list(consumer.assignment())
    beginnings: Positions = await consumer.beginning_offsets(places)
    ends: Positions = await consumer.end_offsets(places)
    for place in places:
        for cause in progress:
            cause.begin_again_beyond(place, ends[place])
        first = min(cause.wanted_from.get(place, 0) for cause in progress)
        consumer.seek(place, max(first, beginnings[place]))
    return ends
