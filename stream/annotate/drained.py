"""Whether what was there at the start is labelled: the end of ``annotate --drain``."""

import asyncio
from collections.abc import Sequence
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.annotate.pipeline import Pipeline

_LOOK_S: Final = 0.5


async def until_drained(
    pipeline: Pipeline, consumer: AIOKafkaConsumer, places: Sequence[TopicPartition]
) -> None:
    """Wait until the whole group has finished what is there now."""
    ends = await consumer.end_offsets(places)
    left = list(places)
    while left:
        await asyncio.sleep(_LOOK_S)
        left = [tp for tp in left if not await _finished(pipeline, consumer, tp, ends[tp])]


async def _finished(pipeline: Pipeline, consumer: AIOKafkaConsumer, tp: TopicPartition, end: int) -> bool:
    partition = pipeline.partitions.get(tp)
    if partition is not None and partition.state.admits:
        # The position passes transaction markers, which nobody commits.
        return not partition.ledger and not partition.held and await consumer.position(tp) >= end
    return end == 0 or (await consumer.committed(tp) or 0) >= end
