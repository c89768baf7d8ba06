"""A dead letter gives back what it was made of, or says what it left out."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.deadletters import (
    CUT_BYTES,
    dead_letter_record,
    decode_dead_letter,
    encode_dead_letter,
    is_original,
)
from stream.events import DeadLetter, Source
from stream.records import size_bytes

LETTER = DeadLetter(
    id="messages-0-1",
    cause="not_json",
    error="no",
    source=Source(topic="messages", partition=0, offset=1),
    failed_at=datetime(2026, 3, 1, tzinfo=UTC),
    timestamp_ms=-1,
)
header_names = st.text("abcdlq_e-orginal", min_size=1, max_size=20)
headers = st.lists(st.tuples(header_names, st.none() | st.binary(max_size=10)), max_size=8)
sizes = st.none() | st.integers(0, 20) | st.integers(1000, 50_000)
"""Of a part that is there or not."""


@given(headers)
def test_the_headers_of_a_dead_letter_come_back_as_they_were(
    original: list[tuple[str, bytes | None]],
) -> None:
    assert decode_dead_letter(encode_dead_letter(LETTER, original, "/x")) == (LETTER, original)


def part(size: int | None) -> bytes | None:
    return None if size is None else b"x" * size


@given(sizes, sizes, st.lists(st.tuples(header_names, sizes), max_size=3), st.integers(16_384, 100_000))
def test_a_dead_letter_fits_and_says_what_it_left_out(
    key_size: int | None,
    value_size: int | None,
    header_sizes: list[tuple[str, int | None]],
    max_bytes: int,
) -> None:
    key, value = part(key_size), part(value_size)
    original = [(name, part(size)) for name, size in header_sizes]
    record = dead_letter_record(LETTER, key, value, original, source="/x", max_bytes=max_bytes, at_ms=0)
    letter, kept = decode_dead_letter(record.headers)
    assert size_bytes(record) <= max_bytes
    assert letter.source == LETTER.source
    assert (record.key == key) != ("key" in letter.cut)
    assert (kept == original) != ("headers" in letter.cut)
    assert (record.value == value) != ("value" in letter.cut)
    if letter.cut:
        assert letter.size == len(value or b"")
        assert is_original(letter, value)
        assert not is_original(letter, (value or b"") + b"x")
        assert (record.value or b"") == (value or b"")[:CUT_BYTES]


def test_a_record_that_is_no_dead_letter_is_refused() -> None:
    with pytest.raises(ValueError, match="dlq_cause"):
        decode_dead_letter([("ce_id", b"x")])
