"""A batch is read whole, or one record stands for it, whatever it holds and wherever it lies."""

from collections.abc import Iterator

import pytest
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from hypothesis import example, given
from hypothesis import strategies as st

import stream.kafka  # noqa: F401 - sets aiokafka up
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
