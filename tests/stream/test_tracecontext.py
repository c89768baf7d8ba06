"""The trace of a message goes on where W3C Trace Context says that it is one, and nothing else does."""

import pytest

from stream.tracecontext import trace_headers

PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_valid_trace_goes_on() -> None:
    headers = (
        ("traceparent", PARENT),
        ("tracestate", b"rojo=00f067aa0ba902b7,congo@a=t61rcWkgMzE"),
        ("x", b"1"),
    )
    assert trace_headers(headers) == [headers[0], headers[1]]
    assert trace_headers(()) == []


@pytest.mark.parametrize(
    "parent",
    [
        b"kim@example.org",
        PARENT + b"-kim",
        PARENT + b"\n",
        PARENT.upper(),
        PARENT.replace(b"0af7651916cd43dd8448eb211c80319c", b"0" * 32),
        PARENT.replace(b"b7ad6b7169203331", b"0" * 16),
        b"ff" + PARENT[2:],
        b"",
        None,
    ],
)
def test_what_is_no_trace_stays_and_its_state_with_it(parent: bytes | None) -> None:
    assert trace_headers((("traceparent", parent), ("tracestate", b"a=1"))) == []


def test_two_parents_are_none() -> None:
    assert trace_headers((("traceparent", PARENT), ("traceparent", PARENT))) == []


@pytest.mark.parametrize(
    "state",
    [
        b"kim",
        b"a=1,a=2",
        b"A=1",
        b"a=\x00",
        "a=ü".encode(),
        b"a=" + b"x" * 257,
        b",".join(b"a%d=1" % number for number in range(33)),
        b"a=" + b"x" * 250 + b",b=" + b"x" * 250 + b",c=" + b"x" * 20,
    ],
)
def test_a_state_that_is_none_stays(state: bytes) -> None:
    assert trace_headers((("traceparent", PARENT), ("tracestate", state))) == [("traceparent", PARENT)]


def test_a_state_that_names_the_author_stays() -> None:
    headers = (("traceparent", PARENT), ("tracestate", b"vendor=Kim@example.org"))
    assert trace_headers(headers, never=(b"", b"kim@example.org")) == [("traceparent", PARENT)]
    assert len(trace_headers(headers, never=(b"", b"lee"))) == 2
