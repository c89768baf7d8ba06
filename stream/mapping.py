"""Where in a record the fields of a message stand, for teams whose messages have a shape of their own. Pure.

    text_from = "[title, body.content]"       JMESPath into the JSON of the value; several texts are joined
    author_from = "user.id"
    channel_from = "header:tenant"            a header of the record
    conversation_from = "key:"                the key, as text; key:ticket.id is JMESPath into a JSON key

    record ─► opened ─► fields ─► message

A field without a setting is looked for under its own name. One that has a setting must be found: an author
who is not found could be one who opted out. What may be missing ends with ``|| ''``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import jmespath
from jmespath.exceptions import JMESPathError

from stream.codec import InputFormat, message_of, opened, parsed_json
from stream.errors import Cause, MessageError, SettingsError
from stream.events import Message
from stream.records import Headers

FIELDS: Final = ("text", "author", "channel", "conversation", "id", "ts")
_SETTING_OF: Final = {field: f"{'time' if field == 'ts' else field}_from" for field in FIELDS}


@dataclass(frozen=True, slots=True)
class Place:
    """Where one field stands. ``path`` is JMESPath, or the name of a header."""

    part: Literal["value", "key", "header"]
    path: str


def place_of(setting: str) -> Place:
    """The place that a setting names.

    Raises:
        ValueError: it is neither ``header:NAME``, ``key:`` nor JMESPath; with what is wrong where.
    """
    part, colon, rest = setting.partition(":")
    if colon and part == "header":
        if not rest:
            raise ValueError("header: needs the name of a header, as in header:tenant")
        return Place("header", rest.lower())
    place = Place("key", rest) if colon and part == "key" else Place("value", setting)
    if place.path or place.part == "value":
        try:
            jmespath.compile(place.path)
        except JMESPathError as error:
            column = getattr(error, "lex_position", 0) + 1
            raise ValueError(f"no JMESPath, at column {column}: write a path such as user.id") from None
    return place


def checked_place(setting: str) -> str:
    """The setting as it is, for validation.

    Raises:
        ValueError: as ``place_of``.
    """
    place_of(setting)
    return setting


class PlaceSettings(Protocol):
    """The settings that say where the fields stand."""

    @property
    def input_format(self) -> InputFormat: ...
    @property
    def text_from(self) -> str | None: ...
    @property
    def author_from(self) -> str | None: ...
    @property
    def channel_from(self) -> str | None: ...
    @property
    def conversation_from(self) -> str | None: ...
    @property
    def id_from(self) -> str | None: ...
    @property
    def time_from(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class _Record:
    """One record as places see it. ``value`` is the JSON document, or None for bare text."""

    value: Any
    key: bytes | None
    headers: Mapping[str, bytes | None]


class MessageMapping:
    """Makes messages of records whose fields stand elsewhere than under their own names."""

    def __init__(self, places: Mapping[str, Place]) -> None:
        self._places = dict(places)
        self._paths = {
            field: jmespath.compile(place.path)
            for field, place in places.items()
            if place.part != "header" and place.path
        }

    @classmethod
    def of(cls, settings: PlaceSettings) -> "MessageMapping | None":
        """The mapping that the settings ask for; None where fields stand under their own names.

        Raises:
            SettingsError: a field is to be found in the JSON of messages that are bare text.
        """
        given = {
            "text": settings.text_from,
            "author": settings.author_from,
            "channel": settings.channel_from,
            "conversation": settings.conversation_from,
            "id": settings.id_from,
            "ts": settings.time_from,
        }
        places = {field: place_of(setting) for field, setting in given.items() if setting is not None}
        if settings.input_format == "text":
            for field, place in places.items():
                if place.part == "value":
                    raise SettingsError(
                        f"{_SETTING_OF[field]}: a path into JSON, but input_format is text: "
                        "name header:NAME or key:, or set input_format to json"
                    )
        return cls(places) if places else None

    def of_values(self) -> "MessageMapping | None":
        """What of it looks into values: lines of a file have neither headers nor a key."""
        places = {field: place for field, place in self._places.items() if place.part == "value"}
        return MessageMapping(places) if places else None

    def message(
        self, value: bytes, key: bytes | None, headers: Headers, input_format: InputFormat
    ) -> Message:
        """The message in a record, its fields taken from where they stand.

        Raises:
            MessageError: a field is not found, or is nothing that such a field can be; as ``decode_message``.
        """
        found = opened(value, headers, input_format)
        document = found.document if found.text is None else {"text": found.text}
        return message_of(self._fields(_Record(found.document, key, found.headers), document), found)

    def author_in(self, document: Any, key: bytes | None, headers: Mapping[str, bytes | None]) -> Any:
        """What stands where the author is to be found, whatever else is wrong; None where nothing does."""
        place = self._places.get("author")
        try:
            return place and self._content("author", place, _Record(document, key, headers), "author_from")
        except MessageError:
            return None

    def _fields(self, record: _Record, document: Any) -> dict[str, Any]:
        fields = {}
        for field in FIELDS:
            if field in self._places:
                fields[field] = self._found(field, record)
            elif isinstance(document, dict) and document.get(field) is not None:
                fields[field] = document[field]
        return {field: content for field, content in fields.items() if content is not None}

    def _found(self, field: str, record: _Record) -> Any:
        place = self._places[field]
        where = f"{_SETTING_OF[field]} ({_shown(place)})"
        content = self._content(field, place, record, where)
        if content is None or content == []:
            raise MessageError(Cause.NO_TEXT if field == "text" else Cause.UNMAPPED, f"{where} finds nothing")
        if field == "text":
            return _joined(content, where)
        if isinstance(content, bool | list | dict):
            raise MessageError(Cause.WRONG_TYPE, f"{where} finds neither text nor a number")
        return None if content == "" else content

    def _content(self, field: str, place: Place, record: _Record, where: str) -> Any:
        if place.part == "header":
            content = record.headers.get(place.path)
            return None if content is None else _decoded(content, where)
        document = record.value
        if place.part == "key":
            if record.key is None or not place.path:
                return None if record.key is None else _decoded(record.key, where)
            try:
                document = parsed_json(record.key)
            except ValueError:
                raise MessageError(Cause.UNMAPPED, f"{where}: the key is not JSON") from None
        try:
            return self._paths[field].search(document)
        except JMESPathError as error:  # its words quote what was found, so only its kind is told
            raise MessageError(Cause.WRONG_TYPE, f"{where} fails: {type(error).__name__}") from None


def _shown(place: Place) -> str:
    return place.path if place.part == "value" else f"{place.part}:{place.path}"


def _joined(content: Any, where: str) -> str:
    """One text of one or several; what is missing among several is left out."""
    texts: Sequence[Any] = content if isinstance(content, list) else [content]
    found = [text for text in texts if text is not None]
    if not found:
        raise MessageError(Cause.NO_TEXT, f"{where} finds nothing")
    if not all(isinstance(text, str) for text in found):
        raise MessageError(Cause.WRONG_TYPE, f"{where} finds something else than text")
    return "\n".join(text for text in found if text.strip())


def _decoded(content: bytes, where: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise MessageError(Cause.NOT_UTF8, f"{where}: invalid byte at position {error.start}") from None
