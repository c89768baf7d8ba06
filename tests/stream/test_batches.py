"""A batch is read whole, or one record stands for it, whatever it holds and wherever it lies."""

import gc
import weakref
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from hypothesis import example, given
from hypothesis import strategies as st

import stream.kafka  # noqa: F401 - sets aiokafka up
from stream import batches
from stream.records import UnreadBatch
from stream.unpacking import TooMuchToUnpackError, bound_unpacking

LIMIT = 10_000
RECORD_BYTES = 30
"""Most that a record of these takes beside its value."""
CODECS = {
    "none": DefaultRecordBatch.CODEC_NONE,
    "gzip": DefaultRecordBatch.CODEC_GZIP,
    "snappy": DefaultRecordBatch.CODEC_SNAPPY,
    "lz4": DefaultRecordBatch.CODEC_LZ4,
    "zstd": DefaultRecordBatch.CODEC_ZSTD,
}


@pytest.fixture(scope="module", autouse=True)
def bounded() -> Iterator[None]:
    bound_unpacking(LIMIT)
    yield
    bound_unpacking()


def batch_of(values: list[bytes], codec: str, first_offset: int) -> bytes:
    """As a broker hands it out: producers count from 0, and it writes the first offset over that."""
    builder = DefaultRecordBatchBuilder(2, CODECS[codec], 0, -1, -1, -1, 1 << 24)
    for number, value in enumerate(values):
        builder.append(number, 1_700_000_000_000 + number, None, value, [])
    return first_offset.to_bytes(8, "big") + bytes(builder.build())[8:]


@given(
    st.lists(st.integers(0, 4000), min_size=1, max_size=12),
    st.sampled_from(sorted(CODECS)),
    st.integers(0, 2**60),
)
@example([LIMIT + 1], "gzip", 7)
@example([0] * 12, "zstd", 0)
def test_a_batch_is_read_whole_or_one_record_at_its_last_offset_stands_for_it(
    sizes: list[int], codec: str, first_offset: int
) -> None:
    values = [bytes(size) for size in sizes]
    fetched = fetcher.MemoryRecords(batch_of(values, codec, first_offset) * 2)
    for _ in range(2):
        batch = fetched.next_batch()
        records = list(batch)
        assert records[-1].offset == batch.next_offset - 1 == first_offset + len(sizes) - 1
        if isinstance(records[-1].value, UnreadBatch):
            assert codec != "none"
            assert sum(sizes) + RECORD_BYTES * len(sizes) > LIMIT
            assert [record.value for record in records] == [b""]
            assert records[0].value.first_offset == first_offset
            assert (records[0].key, list(records[0].headers)) == (None, [])
            assert records[0].timestamp == 1_700_000_000_000 + len(sizes) - 1
        else:
            assert codec == "none" or sum(sizes) <= LIMIT
            assert [record.value for record in records] == values
    assert not fetched.has_next()


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4"])
def test_a_batch_of_the_old_format_is_unpacked_up_to_the_bound_too(codec: str) -> None:
    for size, fits in ((LIMIT // 2, True), (LIMIT + 1, False)):
        builder = LegacyRecordBatchBuilder(1, CODECS[codec], 1 << 24)
        builder.append(0, 0, None, bytes(size))
        batch = fetcher.MemoryRecords(bytes(builder.build())).next_batch()
        if fits:
            assert [record.value for record in batch] == [bytes(size)]
        else:
            with pytest.raises(TooMuchToUnpackError):
                list(batch)


class Reading:
    """A partition that is assigned and read, as aiokafka's fetcher sees it."""

    active, paused, position = True, False, 0

    def state_value(self, _partition: TopicPartition) -> "Reading":
        return self

    def consumed_to(self, position: int) -> None:
        self.position = position


def fetched_of(content: bytes, reading: Reading) -> Any:
    place = TopicPartition("messages", 0)
    records = fetcher.PartitionRecords(
        place, fetcher.MemoryRecords(content), [], 0, None, None, True, fetcher.READ_COMMITTED
    )
    return fetcher.FetchResult(place, assignment=reading, partition_records=records, backoff=0)


@given(
    st.lists(st.lists(st.integers(0, 1500), min_size=1, max_size=6), min_size=1, max_size=6),
    st.none() | st.integers(1, 8),
)
@example([[1500] * 6] * 6, None)
def test_polls_take_every_record_once_and_each_no_more_than_those_that_reach_the_bound(
    sizes: list[list[int]], max_records: int | None
) -> None:
    content, wanted = b"", list[int]()
    for one in sizes:
        content += batch_of([bytes(size) for size in one], "zstd", len(wanted))
        wanted += one
    reading, most, polls = Reading(), 2000, list[list[int]]()
    fetched = fetched_of(content, reading)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(batches, "POLL_BYTES", most)
        while fetched.has_more():
            polls.append([len(record.value) for record in fetched.getall(max_records)])
            assert reading.position == sum(map(len, polls))
    assert list(chain(*polls)) == wanted
    for poll in polls:
        assert sum(poll[:-1]) < most
        assert max_records is None or len(poll) <= max_records


def test_what_keys_and_headers_hold_counts_as_taken_too() -> None:
    builder = DefaultRecordBatchBuilder(2, CODECS["none"], 0, -1, -1, -1, 1 << 24)
    builder.append(0, 0, bytes(600), b"", [])
    builder.append(1, 0, None, b"", [("name", bytes(600)), ("name", None)])
    builder.append(2, 0, None, b"", [])
    fetched = fetched_of(bytes(builder.build()), Reading())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(batches, "POLL_BYTES", 500)
        assert [len(fetched.getall()) for _ in range(3)] == [1, 1, 1]


@pytest.mark.parametrize("paused", [False, True])
def test_what_no_poll_takes_any_more_is_let_go_at_once(paused: bool) -> None:
    reading = Reading()
    fetched = fetched_of(batch_of([b"one", b"two"], "zstd", 0), reading)
    records = weakref.ref(fetched._partition_records)
    assert len(fetched.getall(1)) == 1
    gc.disable()
    try:
        if paused:
            reading.paused = True
            assert fetched.getall(1) == []
        else:
            del fetched
        assert records() is None
    finally:
        gc.enable()
