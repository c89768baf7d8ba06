"""Who may be read, and under which name: pseudonyms and the opt-out list.

An author leaves the annotator only as a keyed hash (HMAC-SHA-256, RFC 2104): the same author has the same
pseudonym as long as the key stays, and without the key nobody can test a guess. The same goes for the key of
a record, which is often its author. The opt-out list is asked before a message reaches the model.
"""

import hmac
import re
import secrets
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import structlog

from stream.authors import AuthorCase, canonical_author
from stream.errors import SettingsError
from stream.events import Message

PSEUDONYM_HEX_DIGITS = 32
"""128 bits: two of a billion authors share a pseudonym with a probability below 1e-20."""

_LEAST_NAME = 3
"""A shorter author is looked for in other fields only as the whole of them: "a" is in every text."""

_log = structlog.get_logger(__name__)


class Pseudonyms:
    """Authors and record keys to pseudonyms, under one key. Spellings of an author have the same one."""

    def __init__(self, key: bytes | None, *, author_case: AuthorCase = "kept") -> None:
        if key is None:
            _log.warning(
                "author_key is not set: pseudonyms change at each start",
                next_step="set EMOTION_AUTHOR_KEY to keep baselines and opt-outs across restarts",
            )
            key = secrets.token_bytes(32)
        elif not key:
            raise SettingsError("author_key is empty: set EMOTION_AUTHOR_KEY to a long random text")
        self.of = lru_cache(maxsize=65_536)(self._of)
        self._of_other_key = lru_cache(maxsize=65_536)(self._of_bytes)
        self._key = key
        self._author_case: AuthorCase = author_case
        # Another hash than the pseudonyms have, so that no author's name can be chosen to yield this key.
        self._key_of_keys = hmac.digest(key, b"emotion-stream: keys of records", "sha512")

    def canonical(self, author: str) -> str:
        """The author as it is hashed and compared."""
        return canonical_author(author, self._author_case)

    def of_exactly(self, author: str) -> str:
        """The pseudonym of this spelling alone, as releases before 0.2 made it."""
        return self._digest(author)

    def _of(self, author: str) -> str:
        return self._digest(self.canonical(author))

    def _digest(self, author: str) -> str:
        return hmac.digest(self._key, author.encode("utf-8", "surrogatepass"), "sha256").hex()[
            :PSEUDONYM_HEX_DIGITS
        ]

    def of_key(self, key: bytes | None, author: str | None) -> bytes | None:
        """What stands for the key of a record, given the author's pseudonym, in its output.

        A key that is the author becomes the author's pseudonym, so that events can be joined with signals.
        Any other has a domain of its own: such a key is mostly a channel or a conversation, which the event
        names in clear, and in the authors' domain the two would be a guess confirmed.
        """
        if key is None:
            return None
        if author is not None and self.of(as_name(key)) == author:
            return author.encode()
        return self._of_other_key(key)

    def _of_bytes(self, key: bytes) -> bytes:
        return hmac.digest(self._key_of_keys, key, "sha256").hex()[:PSEUDONYM_HEX_DIGITS].encode()


def as_name(key: bytes) -> str:
    """The key of a record as the author that it may be."""
    return key.decode("utf-8", "surrogateescape")


def without_author(message: Message, pseudonym: str) -> Message:
    """The message, with the author's name replaced where it stands in a field that is published.

    People's ids are made into ids of messages and names of channels ("kim-17", "dm:kim"); there the author
    would stand in clear beside the pseudonym.
    """
    author = _composed(message.author or "").strip()
    if not author:
        return message
    hidden = {
        name: _hidden(_composed(value), author, pseudonym)
        for name, value in (
            ("id", message.id),
            ("channel", message.channel),
            ("conversation", message.conversation),
        )
        if value is not None and author.casefold() in _composed(value).casefold()
    }
    return message.model_copy(update=hidden) if hidden else message


def _composed(text: str) -> str:
    """One form of what a keyboard may compose in several, as authors are compared (``stream.authors``)."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _hidden(value: str, author: str, pseudonym: str) -> str:
    if value.strip().casefold() == author.casefold():
        return pseudonym
    if len(author) < _LEAST_NAME:
        return value
    # Between two letters or digits it is a part of another word.
    return re.sub(rf"(?<![^\W_]){re.escape(author)}(?![^\W_])", pseudonym, value, flags=re.IGNORECASE)


class OptOut:
    """Authors who must not be read. Holds names as given in the file, and pseudonyms from the topic."""

    def __init__(self, pseudonyms: Pseudonyms, file: Path | None = None) -> None:
        self._pseudonyms = pseudonyms
        self._file = file
        self._seen: tuple[int, int] | None = None
        self._from_file: frozenset[str] = frozenset()
        self._from_topic: set[str] = set()
        if file is not None:
            self._read(file)

    def __len__(self) -> int:
        return len(self._from_file) + len(self._from_topic)

    def __contains__(self, author: str | None) -> bool:
        if author is None or not (self._from_file or self._from_topic):
            return False
        canonical = self._pseudonyms.canonical(author)
        if canonical in self._from_file:
            return True
        pseudonyms = {self._pseudonyms.of(author)}
        if canonical != author:  # who opted out by an exact spelling stays opted out
            pseudonyms.add(self._pseudonyms.of_exactly(author))
        return not pseudonyms.isdisjoint(self._from_topic) or not pseudonyms.isdisjoint(self._from_file)

    def update(self, pseudonym: str, *, opted_out: bool) -> None:
        """Take a record of the opt-out topic: a value opts out, a tombstone opts in again."""
        if opted_out:
            self._from_topic.add(pseudonym)
        else:
            self._from_topic.discard(pseudonym)

    def reload(self) -> None:
        """Read the file again if it changed; one that has gone keeps its last list in force."""
        if self._file is None:
            return
        try:
            if self._stamp(self._file) != self._seen:
                self._read(self._file)
        except SettingsError as error:
            _log.warning("the opt-out list cannot be read; the last one stays in force", reason=str(error))
            self._seen = None

    def _read(self, file: Path) -> None:
        try:
            self._seen = self._stamp(file)
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"optout_file {file} cannot be read ({error}): one author a line") from error
        self._from_file = frozenset(map(self._pseudonyms.canonical, _entries(lines)))
        _log.info("opt-out list read", authors=len(self._from_file))

    @staticmethod
    def _stamp(file: Path) -> tuple[int, int]:
        try:
            status = file.stat()
        except OSError as error:
            raise SettingsError(f"optout_file {file} cannot be read ({error}): one author a line") from error
        return status.st_mtime_ns, status.st_size


def _entries(lines: Iterable[str]) -> Iterable[str]:
    """One author or pseudonym a line; empty lines and lines that start with # say nothing."""
    return (line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))
