"""Who may be read, and under which name: pseudonyms and the opt-out list.

An author leaves the annotator only as a keyed hash (HMAC-SHA-256, RFC 2104): the same author has the same
pseudonym as long as the key stays, and without the key nobody can test a guess. The same goes for the key of
a record, which is often its author. The opt-out list is asked before a message reaches the model.
"""

import hmac
import re
import secrets
import unicodedata
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import structlog

from stream.authors import AuthorCase, canonical_author, caseless
from stream.errors import SettingsError
from stream.events import Message
from stream.listfile import Stamp, end_line, says_whole, stamp_of

PSEUDONYM_HEX_DIGITS = 32
"""128 bits: two of a billion authors share a pseudonym with a probability below 1e-20."""

_PSEUDONYM = re.compile(rf"(?<![^\W_])[0-9a-f]{{{PSEUDONYM_HEX_DIGITS}}}(?![^\W_])")

_LEAST_NAME = 3
"""A shorter author is looked for in other fields only as the whole of them: "a" is in every text."""

_REMEMBERED: Final = 65_536
_LONGEST_REMEMBERED: Final = 128
"""Characters of a name, bytes of a key. A key may be as long as a message: so many of those are gigabytes."""

_Name = TypeVar("_Name", str, bytes)
_Found = TypeVar("_Found")

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
        self.of = _Remembered(self._of).__getitem__
        self.canonical = _Remembered(self._canonical).__getitem__
        self._of_other_key = _Remembered(self._of_bytes).__getitem__
        self._key = key
        self._author_case: AuthorCase = author_case
        # Another hash than the pseudonyms have, so that no author's name can be chosen to yield this key.
        self._key_of_keys = hmac.digest(key, b"emotion-stream: keys of records", "sha512")

    def _canonical(self, author: str) -> str:
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


class _Remembered(OrderedDict[_Name, _Found]):
    """What was found for short names, first in first out; a long one is looked at anew each time.

    A dictionary that knows a name answers without a call of ours, as every message asks for several.
    """

    def __init__(self, find: Callable[[_Name], _Found]) -> None:
        super().__init__()
        self._find: Callable[[_Name], _Found] = find

    def __missing__(self, name: _Name) -> _Found:
        found = self._find(name)
        if len(name) <= _LONGEST_REMEMBERED:
            if len(self) >= _REMEMBERED:
                self.popitem(last=False)
            self[name] = found
        return found


def is_pseudonym(text: str) -> bool:
    """Whether it has the form that pseudonyms have, in every release."""
    return _PSEUDONYM.fullmatch(text) is not None


def pseudonyms_in(text: str | None) -> frozenset[str]:
    """What ``without_author`` may have put into an id or the name of a channel or conversation."""
    return frozenset(_PSEUDONYM.findall(text or ""))


def as_name(key: bytes) -> str:
    """The key of a record as the author that it may be."""
    return key.decode("utf-8", "surrogateescape")


def without_author(message: Message, pseudonym: str) -> Message:
    """The message, with the author's name replaced where it stands in a field that is published.

    People's ids are made into ids of messages and names of channels ("kim-17", "dm:kim"); there the author
    would stand in clear beside the pseudonym.
    """
    author = canonical_author(message.author or "")
    if not author:
        return message
    name, published = caseless(author), (message.id, message.channel, message.conversation)
    # Every message comes by here, and hardly any has the name.
    for value in published:
        if value and name in caseless(value):
            break
    else:
        return message
    identity, channel, conversation = (
        _hidden(value, author, pseudonym) if value and name in caseless(value) else value
        for value in published
    )
    return message.model_copy(update={"id": identity, "channel": channel, "conversation": conversation})


def _hidden(value: str, author: str, pseudonym: str) -> str:
    name = caseless(author)
    if canonical_author(value, "folded") == name:
        return pseudonym
    if len(name) < _LEAST_NAME:
        return value
    hidden = _standing_alone(author).sub(pseudonym, unicodedata.normalize("NFC", value))
    # Another spelling can have another length ("Straße", "STRASSE"): only caseless are the two the same.
    standing = _standing_alone(name)
    return standing.sub(pseudonym, caseless(hidden)) if standing.search(caseless(hidden)) else hidden


