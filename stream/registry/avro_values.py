"""Avro's binary values to JSON. Pure.

fastavro reads in compiled code without bounds of its own: a type within itself takes a level of the C stack
for each byte of the value, and an array whose items take no bytes is as long as its writer says. A value of
a schema with either is gone through first.
"""

import io
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import fastavro
from fastavro.read import LOGICAL_READERS

from stream.registry.schemas import DEEPEST, Read, Schema, UnusableSchemaError, as_json, mismatch, zigzag

_FIXED_BYTES: Final = {"null": 0, "boolean": 1, "float": 4, "double": 8}
_VARINTS: Final = frozenset({"int", "long", "enum"})
_RECORDS: Final = frozenset({"record", "error"})
_KINDS: Final = frozenset({*_FIXED_BYTES, *_VARINTS, *_RECORDS, "bytes", "string", "fixed", "array", "map"})
_WRAPPER: Final = "emotion_stream_wrapper"
"""A record around each value, which adds no bytes: only records keep the schemas that theirs refers to."""
_LENIENT: Final = "emotion-stream-"
"""Before the names of logical types that are read by ``_or_raw``: fastavro's own readers are everybody's."""
_MOST_DECIMAL_BYTES: Final = 1024
"""A decimal takes time by the square of its length."""
_MOST_EMPTY: Final = 100
"""Values in a record that take no bytes, those of records within it included: any byte can bring as many."""


def reader_of(schema: Schema) -> Read:
    """How values of an Avro schema are read.

    Raises:
        UnusableSchemaError: a value of few bytes is too large by it.
    """
    named: dict[str, Any] = {}
    for text in schema.references.values():
        fastavro.parse_schema(_loaded(text), named_schemas=named)
    wrapper = {
        "type": "record",
        "name": _WRAPPER,
        "fields": [{"name": "value", "type": _loaded(schema.text)}],
    }
    parsed: Any = fastavro.parse_schema(wrapper, named_schemas=named)
    own = parsed["fields"][0]["type"]
    types = _Types(named)
    types.examine(own)

    def read(payload: bytes) -> bytes:
        stream = io.BytesIO(payload)
        try:
            if types.unbounded:
                _Walk(types, payload).through(own)
            found: Any = fastavro.schemaless_reader(stream, parsed, None)
        except Exception as error:  # its words may quote the message
            raise mismatch(f"Avro: {type(error).__name__}") from None
        if left := len(payload) - stream.tell():
            raise mismatch(f"Avro: {left} bytes are left")
        return as_json(found["value"])

    return read


def _loaded(text: str) -> Any:
    """A schema with logical types that do not decide over the whole value."""
    return json.loads(text, object_hook=_lenient)


def _lenient(found: dict[str, Any]) -> dict[str, Any]:
    name = f"{_LENIENT}{found.get('logicalType')}"
    is_known = f"{found.get('type')}-{name}" in LOGICAL_READERS
    return found | {"logicalType": name} if is_known else found


def _or_raw(reader: Callable[..., Any]) -> Callable[..., Any]:
    """A reader that gives what was written where it is none of the type, as a date in the year 10000."""

    def read(found: Any, *schemas: Any) -> Any:
        if isinstance(found, bytes) and len(found) > _MOST_DECIMAL_BYTES:
            return found
        try:
            return reader(found, *schemas)
        except Exception:  # each type has errors of its own
            return found

    return read


def _lenient_readers() -> dict[str, Callable[..., Any]]:
    """By type and name, as fastavro looks for them."""
    return {kind.replace("-", f"-{_LENIENT}", 1): _or_raw(reader) for kind, reader in LOGICAL_READERS.items()}


LOGICAL_READERS.update(_lenient_readers())


