"""Whose a record is; of one that cannot be read, what may name its author, looked for with good will. Pure.

A dead letter holds what was written, so whoever opted out must not be its author. What is found here is only
held against the opt-out list: a name too many can cost a dead letter, one too few publishes a message.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from pydantic_core import from_json

from stream.annotate.ledger import Entry
from stream.codec import attributes_of, headers_by_name, parsed_json, without_prefix
from stream.events import digits_of
from stream.mapping import MessageMapping
from stream.privacy import OptOut
from stream.records import Headers

_AUTHOR: Final = re.compile(rb'"author"\s*:\s*("(?:[^"\\]|\\.){0,1024}"|-?[0-9][0-9.eE+-]{0,40})', re.DOTALL)
"""The field in what is no JSON as a whole."""

_MOST_NAMES: Final = 100
_LONGEST_NAME: Final = 1024
"""As long as a name in a message may be."""


def is_of_who_opted_out(optout: OptOut, entry: Entry) -> bool:
    """Whether the author of a message opted out; where there is no message, anybody whose it may be."""
    if entry.message is not None:
        return optout.covers(entry.message.author, entry.key)
    return optout.covers(None, entry.key) or any(name in optout for name in entry.may_be_of)


def possible_authors(
    value: bytes, key: bytes | None, headers: Headers, mapping: MessageMapping | None
) -> Iterator[str]:
    """Names that stand where the author is to be found; where none stands there, in fields ``author``.

    Of JSON that breaks off, or is broken, what can be made out counts; of a CloudEvent its data. There are
    ``_MOST_NAMES`` at most, since each is hashed.
    """
    return islice(_possible_authors(value, key, headers, mapping), _MOST_NAMES)


def _possible_authors(
    value: bytes, key: bytes | None, headers: Headers, mapping: MessageMapping | None
) -> Iterator[str]:
    by_name = headers_by_name(headers)
    documents = list(_documents(value))
    if mapping is not None:
        mapped = [
            name
            for document in documents or [None]
            for name in _names(mapping.author_in(document, key, by_name | _attributes(documents)))
        ]
        if mapped:
            yield from mapped
            return
    for document in documents:
        if isinstance(document, dict):
            yield from _names(document.get("author"))


def _documents(value: bytes) -> Iterator[Any]:
    """The JSON in a value, the data of an event in it, and fields ``author`` of what is no JSON."""
    for document in _read(value):
        yield document
        if isinstance(document, dict):
            yield from _event_data(document)


def _read(value: bytes) -> Iterator[Any]:
    try:
        yield parsed_json(value)
    except ValueError:
        for text in _readings(without_prefix(value)):
            yield _begun(text)
            for found in _AUTHOR.finditer(text):
                yield {"author": _begun(found[1])}


def _readings(value: bytes) -> Iterator[bytes]:
    """The value in UTF-8. One in another encoding has names that are right in one of these."""
    for encoding in dict.fromkeys((json.detect_encoding(value), "utf-8", "latin-1")):
        yield value.decode(encoding, "replace").encode()


def _begun(text: bytes) -> Any:
    """JSON up to where it ends or breaks; None where it breaks at once."""
    try:
        return from_json(text, allow_partial=True)
    except ValueError:
        return None


def _event_data(event: Mapping[str, Any]) -> Iterator[Any]:
    yield event.get("data")
    if isinstance(encoded := event.get("data_base64"), str):
        try:
            content = base64.b64decode(encoded)
        except ValueError:
            return
        yield from _read(content)


def _attributes(documents: list[Any]) -> dict[str, bytes | None]:
    """Of structured CloudEvents, as a mapping looks for them."""
    found: dict[str, bytes | None] = {}
    for event in documents:
        if isinstance(event, dict) and "specversion" in event:
            found |= attributes_of(event)
    return found


def _names(found: Any) -> Iterator[str]:
    """Every text and number in what was found: the author may be written as an object or a list."""
    waiting = [found]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
        elif isinstance(part, str) and part.strip() and len(part) <= _LONGEST_NAME:
            yield part
        elif isinstance(part, int | float) and not isinstance(part, bool) and (digits := digits_of(part)):
            yield digits
