"""From a polled record to an entry: decoded, and its author asked for before anything is read.

The one place where an exception becomes a dead letter: whatever a record holds, it leaves here as an entry.
"""

import contextlib
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import structlog

from stream.annotate.ledger import Entry, Silent
from stream.annotate.times import message_time
from stream.annotate.whose import is_of_who_opted_out, possible_authors
from stream.codec import InputFormat, check_size, read_message
from stream.deadletters import written_at_ms
from stream.errors import Cause, MessageError
from stream.events import Message
from stream.mapping import MessageMapping
from stream.phrases import PhrasesFile
from stream.privacy import OptOut, Pseudonyms, without_author
from stream.records import Headers, UnreadBatch
from stream.text import TextParts, text_to_read

if TYPE_CHECKING:
    from stream.registry.client import SchemaRegistry

_log = structlog.get_logger(__name__)

_NO_TIME_MS: Final = -1
"""What Kafka says where a record has no time stamp; aiokafka has None for one of the oldest format (v0)."""

_MOST_GROWTH: Final = 64
"""Numbers and names of fields make JSON longer than the record it was made of, by some dozens at most; by
schemas that are made for it, a byte can become any number."""


class Admission:
    """Decides for each record whether the model gets to see it. ``clock`` gives Unix seconds."""

    def __init__(
        self,
        *,
        input_format: InputFormat,
        max_message_bytes: int,
        max_ahead_s: float,
        pseudonyms: Pseudonyms,
        optout: OptOut,
        phrases: PhrasesFile | None,
        text_parts: TextParts = "new",
        mapping: MessageMapping | None = None,
        registry: "SchemaRegistry | None" = None,
        publish_keys: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._input_format = input_format
        self._max_message_bytes = max_message_bytes
        self._max_ahead_ms = int(max_ahead_s * 1000)
        self._pseudonyms = pseudonyms
        self._optout = optout
        self._phrases = phrases
        self._text_parts: TextParts = text_parts
        self._mapping = mapping
        self._registry = registry
        self._publish_keys = publish_keys
        self._clock = clock

    def admit(self, record: Any) -> Entry:
        """The entry of a ``ConsumerRecord``; its outcome is already known if it is not for the model."""
        record_ms = _NO_TIME_MS if record.timestamp is None else record.timestamp
        entry = Entry(
            offset=record.offset,
            timestamp_ms=record_ms,
            key=record.key,
            value=record.value,
            headers=record.headers,
            admitted_at=time.monotonic(),
        )
        self._date(entry, record_ms)
        if isinstance(record.value, UnreadBatch):
            _log.error(record.value.told, topic=record.topic, partition=record.partition)
            entry.outcome = MessageError(Cause.UNREAD_BATCH, record.value.told)
            return entry
        try:
            self._read(entry, record_ms)
        except MessageError as error:
            self._refuse(entry, error)
        except Exception as error:  # its words may quote the message, so only its type is told
            kind = type(error).__name__
            _log.warning(
                "a record cannot be read",
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                error=kind,
            )
            self._refuse(entry, MessageError(Cause.UNREADABLE, f"reading it raised {kind}"))
        return entry

    def _refuse(self, entry: Entry, error: MessageError) -> None:
        """A dead letter keeps what was written, so here too nothing of who opted out may stay."""
        entry.may_be_of = self._possible_authors(entry)
        # Its frames refer to the entry, which refers to it: both would stay until cycles are looked for.
        error.__cause__ = error.__context__ = error.__traceback__ = None
        entry.outcome = Silent.OPTED_OUT if is_of_who_opted_out(self._optout, entry) else error

    def _possible_authors(self, entry: Entry) -> tuple[str, ...]:
        value = entry.value or b""
        if self._registry is not None:
            with contextlib.suppress(Exception):  # then it may be JSON behind a prefix
                value = self._registry.json_of(value)
        found: list[str] = []
        with contextlib.suppress(Exception):  # who was found before it stays, and the record has its cause
            found.extend(possible_authors(value, entry.key, entry.headers, self._mapping))
        return tuple(found)

    def _read(self, entry: Entry, record_ms: int) -> None:
        if entry.value is None:
            entry.outcome = Silent.TOMBSTONE
            return
        message = self._decoded(entry, entry.value)
        if self._optout.covers(message.author, entry.key):
            entry.outcome = Silent.OPTED_OUT
            return
        if message.ts is not None:
            self._date(entry, record_ms, message.ts)
        entry.text = text_to_read(message.text, self._text_parts)
        if message.author is not None:
            entry.author = self._pseudonyms.of(message.author)
            message = without_author(message, entry.author)
        entry.published_key = (
            entry.key if self._publish_keys else self._pseudonyms.of_key(entry.key, entry.author)
        )
        if self._phrases is not None:
            entry.phrases = self._phrases.match(entry.text)
        entry.message = message

    def _decoded(self, entry: Entry, value: bytes) -> Message:
        headers: Headers = entry.headers
        input_format = self._input_format
        check_size(value, self._max_message_bytes)
        if self._registry is not None:
            document = self._registry.json_of(value)
            if document is not value:
                self._check_growth(document)
                value, input_format = document, "json"
        if self._mapping is not None:
            return self._mapping.message(value, entry.key, headers, input_format)
        return read_message(value, headers, input_format)

    def _check_growth(self, document: bytes) -> None:
        if len(document) > _MOST_GROWTH * self._max_message_bytes:
            raise MessageError(
                Cause.TOO_LARGE,
                f"{len(document)} bytes as JSON, more than {_MOST_GROWTH} times max_message_bytes",
            )

    def _date(self, entry: Entry, record_ms: int, claimed: datetime | None = None) -> None:
        written_ms = written_at_ms(entry.headers) if entry.headers else None
        times = message_time(claimed, record_ms, int(self._clock() * 1000), self._max_ahead_ms, written_ms)
        entry.timestamp_ms, entry.event_ms, entry.wrong_clock = times.taken_ms, times.event_ms, times.wrong
        entry.original_ms = record_ms if written_ms is None else written_ms
