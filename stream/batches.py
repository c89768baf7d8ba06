"""Record batches as aiokafka reads them, and those on which it would stop the partition for good.

Kafka takes any bytes for a header's name, and some clients (librdkafka) send any; aiokafka decodes them as
UTF-8 and raises. Such a batch is read with every byte of the name that is not ASCII as a question mark.

A compressed batch that unpacks to more than ``stream.unpacking`` allows is not read at all. Its offsets stand
in its header, which is not compressed (KIP-98, "Message Format"), so one record at the last of them stands
for it, with an ``UnreadBatch`` as its value.

A poll takes what was fetched of a partition up to a bound: a fetch of a megabyte can hold hundreds of
batches, and each may unpack to what is allowed.

All other batches are read as before, by aiokafka's compiled code.
"""

from collections.abc import Iterator
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy, _DefaultRecordPy
from aiokafka.record.memory_records import _MemoryRecordsPy
from aiokafka.record.util import decode_varint

from stream.records import UnreadBatch, held_bytes
from stream.unpacking import TooMuchToUnpackError

POLL_BYTES: Final = 8 * 1024 * 1024
"""With the record that reaches so many bytes, a poll has what it takes of a partition."""
_QUESTION_MARK = ord("?")


def read_every_batch() -> None:
    """From now on, neither names of headers nor what a batch unpacks to stops a consumer of this process, and
    a poll takes no more than the records that reach ``POLL_BYTES`` of a partition.

    What is corrupt, or packed as nobody here can unpack, still does, and so does a batch of the formats
    before Kafka 0.11 that unpacks to too much.
    """
    fetcher.MemoryRecords = _Records
    fetcher.FetchResult = _Fetched


class _Fetched(fetcher.FetchResult):  # type: ignore[misc]  # as below
    """What was fetched of a partition, and no poll has taken yet."""

    _partition_records: Any

    def getall(self, max_records: int | None = None) -> list[Any]:
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return []
        taken, size = [], 0
        for record in self._partition_records:
            taken.append(record)
            size += held_bytes(record.key, record.value, record.headers)
            if size >= POLL_BYTES or (max_records is not None and len(taken) >= max_records):
                self._update_position()
                return taken
        self._update_position()
        self._partition_records = None
        return taken

    def check_assignment(self, tp: TopicPartition) -> bool:
        records = self._partition_records
        if super().check_assignment(tp):
            return True
        _let_go(records)
        return False

    def __del__(self) -> None:
        _let_go(self._partition_records)


def _let_go(records: Any) -> None:
    """End a generator that nobody will ask any more.

    It and the records that it is of refer to each other: else their batch stays until the collector looks for
    cycles.
    """
    if records is not None and records._records_iterator is not None:
        records._records_iterator.close()


class _Records(_MemoryRecordsPy):  # type: ignore[misc]  # aiokafka ships no types for it
    """The batches of a fetched partition."""

    def next_batch(self) -> Any:
        raw = self._next_slice
        batch = super().next_batch()
        if batch is None or raw[self.MAGIC_OFFSET] < 2 or batch.is_control_batch:
            return batch
        return _Batch(batch, raw)


class _Batch:
    """A batch that is decoded at once when its records are asked for."""

    def __init__(self, batch: Any, raw: memoryview) -> None:
        self._batch = batch
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        try:
            records = list(self._batch)
        except UnicodeDecodeError:
            records = list(_with_readable_names(self._raw))
        except TooMuchToUnpackError as error:
            records = [_standing_for(self._batch, len(self._raw), str(error))]
        self.next_offset = self._batch.next_offset
        del self._batch  # what it was unpacked into, while its records wait for the next polls
        return iter(records)


def _standing_for(batch: Any, size_bytes: int, why: str) -> Any:
    last_offset = batch.next_offset - 1
    unread = UnreadBatch(batch.base_offset, last_offset, size_bytes, why)
    return _DefaultRecordPy(last_offset, batch.max_timestamp, batch.timestamp_type, None, unread, [])


def _with_readable_names(raw: memoryview) -> Any:
    """The batch, with header names of ASCII alone. Layout of a record: KIP-98, "Message Format"."""
    batch = _DefaultRecordBatchPy(raw)
    batch._maybe_uncompress()
    buffer, position = batch._buffer, batch._pos
    for _ in range(batch._num_records):
        length, position = decode_varint(buffer, position)
        end = position + length
        position += 1  # attributes
        for _ in ("time stamp", "offset"):
            _, position = decode_varint(buffer, position)
        for _ in ("key", "value"):
            length, position = decode_varint(buffer, position)
            position += max(length, 0)
        headers, position = decode_varint(buffer, position)
        for _ in range(headers):
            length, position = decode_varint(buffer, position)
            name = slice(position, position + length)
            buffer[name] = bytes(byte if byte < 128 else _QUESTION_MARK for byte in buffer[name])
            position += length
            length, position = decode_varint(buffer, position)
            position += max(length, 0)
        position = end
    return batch
