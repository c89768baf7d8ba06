"""Keeps the opt-out list current from its compacted topic: read to the end first, then followed.

Key: the author's pseudonym. A value opts out, a tombstone opts in again. The annotator labels nothing
before the topic was read once, since an opt-out must hold from the first message on.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.privacy import OptOut


@asynccontextmanager
async def following(
    connection: dict[str, Any], topic: str, partitions: int, optout: OptOut
) -> AsyncIterator[None]:
    """``optout`` holds the whole topic on entry and follows it until the block is left."""
    consumer = AIOKafkaConsumer(
        **connection, group_id=None, enable_auto_commit=False, isolation_level="read_committed"
    )
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = await consumer.end_offsets(places)
        while any([await consumer.position(place) < ends[place] for place in places]):
            _take(await consumer.getmany(timeout_ms=200), optout)
        follow = asyncio.create_task(_follow(consumer, optout))
        try:
            yield
        finally:
            follow.cancel()
            with suppress(asyncio.CancelledError):
                await follow
    finally:
        await consumer.stop()


async def _follow(consumer: AIOKafkaConsumer, optout: OptOut) -> None:
    while True:
        _take(await consumer.getmany(timeout_ms=500), optout)


def _take(polled: dict[TopicPartition, list[Any]], optout: OptOut) -> None:
    for records in polled.values():
        for record in records:
            if record.key is not None:
                optout.update(record.key.decode("ascii", "replace"), opted_out=record.value is not None)
