"""Whether what was there at the start is labelled: the end of ``annotate --drain``."""

import asyncio
from collections.abc import Sequence
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.annotate.pipeline import Pipeline
from stream.annotate.polling import poll
from stream.errors import RecordError
from stream.kafka import connection, stop_consumer
from stream.settings import Settings

_LOOK_S: Final = 0.5


async def until_drained(
    settings: Settings, pipeline: Pipeline, consumer: AIOKafkaConsumer, places: Sequence[TopicPartition]
) -> None:
    """Wait until the whole group has finished what is there now."""
    ends = await ends_of_messages(settings, places)
    left = list(places)
    while left:
        await asyncio.sleep(_LOOK_S)
        left = [tp for tp in left if not await _finished(pipeline, consumer, tp, ends[tp])]


async def _finished(pipeline: Pipeline, consumer: AIOKafkaConsumer, tp: TopicPartition, end: int) -> bool:
    partition = pipeline.partitions.get(tp)
    if partition is not None and partition.state.admits:
        return not partition.ledger and not partition.held and await consumer.position(tp) >= end
    return end == 0 or (await consumer.committed(tp) or 0) >= end


async def ends_of_messages(settings: Settings, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
    """The offset behind the last message of each partition; 0 where it has none.

    The log may go on behind it, with markers of transactions and what was aborted. When members commit an
    offset behind those is their affair, so of a partition that another has, its end is not waited for.
    """
    consumer = AIOKafkaConsumer(
        **connection(settings),
        group_id=None,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
    )
    try:
        await consumer.start()
        return {place: await _end_of_messages(consumer, place) for place in places}
    finally:
        await stop_consumer(consumer, settings.revoke_timeout_s)


async def _end_of_messages(consumer: AIOKafkaConsumer, place: TopicPartition) -> int:
    """Looked for from the end on, each time twice as far back.

    What cannot be read counts as a message: whoever comes to it says so.
    """
    consumer.assign([place])
    first: int = (await consumer.beginning_offsets([place]))[place]
    end: int = (await consumer.end_offsets([place]))[place]
    start = end
    while start > first:
        start = max(first, end - 2 * (end - start or 1))
        consumer.seek(place, start)
        found = 0
        while await consumer.position(place) < end:
            try:
                polled = await poll(consumer, timeout_ms=500)
            except RecordError:
                return end
            for record in polled.get(place, ()):
                if record.offset < end:
                    found = record.offset + 1
        if found:
            return found
    return 0
