"""Compressed batches are unpacked up to a bound: a small one can hold more than the memory there is.

A megabyte, which any topic takes, unpacks to at most 21 megabytes of snappy, 255 of LZ4, 1,032 of gzip and
32,768 of zstd. aiokafka unpacks whatever comes, whole; ``bound_unpacking`` puts these functions in the place
of its own. A batch beyond the bound raises instead, and ``stream.batches`` passes over it, unless it is one
of the formats before Kafka 0.11, which do not tell at which offset they begin.
"""

import gzip
import io
import mmap
from collections.abc import Callable, Iterator
from typing import Any, Final

import cramjam
from aiokafka import codec
from aiokafka.record import default_records, legacy_records
from aiokafka.record._crecords import default_records as compiled_default
from aiokafka.record._crecords import legacy_records as compiled_legacy

DEFAULT_BYTES: Final = 128 * 1024 * 1024
_NO_ROOM: Final = "failed to write whole buffer"
"""What cramjam says when the output is larger than the buffer for it."""
_XERIAL_HEADER_BYTES: Final = 16


class TooMuchToUnpackError(Exception):
    """A batch holds more than the bound."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"it unpacks to more than {limit_bytes} bytes, which max_unpacked_bytes allows")


def bound_unpacking(limit_bytes: int = DEFAULT_BYTES) -> None:
    """From now on, all consumers of this process unpack at most so many bytes of a batch."""
    for module in (compiled_default, default_records, compiled_legacy, legacy_records):
        for name, unpack in UNPACK.items():
            setattr(module, name, _bounded(unpack, limit_bytes))


def _bounded(unpack: Callable[[bytes, int], bytes], limit_bytes: int) -> Callable[[Any], bytes]:
    return lambda payload: unpack(bytes(payload), limit_bytes)


def _gzip(payload: bytes, limit_bytes: int) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(payload)) as members:
        unpacked = members.read(limit_bytes + 1)
    if len(unpacked) > limit_bytes:
        raise TooMuchToUnpackError(limit_bytes)
    return unpacked


def _snappy(payload: bytes, limit_bytes: int) -> bytes:
    blocks = _xerial_blocks(payload) if codec._detect_xerial_stream(payload) else iter((payload,))
    if sum(map(cramjam.snappy.decompress_raw_len, blocks)) > limit_bytes:  # each says its length at its head
        raise TooMuchToUnpackError(limit_bytes)
    return bytes(codec.snappy_decode(payload))


def _xerial_blocks(payload: bytes) -> Iterator[bytes]:
    position = _XERIAL_HEADER_BYTES
    while position < len(payload):
        size = int.from_bytes(payload[position : position + 4], "big", signed=True)
        if size <= 0:
            raise ValueError("a block of snappy without a length")
        yield payload[position + 4 : position + 4 + size]
        position += 4 + size


def _lz4(payload: bytes, limit_bytes: int) -> bytes:
    return _into_buffer(cramjam.lz4, payload, limit_bytes)


def _zstd(payload: bytes, limit_bytes: int) -> bytes:
    return _into_buffer(cramjam.zstd, payload, limit_bytes)


def _into_buffer(library: Any, payload: bytes, limit_bytes: int) -> bytes:
    """Unpacked into pages that cost memory only where they are written."""
    with mmap.mmap(-1, limit_bytes) as buffer:
        try:
            size = library.decompress_into(payload, buffer)
        except cramjam.DecompressionError as error:
            if _NO_ROOM in str(error):
                raise TooMuchToUnpackError(limit_bytes) from None
            raise
        return buffer[:size]


UNPACK: Final = {"gzip_decode": _gzip, "snappy_decode": _snappy, "lz4_decode": _lz4, "zstd_decode": _zstd}
"""By the name of aiokafka's function: the payload of a batch and the most bytes that it may hold."""
