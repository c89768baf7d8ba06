"""What is in flight of one partition, in the order of offsets. Pure.

Batches mix partitions and finish in any order, but a commit says "everything below this offset is done".
So messages are entered as they are polled, get their outcome whenever it is known, and leave only as a
finished prefix.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from model.contract import Emotion, Encoded, ModelInfo
from stream.annotate.times import Clock
from stream.authors import canonical_author
from stream.errors import MessageError
from stream.events import UNKNOWN as UNKNOWN_LABEL
from stream.events import Message
from stream.language import UNDETERMINED, Language
from stream.records import Headers, held_bytes


class Unread(Enum):
    """Outcomes that are published without the model having read the message."""

    UNKNOWN = UNKNOWN_LABEL
    """It is in a language that the weights were not measured in."""


class Silent(Enum):
    """Outcomes that are only counted."""

    OPTED_OUT = "opted_out"
    TOMBSTONE = "tombstone"


Outcome = Emotion | Unread | MessageError | Silent


@dataclass(slots=True, eq=False)
class Entry:
    """One message in flight. ``outcome`` is None until it is known; ``admitted_at`` is monotonic seconds.

    ``text`` is what the model reads of the message's own. ``key`` is the record's own, for its dead letter;
    ``author`` and ``published_key`` are pseudonyms. ``may_be_of`` are names that a record without a message
    may have for its author (``stream.annotate.whose``).

    ``span`` is what tracing noted of it last (``stream.annotate.tracing``), None where nothing is traced.

    ``model`` is the one whose tokenizer read the text, and whose outcome it gets; None where none read it.

    ``timestamp_ms`` is when Kafka took it, ``event_ms`` the moment that it counts for; both can be right
    (``stream.annotate.times``), and ``wrong_clock`` names the clock that was not. ``original_ms`` is Kafka's
    time stamp as it was.
    """

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    admitted_at: float
    event_ms: int = 0
    original_ms: int | None = None
    wrong_clock: Clock | None = None
    message: Message | None = None
    text: str = ""
    author: str | None = None
    may_be_of: tuple[str, ...] = ()
    published_key: bytes | None = None
    phrases: tuple[str, ...] = ()
    language: Language = UNDETERMINED
    encoded: Encoded | None = None
    model: ModelInfo | None = None
    outcome: Outcome | None = None
    ledger: "Ledger | None" = None
    span: Any = None
    size_bytes: int = 0
    """Of the record, as its ledger counts it."""

    @property
    def names(self) -> tuple[bytes, ...]:
        """What may name the author, and so must not go on in clear: without regard to spelling and case."""
        author = self.message.author if self.message is not None else None
        return _name((self.key or b"").decode("utf-8", "surrogateescape")), _name(author or "")


def _name(name: str) -> bytes:
    return canonical_author(name, "folded").encode("utf-8", "surrogatepass")


def _nothing() -> None:
    """Nobody waits for this ledger."""


@dataclass(slots=True, eq=False)
class Ledger:
    """Entries of one partition from the first unfinished one on."""

    next_offset: int
    on_finished: Callable[[], None] = _nothing
    entries: deque[Entry] = field(default_factory=deque)
    size_bytes: int = 0

    def __len__(self) -> int:
        return len(self.entries)

    def enter(self, entry: Entry) -> bool:
        """Take a polled message; False if its offset was taken before (a fetch from before a seek)."""
        if entry.offset < self.next_offset:
            return False
        entry.ledger = self
        self.entries.append(entry)
        self.next_offset = entry.offset + 1
        entry.size_bytes = held_bytes(entry.key, entry.value, entry.headers)
        self.size_bytes += entry.size_bytes
        return True

    def pass_to(self, offset: int) -> None:
        """Note that before this offset there is no message that was not entered."""
        self.next_offset = max(self.next_offset, offset)

    @property
    def finished(self) -> bool:
        """Whether the first entry has its outcome, so that something can be published."""
        return bool(self.entries) and self.entries[0].outcome is not None

    @property
    def first_offset(self) -> int:
        """Of the first entry that is not committed; where there is none, of the message that comes next."""
        return self.entries[0].offset if self.entries else self.next_offset

    def finished_prefix(self, limit: int) -> list[Entry]:
        """The finished entries before the first unfinished one, at most ``limit``, read by one model.

        They stay until ``release``: a commit that fails has forgotten nothing.
        """
        prefix: list[Entry] = []
        model: ModelInfo | None = None
        for entry in self.entries:
            if entry.outcome is None or len(prefix) == limit:
                break
            if entry.model is not model and entry.model is not None:
                if model is not None:
                    break
                model = entry.model
            prefix.append(entry)
        return prefix

    def offset_behind(self, prefix: Sequence[Entry]) -> int:
        """Where to go on behind the first entries: where they are all that is in flight, at the next message.

        Of a ledger that was dropped meanwhile that would pass over what was in flight.
        """
        return self.next_offset if len(prefix) == len(self.entries) else prefix[-1].offset + 1

    def release(self, count: int) -> None:
        """Forget the first ``count`` entries: they are committed."""
        for _ in range(count):
            self.size_bytes -= self.entries.popleft().size_bytes

    def drop(self) -> None:
        """Forget everything: the partition is no longer ours."""
        for entry in self.entries:
            entry.ledger = None
        self.entries.clear()
        self.size_bytes = 0


def settle(entries: Sequence[Entry], outcomes: Sequence[Outcome]) -> None:
    """Note the outcome of each entry; one whose partition has gone is nobody's any more."""
    for entry, outcome in zip(entries, outcomes, strict=True):
        entry.outcome = outcome
    for ledger in {entry.ledger for entry in entries}:
        if ledger is not None and ledger.finished:
            ledger.on_finished()
