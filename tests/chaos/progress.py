"""How far consumer groups have committed: whether partitions move, and what is left behind."""

import asyncio
import time
from collections.abc import Mapping

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


async def moved_since(settings: Settings, before: Committed, timeout_s: float) -> list[TopicPartition]:
    """Wait until each partition is committed beyond ``before``; those that stand still for so long."""
    deadline = time.monotonic() + timeout_s
    still = list(before)
    while still and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
        now = await committed(settings)
        still = [partition for partition in still if now.get(partition, -1) <= before[partition]]
    return still


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
