"""What is compressed reads as it was up to the bound, and one byte more raises, whatever the codec."""

import random

import pytest
from aiokafka import codec

from stream.unpacking import UNPACK, TooMuchToUnpackError

CODECS = ("gzip", "snappy", "lz4", "zstd")
SIZE = 200_000


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("content", [bytes(SIZE), random.Random(7).randbytes(SIZE)])
def test_a_batch_is_unpacked_up_to_the_bound(name: str, content: bytes) -> None:
    packed = getattr(codec, f"{name}_encode")(content)
    unpack = UNPACK[f"{name}_decode"]
    assert unpack(packed, SIZE) == content
    with pytest.raises(TooMuchToUnpackError, match="more than 199999 bytes"):
        unpack(packed, SIZE - 1)


def test_snappy_without_blocks_is_bound_too() -> None:
    packed = bytes(codec.snappy_encode(bytes(SIZE), xerial_compatible=False))
    assert UNPACK["snappy_decode"](packed, SIZE) == bytes(SIZE)
    with pytest.raises(TooMuchToUnpackError):
        UNPACK["snappy_decode"](packed, SIZE - 1)


@pytest.mark.parametrize("name", CODECS)
def test_what_is_damaged_is_not_taken_for_too_much(name: str) -> None:
    packed = bytearray(getattr(codec, f"{name}_encode")(b"some words " * 100))
    packed[len(packed) // 2] ^= 0xFF
    try:
        UNPACK[f"{name}_decode"](bytes(packed), SIZE)
    except TooMuchToUnpackError:
        raise
    except Exception:
        return
