"""Dead letters on their way back: what the message was, and where the whole of one lies that was cut."""

import re
from dataclasses import dataclass, replace
from typing import Any, Final

from aiokafka.structs import TopicPartition

from stream.admin import partition_counts
from stream.commands.clients import chunks_until, consuming
from stream.deadletters import TIMESTAMP_HEADER, decode_dead_letter, is_original
from stream.errors import Cause
from stream.events import DeadLetter
from stream.records import Record
from stream.settings import KafkaSettings

REPLAYS_HEADER: Final = "dlq_replays"
"""How often a message was sent back: a header of the message, kept when it fails again."""

OTHER: Final = "other"
"""Stands for causes that this version does not know."""

_COUNT: Final = re.compile(rb"[0-9]{1,9}")

CAUSES: Final = (*(cause.value for cause in Cause), OTHER)


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter, with the headers that its message had."""

    record: Any
    told: DeadLetter
    cause: str
    headers: tuple[tuple[str, bytes | None], ...]

    @classmethod
    def of(cls, record: Any) -> "Letter":
        """Raises ValueError where the record is no dead letter."""
        letter, headers = decode_dead_letter(record.headers)
        cause = letter.cause if letter.cause in CAUSES else OTHER
        return cls(record, letter, cause, tuple(headers))

    def message(self, now_ms: int) -> Record:
        """The message as it was, with this replay counted.

        Its time stamp is that of the replay, or retention could take it before it is read; the first one,
        which dates a message without a time of its own, goes along as a header.
        """
        counts = [value for name, value in self.headers if name == REPLAYS_HEADER and value is not None]
        replays = int(counts[-1]) + 1 if counts and _COUNT.fullmatch(counts[-1]) else 1
        kept = [header for header in self.headers if header[0] not in (REPLAYS_HEADER, TIMESTAMP_HEADER)]
        first_ms = self.told.timestamp_ms
        if first_ms is None:
            first_ms = self.record.timestamp
        ours = [(REPLAYS_HEADER, str(replays).encode()), (TIMESTAMP_HEADER, str(first_ms).encode())]
        return Record(self.record.key, self.record.value, [*kept, *ours], now_ms)

    def restored(self, original: Any) -> "Letter":
        """The letter of a message that was cut, with what it had."""
        told = self.told.model_copy(update={"cut": ()})
        record = replace(self.record, key=original.key, value=original.value)
        return Letter(record, told, self.cause, tuple(original.headers))


async def find_original(settings: KafkaSettings, letter: DeadLetter) -> Any | None:
    """The message that a cut letter stands for, where it still lies; None where it is gone.

    A record that lies there now and is not of the size and hash told is another one: the topic was made anew.
    """
    source = letter.source
    place = TopicPartition(source.topic, source.partition)
    partitions = (await partition_counts(settings, [source.topic])).get(source.topic, 0)
    if source.partition >= partitions:
        return None
    async with consuming(settings, source.topic, partitions) as consumer:
        begin = (await consumer.beginning_offsets([place]))[place]
        end = (await consumer.end_offsets([place]))[place]
        if not begin <= source.offset < end:
            return None
        consumer.seek(place, source.offset)
        async for chunk in chunks_until(consumer, {place: source.offset + 1}, max_records=1):
            for record in chunk:
                if record.offset == source.offset and is_original(letter, record.value):
                    return record
    return None
