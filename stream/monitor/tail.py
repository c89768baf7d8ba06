"""Keeps a board current: reads counters, alerts and reviews from Kafka, from their beginning on."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import ConsumerRecord, TopicPartition
from pydantic import ValidationError

from stream.kafka import (
    METADATA_MAX_AGE_MS,
    added_partitions,
    check_fetching,
    connection,
    stop_consumer,
)
from stream.monitor.board import Board
from stream.monitor.events import Alert, Review, WindowCounter
from stream.outages import through_outages
from stream.settings import Settings

COUNTERS_BACK_S: Final = 24 * 3600
"""How far back counters are read at the start."""

STOP_S: Final = 5.0

_POLL_MS: Final = 500

_log = structlog.get_logger(__name__)


class Tail:
    """Reads into ``board``; ``caught_up`` is set once it holds all that there was at the start.

    ``on_alert`` is called after each record of an alert that was news. Without ``counters`` theirs are left:
    only who shows them has a use for them.
    """

    def __init__(
        self,
        settings: Settings,
        board: Board,
        partitions: dict[str, int],
        on_alert: Callable[[], None],
        *,
        counters: bool = False,
    ) -> None:
        self.caught_up = asyncio.Event()
        self._settings = settings
        self._board = board
        self._on_alert = on_alert
        names = settings.topics
        self._topics = (names.alerts, names.reviews, *((names.counters,) if counters else ()))
        self._positions: dict[TopicPartition, int] = {}
        self._moved = asyncio.Event()
        self._partitions = [
            TopicPartition(topic, number) for topic in self._topics for number in range(partitions[topic])
        ]

    async def run(self) -> None:
        """Read for ever, through outages."""
        await through_outages(self.read, "the board")

    async def has_taken(self, place: TopicPartition, offset: int) -> None:
        """Wait until the board holds what this record of the alerts or reviews says, and those before it."""
        while self._positions.get(place, 0) <= offset:
            await self._moved.wait()

    async def read(self) -> None:
        """Read for ever, from where reading ended before.

        Raises:
            KafkaError: the brokers do not serve us.
        """
        consumer = AIOKafkaConsumer(
            **connection(self._settings),
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            metadata_max_age_ms=METADATA_MAX_AGE_MS,
        )
        try:
            await consumer.start()
            ends = await self._seek(consumer)
            while True:
                if new := added_partitions(consumer, self._partitions):
                    self._partitions += sorted(new)
                    ends = await self._seek(consumer)
                unread = [tp for tp, end in ends.items() if await consumer.position(tp) < end]
                ends = {tp: ends[tp] for tp in unread}
                if not ends:
                    self.caught_up.set()
                check_fetching(consumer)
                batches = await consumer.getmany(timeout_ms=_POLL_MS)
                for tp, records in batches.items():
                    for record in records:
                        self._take(record)
                    self._positions[tp] = records[-1].offset + 1
                self._tell_moved()
        finally:
            await stop_consumer(consumer, STOP_S)

    def _tell_moved(self) -> None:
        """Wake who waits for a record, and let the next wait for the next."""
        self._moved.set()
        self._moved = asyncio.Event()

    async def _seek(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, int]:
        """Go on, or to the beginning, with counters only to recent ones; the ends at this moment."""
        consumer.assign(self._partitions)
        recent_ms = int((time.time() - COUNTERS_BACK_S) * 1000)
        counters = [tp for tp in self._partitions if tp.topic == self._settings.topics.counters]
        begin = await consumer.offsets_for_times(dict.fromkeys(counters, recent_ms))
        ends: dict[TopicPartition, int] = await consumer.end_offsets(self._partitions)
        await consumer.seek_to_beginning(*(tp for tp in self._partitions if tp not in counters))
        for tp in counters:
            consumer.seek(tp, begin[tp].offset if begin.get(tp) else ends[tp])
        for tp, position in self._positions.items():
            if position <= ends[tp]:
                consumer.seek(tp, position)
        return ends

    def _take(self, record: "ConsumerRecord[bytes, bytes]") -> None:
        names = self._settings.topics
        try:
            if record.topic == names.counters and record.value is not None:
                counter = WindowCounter.model_validate_json(record.value)
                self._board.take_counter(counter, record.timestamp / 1000)
            elif record.topic == names.reviews and record.value is not None:
                self._board.take_review(Review.model_validate_json(record.value))
                self._on_alert()
            elif record.topic == names.alerts:
                self._take_alert(record)
        except ValidationError:
            _log.warning(
                "a record is not what its topic holds",
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
            )

    def _take_alert(self, record: "ConsumerRecord[bytes, bytes]") -> None:
        if record.value is None:
            self._board.take_tombstone(*tombstone_of(record))
        elif not self._board.take_alert(Alert.model_validate_json(record.value), record.timestamp / 1000):
            return
        self._on_alert()


def tombstone_of(record: "ConsumerRecord[bytes, bytes]") -> tuple[str, float]:
    """What ``Board.take_tombstone`` asks of a record of the alerts that deletes.

    One from the future counts as of now: whoever forgot under a clock that is ahead must not silence for long
    what an author writes later.
    """
    return (record.key or b"").decode(errors="replace"), min(record.timestamp / 1000, time.time())


async def read_board(settings: Settings, partitions: dict[str, int]) -> Board:
    """A board of what there is now, for commands."""
    board = Board()
    tail = Tail(settings, board, partitions, lambda: None)
    reading = asyncio.create_task(tail.read())
    caught_up = asyncio.create_task(tail.caught_up.wait())
    try:
        await asyncio.wait({reading, caught_up}, return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            await reading
        return board
    finally:
        caught_up.cancel()
        reading.cancel()
        await asyncio.wait({reading})
