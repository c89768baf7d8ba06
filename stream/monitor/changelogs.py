"""The changelog topics of the state: created, grown with their sources, and read back.

    emotions.counts  ─► GROUP-counts-changelog      emotions.signals ─► GROUP-authors-changelog

They are compacted and nothing else: what has expired is deleted by a record, so a changelog holds what the
fold holds. One that has a retention, too (version 0.1 created them so), is left as it is, with a warning at
each start: Kafka drops from it what is still needed.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from stream.admin import add_partitions, configured, create_topics, partition_counts
from stream.errors import BrokerError, RecordError
from stream.kafka import connection, stop_consumer
from stream.monitor.state import Changelog, PartitionState, Proof, resume
from stream.records import UnreadBatch
from stream.settings import Settings
from stream.topics import TopicSpec
from stream.topicwatch import BrokerSilentError, TopicWatch

POLL_MS: Final = 200

_log = structlog.get_logger(__name__)


def changelog_of(settings: Settings, source: str) -> str:
    """Name of the changelog with the state of a source topic's partitions."""
    table = "counts" if source == settings.topics.counts else "authors"
    return f"{settings.monitor_group_id}-{table}-changelog"


async def prepare_changelogs(settings: Settings, partitions: Mapping[str, int]) -> None:
    """Create the changelogs that are missing, and grow those with fewer partitions than their source.

    ``partitions`` are those of the sources.

    Raises:
        BrokerError, TopicError: the cluster cannot be reached, or refuses.
    """
    wanted = {changelog_of(settings, source): count for source, count in partitions.items()}
    existing = await partition_counts(settings, wanted)
    missing = [
        TopicSpec(
            name=name,
            purpose="state of the monitor",
            partitions=count,
            retention_ms=-1,
            cleanup_policy="compact",
            max_message_bytes=settings.published_bytes,
        )
        for name, count in wanted.items()
        if name not in existing
    ]
    if missing:
        await create_topics(settings, missing)
    for name, count in wanted.items():
        if existing.get(name, count) < count and await add_partitions(settings, name, count):
            _log.info("partitions added", topic=name, partitions=count)


async def warn_of_retention(settings: Settings) -> None:
    """Say which changelogs lose state by their retention, as far as the cluster tells.

    Raises:
        BrokerError: the cluster cannot be reached.
    """
    names = [changelog_of(settings, source) for source in (settings.topics.counts, settings.topics.signals)]
    for name, policy in (await configured(settings, names, "cleanup.policy")).items():
        if policy != "compact":
            _log.warning(
                "a changelog has a retention and loses state by it; take it off with: kafka-configs.sh "
                f"--alter --entity-type topics --entity-name {name} "
                "--add-config cleanup.policy=compact,retention.ms=-1",
                topic=name,
                policy=policy,
            )


async def topic_id(settings: Settings, topic: str, timeout_s: float) -> str | None:
    """Kafka's id of a topic; None where the broker gives none.

    Raises:
        BrokerError: no broker answered.
    """
    watch = TopicWatch(connection(settings), [topic], timeout_s)
    try:
        view = (await watch.look()).get(topic)
        return view.epoch if view else None
    except BrokerSilentError as error:
        raise BrokerError(f"no broker tells of {topic}: {error}") from error
    finally:
        await watch.close()


async def recover(
    settings: Settings, states: Mapping[TopicPartition, PartitionState], timeout_s: float
) -> None:
    """Bring states up to the ends of their changelogs. ``timeout_s`` is the longest silence.

    Whoever wrote before has been fenced: nothing is open in a changelog, and its end stands still.

    Raises:
        BrokerError: the brokers do not answer.
    """
    if not states:
        return
    ids = {tp.topic: None for tp in states}
    found = await asyncio.gather(*(topic_id(settings, name, timeout_s) for name in ids))
    known = dict(zip(ids, found, strict=True))
    consumer = AIOKafkaConsumer(
        **connection(settings),
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="none",
        fetch_max_wait_ms=100,
    )
    try:
        async with asyncio.timeout(timeout_s):
            await consumer.start()
            consumer.assign(list(states))
            begins = await consumer.beginning_offsets(list(states))
            ends = await consumer.end_offsets(list(states))
        for tp, state in states.items():
            consumer.seek(tp, resume(state, Changelog(known[tp.topic], begins[tp], ends[tp]), time.time()))
        await _read(consumer, states, ends, known, timeout_s)
    except (KafkaError, TimeoutError) as error:
        raise BrokerError(f"the state cannot be read from its changelog: {error or 'no answer'}") from error
    finally:
        await stop_consumer(consumer, timeout_s)


async def _read(
    consumer: AIOKafkaConsumer,
    states: Mapping[TopicPartition, PartitionState],
    ends: Mapping[TopicPartition, int],
    ids: Mapping[str, str | None],
    timeout_s: float,
) -> None:
    moved_at, waiting = time.monotonic(), set(states)
    while waiting:
        batches = await consumer.getmany(timeout_ms=POLL_MS)
        for tp in list(waiting):
            # The position passes markers and gaps, too; it is what has been read, not the last record.
            position = await consumer.position(tp)
            records = batches.get(tp, ())
            for record in records:
                if isinstance(record.value, UnreadBatch):
                    raise RecordError(f"changelog {tp.topic}, partition {tp.partition}: {record.value.told}")
            before = states[tp].proof
            if records or before is None or before.next_offset != position:
                changes = [(record.key or b"", record.value) for record in records]
                states[tp].apply(changes, Proof(ids[tp.topic] or "", position, time.time()))
                moved_at = time.monotonic()
            if position >= ends[tp]:
                waiting.discard(tp)
                consumer.pause(tp)
        if time.monotonic() - moved_at > timeout_s:
            raise TimeoutError("the changelog stands still")