class _Types:
    """The types of a parsed schema, and what their values can grow to.

    ``unbounded``: values can be nested deeper, or have more items, than their schema or their bytes say.
    """

    def __init__(self, named: Mapping[str, Any]) -> None:
        self.unbounded = False
        self._named = named
        self._records: dict[str, tuple[bool, int] | None] = {}

    def resolved(self, schema: Any) -> tuple[str, Any]:
        """The kind of a type, and the type itself where it is given by its name."""
        while not isinstance(schema, list):
            kind = schema if isinstance(schema, str) else schema["type"]
            if kind in _KINDS:
                return kind, schema
            schema = self._named[kind]
        return "union", schema

    def examine(self, schema: Any) -> tuple[bool, int]:
        """Whether each value of a type takes a byte at least, and how many values in it take none.

        Raises:
            UnusableSchemaError: there are too many that take none.
        """
        kind, schema = self.resolved(schema)
        if kind in _RECORDS:
            return self._examine_record(schema)
        if kind == "union":
            for branch in schema:
                self.examine(branch)
        elif kind == "map":
            self.examine(schema["values"])
        elif kind == "array":
            items_take_bytes, _ = self.examine(schema["items"])
            self.unbounded |= not items_take_bytes
        takes_bytes = kind != "null" and (kind != "fixed" or schema["size"] > 0)
        return takes_bytes, int(not takes_bytes)

    def _examine_record(self, schema: Any) -> tuple[bool, int]:
        name = schema["name"]
        if name in self._records:
            known = self._records[name]
            self.unbounded |= known is None
            return known or (True, 0)  # within itself it stands behind a byte of a union or of a count
        self._records[name] = None
        fields = [self.examine(field["type"]) for field in schema["fields"]]
        takes_bytes = any(takes for takes, _ in fields)
        empty = sum(empty for _, empty in fields) + (not takes_bytes)
        if empty > _MOST_EMPTY:
            raise UnusableSchemaError(f"more than {_MOST_EMPTY} fields in a record take no bytes")
        self._records[name] = takes_bytes, empty
        return takes_bytes, empty


class _Walk:
    """One way through a value, which ends where it is nested too deep or has too many items."""

    def __init__(self, types: _Types, payload: bytes) -> None:
        self._types = types
        self._payload = payload
        self._position = 0
        self._empty_items = 0

    def through(self, schema: Any, depth: int = 0) -> None:
        """Go to the end of a value of this type.

        Raises:
            Exception: the value is not of the type, or is too large.
        """
        kind, schema = self._types.resolved(schema)
        if depth > DEEPEST:
            raise ValueError("nested too deep")
        if kind in _FIXED_BYTES:
            self._skip(_FIXED_BYTES[kind])
        elif kind in _VARINTS:
            self._integer()
        elif kind == "fixed":
            self._skip(schema["size"])
        elif kind in ("bytes", "string"):
            self._skip(self._integer())
        elif kind in _RECORDS:
            for field in schema["fields"]:
                self.through(field["type"], depth + 1)
        elif kind == "union":
            self.through(schema[self._index()], depth)
        else:
            self._through_items(schema, depth + 1)

    def _through_items(self, schema: Any, depth: int) -> None:
        of_map = "values" in schema
        items = schema["values" if of_map else "items"]
        items_take_bytes = of_map or self._types.examine(items)[0]
        while count := self._integer():
            if count < 0:
                count = -count
                self._integer()  # the block's length, which is for those who pass over it
            if not items_take_bytes:
                self._empty_items += count
                if self._empty_items > len(self._payload):
                    raise ValueError("more items than bytes")
                continue
            for _ in range(count):
                if of_map:
                    self._skip(self._integer())
                self.through(items, depth)

    def _integer(self) -> int:
        number, self._position = zigzag(self._payload, self._position)
        return number

    def _index(self) -> int:
        index = self._integer()
        if index < 0:
            raise IndexError
        return index

    def _skip(self, count: int) -> None:
        self._position += count
        if count < 0 or self._position > len(self._payload):
            raise EOFError
