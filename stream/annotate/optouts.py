"""Keeps the opt-out list current from its compacted topic: read to the end first, then followed.

Key: the author's pseudonym. A value opts out, a tombstone opts in again. The annotator labels nothing
before the topic was read once, since an opt-out must hold from the first message on. Later errors leave
what is known in force, are said, and are tried again; partitions that are added are read from their start.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from stream.errors import RecordError
from stream.privacy import OptOut
from stream.records import UnreadBatch

RETRY_S: Final = 1.0
METADATA_MAX_AGE_MS: Final = 5_000
"""How soon a new partition of the topic is known."""

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def following(
    connection: dict[str, Any], topic: str, partitions: int, optout: OptOut
) -> AsyncIterator[None]:
    """``optout`` holds the whole topic on entry and follows it until the block is left."""
    consumer = AIOKafkaConsumer(
        **connection,
        group_id=None,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        metadata_max_age_ms=METADATA_MAX_AGE_MS,
    )
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = await consumer.end_offsets(places)
        while any([await consumer.position(place) < ends[place] for place in places]):
            _take(await consumer.getmany(timeout_ms=200), optout)
        follow = asyncio.create_task(_follow(consumer, topic, optout))
        try:
            yield
        finally:
            follow.cancel()
            with suppress(asyncio.CancelledError):
                await follow
    finally:
        await consumer.stop()


async def _follow(consumer: AIOKafkaConsumer, topic: str, optout: OptOut) -> None:
    while True:
        try:
            await _take_new_partitions(consumer, topic)
            _take(await consumer.getmany(timeout_ms=500), optout)
            optout.topic_problem = None
        except KafkaError as error:
            if optout.topic_problem is None:
                _log.warning(
                    "the opt-out topic cannot be followed; trying on", topic=topic, reason=repr(error)
                )
            optout.topic_problem = f"the opt-out topic {topic} cannot be followed ({error!r})"
            await asyncio.sleep(RETRY_S)
        except RecordError as error:
            optout.unreadable = error
            return


async def _take_new_partitions(consumer: AIOKafkaConsumer, topic: str) -> None:
    """Add partitions that the topic has got; assigning forgets where the others stand."""
    places = {TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()}
    known = set(consumer.assignment())
    new = places - known
    if not new:
        return
    positions = {place: await consumer.position(place) for place in known}
    consumer.assign(sorted(known | new))
    for place, position in positions.items():
        consumer.seek(place, position)
    await consumer.seek_to_beginning(*new)


def _take(polled: dict[TopicPartition, list[Any]], optout: OptOut) -> None:
    for records in polled.values():
        for record in records:
            if isinstance(record.value, UnreadBatch):
                raise RecordError(
                    f"topic {record.topic}, partition {record.partition}: {record.value.told}; who opted out "
                    "in it is not known, so nothing is labelled"
                )
            if record.key is not None:
                optout.update(record.key.decode("ascii", "replace"), opted_out=record.value is not None)
