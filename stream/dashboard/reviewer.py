"""Writes reviews: each is a record of its own in the reviews' topic, which is the audit log."""

import asyncio
import contextlib
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from stream.dashboard.queue import Item
from stream.errors import BrokerError
from stream.kafka import connection
from stream.monitor.events import Review, Verdict
from stream.monitor.reviews import moment_after, review_of, review_record
from stream.settings import Settings

WRITE_S: Final = 10.0

_log = structlog.get_logger(__name__)


class Reviewer:
    """A producer that is started at the first review and kept."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def write(self, item: Item, verdict: Verdict, reviewer: str, note: str | None) -> Review:
        """Write down what a person says of an alert; returns once all in-sync replicas have it.

        Raises:
            BrokerError: it is not certain that the review was written.
        """
        alert, at = item.alert, moment_after(item.reviews)
        written = review_of(alert, verdict, reviewer=reviewer, note=note, at=at)
        record = review_record(written)
        try:
            async with asyncio.timeout(WRITE_S):
                producer = await self._started()
                await producer.send_and_wait(
                    self._settings.topics.reviews, record.value, key=record.key, headers=record.headers
                )
        except (KafkaError, OSError, TimeoutError) as error:
            await self.stop()
            raise BrokerError(f"the cluster did not take it ({type(error).__name__})") from error
        _log.info("alert reviewed", review=written.id, rule=alert.rule, verdict=verdict, reviewer=reviewer)
        return written

    async def stop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(TimeoutError, KafkaError, OSError):
                async with asyncio.timeout(2.0):
                    await producer.stop()

    async def _started(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(**connection(self._settings), enable_idempotence=True)
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer
