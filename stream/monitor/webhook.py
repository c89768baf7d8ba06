"""Alerts to a webhook: signed, retried, at least once, and to the dead letters when nobody takes them.

    emotions.alerts ──► own consumer group ──► POST ──► commit
                                                └─ gives up ──► emotions.alerts.dlq ──► commit

Kafka is the queue, so a receiver that is slow or down holds back nobody but itself. A receiver drops what it
has seen by ``X-Emotion-Delivery``; it trusts a body only if ``X-Emotion-Signature`` is ``sha256=`` and the
hexadecimal HMAC-SHA-256, under the shared secret, of ``X-Emotion-Timestamp``, a full stop and the body.
"""

import asyncio
import hmac
import random
import re
import time
from collections.abc import Collection, Iterator
from contextlib import AsyncExitStack
from typing import Final

import aiohttp
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata, TopicPartition
from pydantic import ValidationError

from stream.deadline import Deadline
from stream.errors import SettingsError
from stream.kafka import connection, stop_consumer
from stream.monitor import targets
from stream.monitor.board import Board
from stream.monitor.events import Alert
from stream.monitor.metrics import MonitorMetrics
from stream.monitor.tail import Tail
from stream.outages import through_outages
from stream.settings import Settings
from stream.transactions import stop_producer

REQUEST_TIMEOUT_S: Final = 10.0
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 60.0
STOP_S: Final = 5.0
_WORTH_A_RETRY: Final = frozenset({408, 425, 429})
_NOT_IN_HEADERS: Final = re.compile(r"[\x00-\x1f\x7f%]")

_log = structlog.get_logger(__name__)


class RefusedError(Exception):
    """The receiver has answered that it will never take this."""


async def _stop(producer: AIOKafkaProducer) -> None:
    await stop_producer(producer, Deadline(STOP_S))


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """What ``X-Emotion-Signature`` holds."""
    return "sha256=" + hmac.new(secret, timestamp.encode() + b"." + body, "sha256").hexdigest()


def delivery(alert: Alert) -> str:
    """What ``X-Emotion-Delivery`` holds. Producers' names are part of an id, and may hold what no header can:
    control characters are percent-encoded, and so is the percent sign.
    """
    named = f"{alert.id}:{alert.revision}"
    return _NOT_IN_HEADERS.sub(lambda found: f"%{ord(found[0]):02X}", named)


def pauses() -> Iterator[float]:
    """Seconds between attempts: doubling, with jitter, so that monitors do not knock together."""
    pause_s = FIRST_PAUSE_S
    while True:
        yield pause_s * random.uniform(0.5, 1.0)
        pause_s = min(pause_s * 2, LONGEST_PAUSE_S)


