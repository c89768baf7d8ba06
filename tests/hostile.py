"""Records as no producer should write them, for hypothesis: bytes, JSON, CloudEvents, headers, times.

Most of them are nearly right, since what is quite wrong is refused at the first look.
"""

import base64
import copy
import json
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

CASES = int(os.environ.get("FUZZ_CASES", "2100"))
"""Cases of all fuzz tests together."""

_TESTS = 7


class HostileRecord(NamedTuple):
    """What ``ConsumerRecord`` has of a record."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


fuzzed = settings(
    max_examples=max(1, CASES // _TESTS),
    deadline=None,
    phases=[Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

_numbers = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([0, -1, 10**9, 1_700_000_000, 1.7e12, 1.7e15, 2**53 - 1]),
    st.sampled_from([2**63, -(2**63), 10**400, 1e308]),
)
_texts = st.one_of(
    st.text(max_size=40),
    st.text(st.characters(codec=None), max_size=10),  # halves of surrogate pairs among them
    st.sampled_from(
        ["joy: x", "", " ", "\x00", "\ud83d", "a" * 1025, "*", "-", "e\u0301", "> old", "\ufeff"]
    ),
)
_times = st.one_of(
    st.datetimes().map(lambda moment: moment.isoformat()),
    st.sampled_from(
        [
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59.999999-14:00",
            "9999-12-31T23:59:59Z",
            "yesterday",
            "",
            " ",
            "1700000000",
        ]
    ),
    _numbers,
)
_scalars = st.one_of(st.none(), st.booleans(), _numbers, _texts)
_json = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=6,
)
_deep = st.integers(1, 1200).map(lambda depth: "[" * depth + "]" * depth)


def _mostly(right: st.SearchStrategy[Any], wrong: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.sampled_from([right] * 9 + [wrong]).flatmap(lambda chosen: chosen)


_readable = st.sampled_from(["joy: x", "anger", "e\u0301", "> old\nnew", "\U0001f44d " * 9]) | st.text(
    min_size=1
)

messages = st.fixed_dictionaries(
    {"text": _mostly(_readable, _texts | _json)},
    optional={
        "id": _mostly(_texts, _json),
        "author": _mostly(_texts, _json),
        "channel": _mostly(_texts, _json),
        "conversation": _mostly(_texts, _json),
        "ts": _mostly(_times, _json),
        "meta": _mostly(st.dictionaries(_texts, _json, max_size=2), _json),
        "other": _json,
    },
)


def _written(document: Any) -> bytes:
    """JSON with NaN, infinities and halves of surrogate pairs in it, as careless writers have it."""
    return json.dumps(document).encode()


def _nested(document: dict[str, Any], deep: str) -> bytes:
    return _written({**document, "meta": "@"}).replace(b'"@"', deep.encode())


def _event(message: Any, attributes: dict[str, Any], kind: str) -> bytes:
    data = _written(message)
    if kind == "data":
        return _written({**attributes, "data": message})
    content = base64.b64encode(data).decode() if kind == "data_base64" else data.decode("latin-1")
    return _written({**attributes, kind: content})


_attributes = st.fixed_dictionaries(
    {"specversion": st.just("1.0")},
    optional={"id": _mostly(_texts, _json), "time": _mostly(_times, _json), "type": _texts},
)
events = st.builds(
    _event, messages | _json, _attributes, st.sampled_from(["data", "data_base64", "data_text"])
)


def _cut(value: bytes, at: int) -> bytes:
    return value[: at % (len(value) + 1)]


_plain = messages.map(_written)
_values = st.sampled_from(
    [
        *[_plain] * 5,
        *[events] * 2,
        st.builds(_nested, messages, _deep),
        st.builds(_cut, _plain, st.integers(0, 500)),
        st.binary(max_size=60),
        _json.map(_written),
    ]
).flatmap(lambda chosen: chosen)
_prefixes = st.sampled_from([*[b""] * 9, b"\xef\xbb\xbf", b"\x00\x00\x00\x00\x07", b"\x00", b"\xff\xfe"])
values = st.builds(bytes.__add__, _prefixes, _values)

header_values = st.one_of(
    st.none(),
    st.binary(max_size=30),
    st.sampled_from(
        [
            b"application/cloudevents+json",
            b"application/json",
            b"text/plain",
            b"1.0",
            b"1700000000000",
            b"-5",
            b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ]
    ),
)
header_names = st.one_of(
    st.sampled_from(
        [
            "content-type",
            "Content-Type",
            "ce_specversion",
            "ce_id",
            "ce_time",
            "traceparent",
            "tracestate",
            "dlq_timestamp",
            "dlq_replays",
            "dlq_offset",
            "dlq_cut",
            "original_x",
        ]
    ),
    st.text(max_size=10),
)
_typed = st.sampled_from(
    [*[()] * 4, (("content-type", b"application/cloudevents+json"),), (("ce_specversion", b"1.0"),)]
)
headers = st.builds(
    tuple.__add__, _typed, st.lists(st.tuples(header_names, header_values), max_size=4).map(tuple)
)
timestamps = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([-1, 0, 1_700_000_000, 1_700_000_000_000, 1_700_000_000_000_000, 2**63 - 1]),
)
keys = st.none() | st.binary(max_size=20) | _texts.map(lambda text: text.encode("utf-8", "surrogatepass"))

records = st.builds(
    HostileRecord,
    topic=st.just("messages"),
    partition=st.just(0),
    offset=st.just(0),
    timestamp=timestamps,
    key=keys,
    value=_mostly(values, st.none()),
    headers=headers,
)


def changed(right: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """The document, with what stands at one or two of its places made into something else, or left out."""
    places = list(_places(right))
    changes = st.lists(st.tuples(st.sampled_from(places), _scalars | _times | _json), min_size=1, max_size=2)
    return st.builds(_changed, st.just(right), changes).map(_written)


def _places(document: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for name, inner in items:
        yield (*above, name)
        if isinstance(inner, dict | list):
            yield from _places(inner, (*above, name))


def _changed(right: dict[str, Any], changes: list[tuple[tuple[Any, ...], Any]]) -> Any:
    document = copy.deepcopy(right)
    for (*above, name), content in changes:
        try:
            inner = document
            for step in above:
                inner = inner[step]
            inner[name] = content
        except (IndexError, KeyError, TypeError):  # an earlier change took that place away
            continue
    return document


def generated(count: int) -> list[HostileRecord]:
    """As many records, the same at each call."""
    found: list[HostileRecord] = []

    @settings(max_examples=count, derandomize=True, database=None, deadline=None)
    @given(records)
    def collect(record: HostileRecord) -> None:
        found.append(record)

    collect()
    return [record._replace(offset=number) for number, record in enumerate(found[:count])]
