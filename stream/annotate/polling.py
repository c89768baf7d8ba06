"""Polling a consumer, with what cannot be read told by its place."""

import asyncio
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CorruptRecordException, KafkaError, UnsupportedCodecError

from stream.errors import RecordError
from stream.kafka import check_fetching

_LONGEST_S: Final = 1.0
"""While the group has no broker, ``getmany`` would wait for one, and hear nothing of a stop."""
_SEARCH_S: Final = 10.0
_FETCH_MS: Final = 1000


async def poll(
    consumer: AIOKafkaConsumer, *, timeout_ms: int, max_records: int
) -> dict[TopicPartition, list[Any]]:
    """``getmany`` of all partitions. Nothing comes while the group shares them out, nor without a broker.

    Raises:
        RecordError: a batch cannot be read, and was not when it was fetched again; names its place. Passing
            over it would lose records without a word.
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
        raise await _placed(consumer, error) from error
    return polled


def _is_unreadable(error: Exception) -> bool:
    return isinstance(error, CorruptRecordException | UnsupportedCodecError)


async def _placed(consumer: AIOKafkaConsumer, error: Exception) -> Exception:
    """The error with the place of the batch that raises it again; reads on, so nothing may follow it."""
    try:
        async with asyncio.timeout(_SEARCH_S):
            for place in sorted(consumer.assignment() - consumer.paused()):
                try:
                    while await consumer.getmany(place, timeout_ms=_FETCH_MS, max_records=1):
                        pass
                except Exception as again:
                    other: Exception = again
                    if isinstance(other, KafkaError) and not _is_unreadable(again):
                        return again
                    return RecordError(
                        f"topic {place.topic}, partition {place.partition}: what lies at offset "
                        f"{await consumer.position(place)} cannot be read ({type(again).__name__}: {again}): "
                        "see the broker's log; to go on behind it, set the group's offset there "
                        "(kafka-consumer-groups.sh --reset-offsets)"
                    )
    except TimeoutError:
        pass
    passing: Exception = KafkaError(f"a fetch could not be read, and now can ({type(error).__name__})")
    return passing