class _Beginning(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Where the group has committed nothing, begins with what was published in the last ``back_s``.

    The alerts of a week are no news to a webhook that is switched on late. Where it begins is committed at
    once: after a restart it would begin later, and pass something over.
    """

    def __init__(self, consumer: AIOKafkaConsumer, back_s: float) -> None:
        self._consumer = consumer
        self._back_s = back_s

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Each record is committed once it is done."""

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._consumer.pause(*assigned)
        try:
            await self._begin([place for place in assigned if await self._consumer.committed(place) is None])
        finally:
            self._consumer.resume(*assigned)

    async def _begin(self, places: list[TopicPartition]) -> None:
        if not places:
            return
        since_ms = int((time.time() - self._back_s) * 1000)
        ends = await self._consumer.end_offsets(places)  # first: what comes meanwhile lies behind it
        found = await self._consumer.offsets_for_times(dict.fromkeys(places, since_ms))
        for place in places:
            self._consumer.seek(place, found[place].offset if found.get(place) else ends[place])
        begin = {place: OffsetAndMetadata(await self._consumer.position(place), "") for place in places}
        await self._consumer.commit(begin)


class Webhook:
    """Delivers alerts to ``webhook_url``."""

    def __init__(self, settings: Settings, board: Board, tail: Tail, metrics: MonitorMetrics) -> None:
        if settings.webhook_url is None or settings.webhook_secret is None:
            raise SettingsError("a webhook needs a signature: set EMOTION_WEBHOOK_SECRET beside webhook_url")
        self._url = settings.webhook_url
        self._secret = settings.webhook_secret.get_secret_value().encode()
        self._give_up_s = settings.webhook_give_up_s
        self._settings = settings
        self._board = board
        self._tail = tail
        self._metrics = metrics

    async def run(self) -> None:
        """Deliver for ever, through outages of the brokers.

        An alert's offset is committed once it is delivered or in the dead letters.
        """
        await through_outages(self._deliver_all, "the webhook")

    async def _deliver_all(self) -> None:
        async with AsyncExitStack() as stack:
            consumer = AIOKafkaConsumer(
                **connection(self._settings),
                group_id=f"{self._settings.monitor_group_id}-webhook",
                isolation_level="read_committed",
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                max_poll_interval_ms=int((self._give_up_s + 60) * 1000),
                max_poll_records=1,
            )
            producer = AIOKafkaProducer(**connection(self._settings), enable_idempotence=True)
            session = targets.session(self._settings, REQUEST_TIMEOUT_S)
            consumer.subscribe([self._settings.topics.alerts], listener=_Beginning(consumer, self._give_up_s))
            await stack.enter_async_context(session)
            stack.push_async_callback(stop_consumer, consumer, STOP_S)
            await consumer.start()
            stack.push_async_callback(_stop, producer)
            await producer.start()
            async for record in consumer:
                await self._handle(record, session, producer)
                place = TopicPartition(record.topic, record.partition)
                await consumer.commit({place: OffsetAndMetadata(record.offset + 1, "")})

    async def _handle(
        self,
        record: "ConsumerRecord[bytes, bytes]",
        session: aiohttp.ClientSession,
        producer: AIOKafkaProducer,
    ) -> None:
        if record.value is None:
            return
        try:
            alert = Alert.model_validate_json(record.value)
        except ValidationError:
            return  # the board has said so already
        if alert.held:
            return
        # Before a record may stand what says that it is for nobody: our consumer can be ahead of the board's.
        await self._tail.has_taken(TopicPartition(record.topic, record.partition), record.offset)
        deadline = max(record.timestamp / 1000 + self._give_up_s, time.time() + FIRST_PAUSE_S)
        try:
            await self._deliver(alert, record.value, session, deadline)
        except (RefusedError, TimeoutError) as error:
            if not self._is_settled(alert):
                await self._give_up(record, producer, str(error))

    def _is_settled(self, alert: Alert) -> bool:
        """Whether its author was forgotten, a person dismissed it, or has seen what it only reminds of."""
        if self._board.is_forgotten(alert):
            return True
        state = self._board.state(alert)
        reminds = alert.revision > 1 and state not in ("firing", "held")
        return alert.status == "firing" and (reminds or state == "dismissed")

    async def _deliver(
        self, alert: Alert, body: bytes, session: aiohttp.ClientSession, deadline: float
    ) -> None:
        """Post until it is taken, or nobody is to hear of it any more.

        Raises:
            RefusedError: the receiver has refused it for good.
            TimeoutError: it was not taken until the deadline.
        """
        for pause_s in pauses():
            if self._is_settled(alert):
                return
            answer = await self._post(alert, body, session)
            if answer is None:
                self._metrics.deliveries.labels("webhook", "delivered").inc()
                return
            if time.time() + pause_s > deadline:
                raise TimeoutError(f"given up: {answer}")
            self._metrics.deliveries.labels("webhook", "retried").inc()
            await asyncio.sleep(pause_s)

    async def _post(self, alert: Alert, body: bytes, session: aiohttp.ClientSession) -> str | None:
        """One attempt: None where it was taken, else why it was not."""
        timestamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "X-Emotion-Delivery": delivery(alert),
            "X-Emotion-Timestamp": timestamp,
            "X-Emotion-Signature": signature(self._secret, timestamp, body),
        }
        try:
            async with session.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
                status = response.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return type(error).__name__
        if 200 <= status < 300:
            return None
        if status >= 500 or status in _WORTH_A_RETRY:
            return f"status {status}"
        raise RefusedError(f"refused with status {status}")

    async def _give_up(
        self, record: "ConsumerRecord[bytes, bytes]", producer: AIOKafkaProducer, reason: str
    ) -> None:
        self._metrics.deliveries.labels("webhook", "given_up").inc()
        _log.error(
            "an alert could not be delivered; it is in the dead letters",
            receiver="webhook",
            reason=reason,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
        )
        headers = [*record.headers, ("dlq_receiver", b"webhook"), ("dlq_error", reason.encode())]
        await producer.send_and_wait(
            self._settings.topics.undelivered, record.value, key=record.key, headers=headers
        )
