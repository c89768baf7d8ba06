"""Messages sent when they are due, and how long after that their labels were there.

    due ─► producer ─► messages ─► annotator ─► emotions ─► reader of committed records
     └────────────────────────── latency ──────────────────────────┘

The load is open: a message is sent when it is due, whether or not those before it are labelled, and its
latency counts from then, also where the sender itself is late. A loop that waited for answers would send
least when the system is slowest, and not see what users see (G. Tene, "coordinated omission").
"""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from stream.topics import partition_of

AUTHORS: Final = 500
CHANNELS: Final = 5


def due_times(rate: float, count: int, seed: int) -> list[float]:
    """When ``count`` messages are due, in seconds from the start: as people write, each for themselves.

    A Poisson process of ``rate`` messages a second.
    """
    draw, now, times = random.Random(seed), 0.0, list[float]()
    for _ in range(count):
        now += draw.expovariate(rate)
        times.append(now)
    return times


@dataclass(slots=True)
class Wire:
    """A producer of messages and a reader of their labels, who know each other's messages by their ids.

    Where the texts come to their end they come again, each with the number of the round behind it: equal
    texts of one batch are computed once, and a backlog of few texts would look like a faster model.
    """

    producer: AIOKafkaProducer
    consumer: AIOKafkaConsumer
    topic: str
    partitions: int
    texts: Sequence[str]
    labelled_at: dict[str, float] = field(default_factory=dict)
    """When the label of a message came, by its id; seconds on the monotonic clock."""
    _sent: int = 0
    _undelivered: BaseException | None = None

    async def send(self) -> str:
        """Send one more message; its id.

        Raises:
            KafkaError: it cannot be sent, or one before it was not delivered.
        """
        self._require_delivered()
        number, self._sent = self._sent, self._sent + 1
        identity = f"m-{number}"
        author = f"author {number % AUTHORS}"
        rounds, place = divmod(number, len(self.texts))
        value = orjson.dumps(
            {
                "id": identity,
                "text": f"{self.texts[place]} {rounds}" if rounds else self.texts[place],
                "author": author,
                "channel": f"channel {number % CHANNELS}",
            }
        )
        key = author.encode()
        partition = partition_of(key, self.partitions)
        delivery = await self.producer.send(self.topic, value, key=key, partition=partition)
        delivery.add_done_callback(self._delivered)
        return identity

    async def read(self) -> None:
        """Note when labels come, until cancelled."""
        while True:
            batches = await self.consumer.getmany(timeout_ms=1000)
            now = time.monotonic()
            for records in batches.values():
                for record in records:
                    self.labelled_at[orjson.loads(record.value)["message_id"]] = now

    async def until_labelled(self, identities: Sequence[str], quiet_s: float) -> None:
        """Wait for the labels of these messages.

        Raises:
            KafkaError: a message was not delivered.
            TimeoutError: none came for ``quiet_s``.
        """
        known, since = -1, time.monotonic()
        while missing := sum(identity not in self.labelled_at for identity in identities):
            self._require_delivered()
            if missing != known:
                known, since = missing, time.monotonic()
            if time.monotonic() - since > quiet_s:
                raise TimeoutError(f"{missing} of {len(identities)} messages got no label for {quiet_s:g} s")
            await asyncio.sleep(0.02)

    def _delivered(self, delivery: "asyncio.Future[Any]") -> None:
        if not delivery.cancelled() and (error := delivery.exception()) is not None:
            self._undelivered = error

    def _require_delivered(self) -> None:
        if self._undelivered is not None:
            raise self._undelivered


async def burst(wire: Wire, count: int, quiet_s: float) -> float:
    """Labels a second of messages that all wait: what the annotator can do, from its first label on."""
    identities = [await wire.send() for _ in range(count)]
    await wire.until_labelled(identities, quiet_s)
    times = sorted(wire.labelled_at[identity] for identity in identities)
    later = [moment for moment in times if moment > times[0]]  # what came first was worked on before
    return len(later) / (times[-1] - times[0]) if later else float(count)


async def sustained(wire: Wire, rate: float, count: int, quiet_s: float) -> float:
    """Labels a second while ``count`` messages come one by one at ``rate``: as much as can be done, or more.

    Less than ``burst``: the sender, the broker and the reader work at the same time, on the same cores where
    they are on this machine.
    """
    due = due_times(rate, count, seed=0)
    latencies = await offered(wire, due, quiet_s)
    return len(due) / max(moment + latency for moment, latency in zip(due, latencies, strict=True))


async def offered(wire: Wire, due: Sequence[float], quiet_s: float) -> list[float]:
    """Latencies in seconds of messages that are due at these times from now, in their order."""
    started = time.monotonic()
    identities = []
    for moment in due:
        if (early := started + moment - time.monotonic()) > 0:
            await asyncio.sleep(early)
        identities.append(await wire.send())
    await wire.until_labelled(identities, quiet_s)
    return [
        wire.labelled_at[identity] - (started + moment)
        for identity, moment in zip(identities, due, strict=True)
    ]
