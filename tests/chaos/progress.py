"""How far consumer groups have committed: whether partitions move, and what is left behind."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from stream.admin import connected
from stream.errors import BrokerError
from stream.settings import Settings
from tests.records import read_committed_all

Committed = Mapping[TopicPartition, int]


async def committed(settings: Settings, timeout_s: float = 60.0) -> dict[TopicPartition, int]:
    """The committed offset of every partition that annotators and monitors read.

    Asks again while a coordinator is only just coming back.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return await _committed(settings)
        except (BrokerError, KafkaError):
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.2)


async def _committed(settings: Settings) -> dict[TopicPartition, int]:
    found: dict[TopicPartition, int] = {}
    async with connected(settings) as admin:
        for group in (settings.group_id, settings.monitor_group_id):
            for partition, answer in (await admin.list_consumer_group_offsets(group)).items():
                if answer.offset >= 0:
                    found[partition] = answer.offset
    return found


QUIET_S: Final = 5.0
"""When nothing has moved for so long, it is asked whether anything waits in what has not."""


async def moved_since(settings: Settings, before: Committed, timeout_s: float) -> float | None:
    """Wait until each partition is committed beyond ``before``, unless nothing more comes in it: when
    partitions are added, channels and authors move. The moment of the last; None: not within the time.
    """
    deadline, moved_at = time.monotonic() + timeout_s, time.monotonic()
    still = dict(before)
    while still:
        await asyncio.sleep(0.1)
        now, at = await committed(settings), time.monotonic()
        if moved := [partition for partition, offset in still.items() if now.get(partition, -1) > offset]:
            moved_at = at
            for partition in moved:
                del still[partition]
        elif at > deadline:
            return None
        elif at - moved_at > QUIET_S and not await anything_beyond(settings, still):
            break
    return moved_at


async def anything_beyond(settings: Settings, offsets: Committed) -> bool:
    """Whether there are committed records from these offsets on: more than what ends transactions.

    Where no broker tells, there may be.
    """
    try:
        return await _anything_beyond(settings, offsets)
    except KafkaError:
        return True


async def _anything_beyond(settings: Settings, offsets: Committed) -> bool:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers,
        isolation_level="read_committed",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        consumer.assign(list(offsets))
        for partition, offset in offsets.items():
            consumer.seek(partition, offset)
        ends = await consumer.end_offsets(list(offsets))
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            if await consumer.getmany(timeout_ms=200):
                return True
        return False
    finally:
        await consumer.stop()


async def left_behind(settings: Settings) -> dict[TopicPartition, int]:
    """Committed records behind the offsets that our groups have committed, by partition."""
    names, done = settings.topics, await committed(settings)
    left: dict[TopicPartition, int] = {}
    for topic in (settings.input_topic, names.counts, names.signals):
        for record in await read_committed_all(settings.bootstrap_servers or "", topic):
            partition = TopicPartition(topic, record.partition)
            if record.offset >= done.get(partition, 0):
                left[partition] = left.get(partition, 0) + 1
    return left
