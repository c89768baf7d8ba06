"""From a polled record to an entry: decoded, and its author asked for before anything is read."""

import time
from typing import Any

from stream.annotate.ledger import Entry, Silent
from stream.codec import InputFormat, decode_message
from stream.errors import MessageError
from stream.events import Message
from stream.mapping import MessageMapping
from stream.phrases import PhraseLists
from stream.privacy import OptOut, Pseudonyms, as_name, without_author
from stream.text import TextParts, text_to_read


class Admission:
    """Decides for each record whether the model gets to see it."""

    def __init__(
        self,
        *,
        input_format: InputFormat,
        max_message_bytes: int,
        pseudonyms: Pseudonyms,
        optout: OptOut,
        phrases: PhraseLists | None,
        text_parts: TextParts = "new",
        mapping: MessageMapping | None = None,
        publish_keys: bool = False,
    ) -> None:
        self._input_format = input_format
        self._max_message_bytes = max_message_bytes
        self._pseudonyms = pseudonyms
        self._optout = optout
        self._phrases = phrases
        self._text_parts: TextParts = text_parts
        self._mapping = mapping
        self._publish_keys = publish_keys

    def admit(self, record: Any) -> Entry:
        """The entry of a ``ConsumerRecord``; its outcome is already known if it is not for the model."""
        entry = Entry(
            offset=record.offset,
            timestamp_ms=max(0, record.timestamp),
            key=record.key,
            value=record.value,
            headers=record.headers,
            admitted_at=time.monotonic(),
        )
        if record.value is None:
            entry.outcome = Silent.TOMBSTONE
            return entry
        try:
            message = self._decoded(record)
        except MessageError as error:
            # A dead letter keeps what was written, so here too nothing of who opted out may stay.
            entry.outcome = Silent.OPTED_OUT if self._opted_out(None, record.key) else error
            return entry
        if self._opted_out(message.author, record.key):
            entry.outcome = Silent.OPTED_OUT
            return entry
        entry.message = message
        entry.text = text_to_read(message.text, self._text_parts)
        if message.author is not None and self._pseudonyms.canonical(message.author):
            entry.author = self._pseudonyms.of(message.author)
            entry.message = without_author(message, entry.author)
        entry.published_key = (
            record.key if self._publish_keys else self._pseudonyms.of_key(record.key, entry.author)
        )
        if self._phrases is not None:
            entry.phrases = self._phrases.match(entry.text)
        return entry

    def _decoded(self, record: Any) -> Message:
        value, headers, input_format = record.value, record.headers, self._input_format
        if self._mapping is not None and len(value) <= self._max_message_bytes:
            value, headers, input_format = self._mapping.mapped(value, record.key, headers, input_format)
        return decode_message(value, headers, input_format, self._max_message_bytes)

    def _opted_out(self, author: str | None, key: bytes | None) -> bool:
        """Whether the author opted out; where none is named, the key may be one."""
        if author is None and key is not None and self._optout:
            author = as_name(key)
        return author in self._optout
