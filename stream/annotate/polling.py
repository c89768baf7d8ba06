"""Polling a consumer, with what cannot be read told by its place."""

import asyncio
import time
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CorruptRecordException, KafkaError, UnsupportedCodecError

from stream.errors import RecordError
from stream.kafka import check_fetching

_LONGEST_S: Final = 1.0
"""While the group has no broker, ``getmany`` would wait for one, and hear nothing of a stop."""
_SEARCH_S: Final = 10.0
_FETCH_MS: Final = 1000
_REMEDY: Final = (
    "see the broker's log; to go on behind it, set the group's offset there "
    "(kafka-consumer-groups.sh --reset-offsets)"
)


async def poll(
    consumer: AIOKafkaConsumer, *, timeout_ms: int, max_records: int | None = None, remedy: str = _REMEDY
) -> dict[TopicPartition, list[Any]]:
    """``getmany`` of all partitions. Nothing comes while the group shares them out, nor without a broker.

    Raises:
        RecordError: a batch cannot be read, and was not when it was fetched again; names its place, and
            ``remedy``. Passing over it would lose records without a word.
        KafkaError: anything else; joining the group again may help.
    """
    try:
        check_fetching(consumer)
        async with asyncio.timeout(_LONGEST_S):
            polled: dict[TopicPartition, list[Any]] = await consumer.getmany(
                timeout_ms=timeout_ms, max_records=max_records
            )
    except TimeoutError:
        return {}
    except Exception as error:
        if isinstance(error, KafkaError) and not _is_unreadable(error):
            raise
        raise await _placed(consumer, error, remedy) from error
    finally:
        _note_end(consumer)
    return polled


def has_fetched(consumer: AIOKafkaConsumer, place: TopicPartition) -> bool:
    """Whether something of a partition, be it an error, waits for the next poll."""
    return place in consumer._fetcher._records


def _note_end(consumer: AIOKafkaConsumer) -> None:
    """Let aiokafka know that no poll is going on: it forgets that of one that fails.

    Else it would take the consumer for one that polls, and never leave the group after
    ``max_poll_interval_ms``.
    """
    state = consumer._subscription
    if state._fetch_count:
        state._fetch_count, state._last_fetch_ended = 0, time.monotonic()


def _is_unreadable(error: Exception) -> bool:
    return isinstance(error, CorruptRecordException | UnsupportedCodecError)


async def _placed(consumer: AIOKafkaConsumer, error: Exception, remedy: str) -> Exception:
    """The error with the place of the batch that raises it again; reads on, so nothing may follow it."""
    told: Exception = KafkaError(f"a fetch could not be read, and now can ({type(error).__name__})")
    if (found := _failed(consumer)) is None:
        return told
    place, offset = found
    try:
        async with asyncio.timeout(_SEARCH_S):
            consumer.seek(place, offset)
            while not await consumer.getmany(place, timeout_ms=_FETCH_MS, max_records=1):
                pass
    except TimeoutError:
        pass
    except Exception as again:
        told = again
        if _is_unreadable(told) or not isinstance(told, KafkaError):
            told = RecordError(
                f"topic {place.topic}, partition {place.partition}: what lies at offset {offset} cannot be "
                f"read ({type(again).__name__}: {again}): {remedy}"
            )
    return told


def _failed(consumer: AIOKafkaConsumer) -> tuple[TopicPartition, int] | None:
    """The partition of which reading what was fetched has raised an error, and the offset that it got to.

    aiokafka reads by a generator, which an error ends, and goes on with it where it is asked again.
    """
    for place, fetched in consumer._fetcher._records.items():
        records = getattr(fetched, "_partition_records", None)
        if records is not None and records._records_iterator.gi_frame is None:
            return place, records.next_fetch_offset
    return None