def _standing_alone(name: str) -> re.Pattern[str]:
    """Finds a name in any case. Between two letters or digits it is a part of another word."""
    return re.compile(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])", re.IGNORECASE)


class OptOut:
    """Authors who must not be read. Holds names as given in the file, and pseudonyms from the topic.

    ``problem`` says why the file as it stands is not what is in force, and ``held`` counts the entries that
    have gone from it and stay in force until ``stream.listfile`` knows the file to be whole.
    ``topic_problem`` says the same of the topic; ``unreadable`` is why it will never be read to its end.
    """

    def __init__(self, pseudonyms: Pseudonyms, file: Path | None = None) -> None:
        self.problem: str | None = None
        self.topic_problem: str | None = None
        self.unreadable: Exception | None = None
        self.held = 0
        self._pseudonyms = pseudonyms
        self._file = file
        self._seen: Stamp | None = None
        self._whole = False
        self._accepted: frozenset[str] = frozenset()
        self._from_file: frozenset[str] = frozenset()
        self._from_topic: set[str] = set()
        if file is not None:
            self._start(file)

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

    def covers(self, author: str | None, key: bytes | None) -> bool:
        """Whether the author of a message opted out; where none is named, its key may be one."""
        if author is None and key is not None and self:
            author = as_name(key)
        return author in self

    def update(self, pseudonym: str, *, opted_out: bool) -> None:
        """Take a record of the opt-out topic: a value opts out, a tombstone opts in again."""
        if opted_out:
            self._from_topic.add(pseudonym)
        else:
            self._from_topic.discard(pseudonym)

    def reload(self) -> bool:
        """Read the file again if it changed; False where it has become one that is not taken as it is.

        Who is new in it is opted out at once. Who has gone from it stays opted out, unless the file says
        that it is whole; so does everybody where it cannot be read.
        """
        if self._file is None:
            return True
        before = self.problem
        try:
            stamp = stamp_of(self._file)
            if stamp == self._seen:
                return True
            self._take(_read(self._file))
            self._seen = stamp
        except (OSError, UnicodeDecodeError) as error:
            self.problem, self._seen = f"it cannot be read ({error})", None
        if self.problem is None or self.problem == before:
            return True
        _log.warning(
            "the opt-out list is not taken as it is: whoever has gone from it stays opted out",
            reason=self.problem,
            held=self.held,
            in_force=len(self._from_file),
        )
        return False

    def _start(self, file: Path) -> None:
        """The first list, which has none before it to be compared with."""
        try:
            self._seen = stamp_of(file)
            text = _read(file)
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"optout_file {file} cannot be read ({error}): one author a line") from error
        lines = _entries(text)
        try:
            self._whole = says_whole(text, len(lines))
        except SettingsError as error:
            raise SettingsError(f"optout_file {file}: {error}") from None
        if not lines and not self._whole:
            raise SettingsError(
                f"optout_file {file} names nobody: if nobody has opted out, let it say {end_line(0)!r}"
            )
        self._accept(frozenset(map(self._pseudonyms.canonical, lines)))

    def _take(self, text: str) -> None:
        lines = _entries(text)
        found = frozenset(map(self._pseudonyms.canonical, lines))
        gone = len(self._accepted - found)
        try:
            whole = says_whole(text, len(lines))
        except SettingsError as error:
            self._keep(found, gone, str(error))
            return
        if whole or not (gone or self._whole):
            self._whole = whole
            self._accept(found)
        else:
            what = f"{gone} of {len(self._accepted)} entries have gone" if gone else "its end line has gone"
            self._keep(found, gone, f"{what}: if that is meant, end the file with {end_line(len(lines))!r}")

    def _accept(self, found: frozenset[str]) -> None:
        self._accepted = self._from_file = found
        self.problem, self.held = None, 0
        _log.info("opt-out list read", authors=len(found))

    def _keep(self, found: frozenset[str], gone: int, problem: str) -> None:
        """The last list stays in force, and whom this one adds."""
        self._from_file = self._accepted | found
        self.problem, self.held = problem, gone


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8-sig")


def _entries(text: str) -> list[str]:
    """One author or pseudonym a line; empty lines and lines that start with # say nothing."""
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
