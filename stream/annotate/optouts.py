"""Keeps the opt-out list current from its compacted topic: read to the end first, then followed.

Key: the author's pseudonym. A value opts out, a tombstone opts in again. The annotator labels nothing
before the topic was read once, since an opt-out must hold from the first message on. Later errors leave
what is known in force, are said, and are tried again; partitions that are added are read from their start.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.annotate.polling import poll
from stream.errors import RecordError
from stream.kafka import METADATA_MAX_AGE_MS, added_partitions, connection, stop_consumer
from stream.outages import passes
from stream.privacy import OptOut
from stream.records import UnreadBatch
from stream.refusals import refusal
from stream.settings import Settings

RETRY_S: Final = 1.0
_STOP_S: Final = 1.0
_NOTHING_IS_LABELLED: Final = "who opted out in it is not known, so nothing is labelled"

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def following(
    settings: Settings, partitions: int, optout: OptOut, stopped: asyncio.Event
) -> AsyncIterator[None]:
    """``optout`` holds the whole topic on entry and follows it until the block is left.

    Where we are stopped meanwhile, the block is entered all the same.

    Raises:
        StreamError: the cluster refuses to let us read the topic, or it cannot be read to its end.
    """
    read = asyncio.Event()
    follow = asyncio.create_task(_follow(settings, partitions, optout, read), name="optouts")
    events = [asyncio.create_task(event.wait()) for event in (read, stopped)]
    try:
        await asyncio.wait([follow, *events], return_when=asyncio.FIRST_COMPLETED)
        if optout.unreadable is not None:
            raise optout.unreadable
        yield
    finally:
        for task in (follow, *events):
            task.cancel()
        await asyncio.wait([follow], timeout=2 * _STOP_S + 1)


async def _follow(settings: Settings, partitions: int, optout: OptOut, read: asyncio.Event) -> None:
    """Read on, each time with a consumer of its own, until an error says that it is no use."""
    topic = settings.topics.optout
    positions = {TopicPartition(topic, number): 0 for number in range(partitions)}
    while True:
        try:
            await _read_on(settings, positions, optout, read)
        except Exception as error:
            refused = refusal(error)
            if not passes(error) and (refused is None or not read.is_set()):
                optout.unreadable = refused or error
                return
            if optout.topic_problem is None:
                _log.warning(
                    "the opt-out topic cannot be followed; trying on", topic=topic, reason=repr(error)
                )
            optout.topic_problem = f"the opt-out topic {topic} cannot be followed ({error!r})"
        await asyncio.sleep(RETRY_S)


async def _read_on(
    settings: Settings, positions: dict[TopicPartition, int], optout: OptOut, read: asyncio.Event
) -> None:
    """Read the topic from ``positions`` on, which move along; ``read`` is set once its end was reached."""
    consumer = AIOKafkaConsumer(
        **connection(settings),
        group_id=None,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        metadata_max_age_ms=METADATA_MAX_AGE_MS,
    )
    try:
        await consumer.start()
        _assign(consumer, positions)
        ends = await consumer.end_offsets(list(positions))
        while True:
            if not read.is_set() and all([await consumer.position(at) >= end for at, end in ends.items()]):
                read.set()
            _take_new_partitions(consumer, positions)
            for place, records in (await poll(consumer, timeout_ms=500, remedy=_NOTHING_IS_LABELLED)).items():
                _take(records, optout)
                positions[place] = records[-1].offset + 1
            optout.topic_problem = None
    finally:
        await stop_consumer(consumer, _STOP_S)


def _assign(consumer: AIOKafkaConsumer, positions: dict[TopicPartition, int]) -> None:
    consumer.assign(sorted(positions))
    for place, position in positions.items():
        consumer.seek(place, position)


def _take_new_partitions(consumer: AIOKafkaConsumer, positions: dict[TopicPartition, int]) -> None:
    """Add partitions that the topic has got; assigning forgets where the others stand."""
    if new := added_partitions(consumer, positions.keys()):
        positions |= dict.fromkeys(new, 0)
        _assign(consumer, positions)


def _take(records: Iterable[Any], optout: OptOut) -> None:
    for record in records:
        if isinstance(record.value, UnreadBatch):
            raise RecordError(
                f"topic {record.topic}, partition {record.partition}: {record.value.told}; "
                f"{_NOTHING_IS_LABELLED}"
            )
        if record.key is not None:
            optout.update(record.key.decode("ascii", "replace"), opted_out=record.value is not None)
