"""Messages as streams have them: good ones, every kind of bad one, tombstones, people who opted out."""

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaProducer

from model.labels import LABELS
from stream.errors import Cause
from stream.settings import Settings
from tests.crash.outcomes import Place, Sent
from tests.records import Record

MAX_MESSAGE_BYTES: Final = 4000
"""What the settings of these tests allow, so that a too large message need not be large."""

POISON: Final = "boom"
"""The fake model fails on texts that hold this word."""

OPTED_OUT: Final = ("gone-1", "gone-2")
"""Authors on the opt-out list."""

_CHANNELS: Final = ("support", "community", "billing", "*", None)
_AUTHORS: Final = (*(f"author-{n}" for n in range(40)), None)
_WORDS: Final = ("the", "parcel", "came", "late", "nobody", "wrote", "back", "so", "we", "called", "today")
_SPREAD_MS: Final = 150_000
"""Messages spread over this much event time: three or four windows."""


class Traffic:
    """An endless stream of messages; the same seed gives the same messages."""

    def __init__(self, seed: int, now: datetime) -> None:
        self._random = random.Random(seed)
        self._start_ms = int(now.timestamp() * 1000) - _SPREAD_MS
        self._number = 0

    def take(self, count: int) -> Iterator[Sent]:
        """The next ``count`` messages. The partition is not chosen yet."""
        for _ in range(count):
            self._number += 1
            yield self._one()

    def _one(self) -> Sent:
        at_ms = self._start_ms + self._random.randrange(_SPREAD_MS)
        make = self._random.choices(
            [self._good, self._bad, self._tombstone, self._opted_out, self._poisonous],
            weights=[80, 10, 4, 5, 0.3],
        )[0]
        sent: Sent = make(at_ms)
        key: bytes | None = f"key-{self._random.randrange(20)}".encode()
        if sent.outcome != "tombstone" and self._random.random() < 0.5:  # aiokafka gives tombstones a key
            key = None
        return replace(sent, record=replace(sent.record, key=key, timestamp_ms=at_ms))

    def _good(self, at_ms: int) -> Sent:
        label, channel = self._random.choice(LABELS), self._random.choice(_CHANNELS)
        author = self._random.choice(_AUTHORS)
        words = self._random.choices([3, 10, 40, 500], weights=[30, 50, 18, 2])[0]
        fields: dict[str, Any] = {
            "text": f"{label}: {self._text(words)}",
            "id": f"message-{self._number}",
            "author": author,
            "channel": channel,
        }
        if self._random.random() < 0.3:  # the message says when it was written, not Kafka
            at_ms = self._start_ms + self._random.randrange(_SPREAD_MS)
            fields["ts"] = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()
        return Sent(
            Record(_json(fields)),
            "labelled",
            at_ms,
            label=label,
            channel=channel,
            message_id=fields["id"],
            has_author=author is not None,
        )

    def _bad(self, at_ms: int) -> Sent:
        cause, record = self._random.choice(_bad_records())
        return Sent(record, "dead_letter", at_ms, cause=cause)

    def _poisonous(self, at_ms: int) -> Sent:
        record = Record(_json({"text": f"{POISON} {self._text(5)}", "channel": "support"}))
        return Sent(record, "dead_letter", at_ms, cause=Cause.MODEL_FAILED)

    def _tombstone(self, at_ms: int) -> Sent:
        return Sent(Record(None), "tombstone", at_ms)

    def _opted_out(self, at_ms: int) -> Sent:
        fields = {"text": self._text(8), "author": self._random.choice(OPTED_OUT), "channel": "support"}
        return Sent(Record(_json(fields)), "opted_out", at_ms)

    def _text(self, words: int) -> str:
        return " ".join(self._random.choices(_WORDS, k=words))


def _bad_records() -> list[tuple[Cause, Record]]:
    structured = [("content-type", b"application/cloudevents+json")]
    return [
        (Cause.NOT_UTF8, Record(b'{"text": "caf\xe9"}')),
        (Cause.NOT_JSON, Record(b"just words")),
        (Cause.NO_TEXT, Record(_json({"channel": "support"}))),
        (Cause.WRONG_TYPE, Record(_json({"text": 7}))),
        (Cause.WRONG_TYPE, Record(b'["text"]')),
        (Cause.EMPTY_TEXT, Record(_json({"text": " \n\t "}))),
        (Cause.TOO_LARGE, Record(_json({"text": "x" * MAX_MESSAGE_BYTES}))),
        (Cause.BAD_CLOUDEVENT, Record(_json({"data": {"text": "no version"}}), headers=structured)),
    ]


def _json(fields: dict[str, Any]) -> bytes:
    return orjson.dumps({name: value for name, value in fields.items() if value is not None})


async def send(
    settings: Settings,
    traffic: Traffic,
    count: int,
    *,
    over_s: float = 0.0,
    chunks: int = 100,
    until: Callable[[], bool] = lambda: False,
) -> dict[Place, Sent]:
    """Produce ``count`` messages to random partitions, evenly ``over_s`` seconds, and say where they lie.

    They go out in ``chunks`` parts, to partitions that are added, too. Ends early once ``until`` says so.
    """
    chosen = random.Random(count)
    async with AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers,
        enable_idempotence=True,
        linger_ms=5,
        metadata_max_age_ms=2000,
    ) as producer:
        waiting = []
        chunk = max(1, count // chunks)
        for start in range(0, count, chunk):
            if until():
                break
            partitions = len(await producer.partitions_for(settings.input_topic))
            for sent in traffic.take(min(chunk, count - start)):
                partition = chosen.randrange(partitions)
                record = sent.record
                future = await producer.send(
                    settings.input_topic,
                    value=record.value,
                    key=record.key,
                    headers=list(record.headers),
                    partition=partition,
                    timestamp_ms=record.timestamp_ms,
                )
                waiting.append((future, sent))
            await asyncio.sleep(over_s * chunk / count)
        return {Place((found := await future).partition, found.offset): sent for future, sent in waiting}
