"""Files of messages: JSON lines, CSV or plain text, read line by line.

    file ──► (line number, value) ──decode_message──► Line: a message, or why it is refused

Every line goes through the same decoding as a record from Kafka, so that a line that is accepted here is
labelled there. Blank lines are skipped. Reading never stops at a wrong line.
"""

import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader, FileIO, UnsupportedOperation
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final, Literal

import orjson

from stream.codec import BOM, check_size, decode_message
from stream.errors import Cause, InputFileError, MessageError
from stream.events import Message
from stream.mapping import MessageMapping

Format = Literal["jsonl", "csv", "text"]

STDIN: Final = Path("-")
SUFFIXES: Final[dict[str, Format]] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".txt": "text",
    ".text": "text",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One message of a file. ``number`` counts from 1; a CSV row of several lines has its last one's.

    ``value`` is the message as JSON: a JSON line as it stands, so that fields of the producer's own survive.
    """

    number: int
    value: bytes
    message: Message


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A line that is no message. ``reason`` names fields and positions, never content."""

    number: int
    reason: str


def format_of(path: Path) -> Format:
    """The format by the file's suffix.

    Raises:
        InputFileError: no format has this suffix, or the path is ``-``, which has none.
    """
    try:
        return SUFFIXES[path.suffix.lower()]
    except KeyError:
        raise InputFileError(
            f"{path}: its name does not tell its format: add --format jsonl, csv or text"
        ) from None


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file as bytes; ``-`` is standard input.

    Raises:
        InputFileError: it cannot be opened.
    """
    if path == STDIN:
        yield _standard_input()
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputFileError(f"{path}: {error.strerror}: name a readable file") from error
    with file:
        yield file


def _standard_input() -> BinaryIO:
    """Standard input as a reader of its own, never closed.

    ``sys.stdin`` is closed when the interpreter ends, which aborts it while a thread still waits for a line.
    """
    try:
        return BufferedReader(FileIO(sys.stdin.fileno(), closefd=False))
    except UnsupportedOperation:  # something else stands in its place
        return sys.stdin.buffer


def read_lines(
    file: BinaryIO, file_format: Format, *, max_bytes: int, mapping: MessageMapping | None = None
) -> Iterator[Line | RefusedLine]:
    """Messages of a file, and the lines that are none.

    ``mapping`` holds for JSON lines: places in the record's headers or key are not looked for.

    Raises:
        InputFileError: a CSV file without a column ``text``, or with two for one field.
    """
    values = {"jsonl": _json_lines, "csv": _csv_rows, "text": _text_lines}[file_format](file)
    mapping = mapping.of_values() if mapping is not None and file_format == "jsonl" else None
    for number, value in values:
        try:
            if isinstance(value, MessageError):
                raise value
            yield Line(number, value, _decoded_line(value, max_bytes, mapping))
        except MessageError as error:
            yield RefusedLine(number, "not JSON" if error.cause is Cause.NOT_JSON else error.detail)


def _decoded_line(value: bytes, max_bytes: int, mapping: MessageMapping | None) -> Message:
    if mapping is None:
        return decode_message(value, (), "json", max_bytes)
    check_size(value, max_bytes)
    return mapping.message(value, None, (), "json")


_Values = Iterator[tuple[int, bytes | MessageError]]


def _stripped(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    for number, raw in enumerate(file, start=1):
        line = (raw.removeprefix(BOM) if number == 1 else raw).strip()
        if line:
            yield number, line


def _json_lines(file: BinaryIO) -> _Values:
    yield from _stripped(file)


def _text_lines(file: BinaryIO) -> _Values:
    for number, line in _stripped(file):
        try:
            yield number, orjson.dumps({"text": line.decode()})
        except UnicodeDecodeError as error:
            yield number, MessageError(Cause.NOT_UTF8, f"invalid byte at position {error.start}")


def _csv_rows(file: BinaryIO) -> _Values:
    """Rows as messages; columns that are no field of a message go into ``meta``."""
    csv.field_size_limit(sys.maxsize)  # the limit on a message is max_message_bytes, and has its own words
    rows = csv.reader(_decoded(file), strict=True)
    try:
        header = [name.strip() for name in next(rows, [])]
        "".join(header).encode()
    except csv.Error as error:
        raise InputFileError(
            f"the first row of the CSV file is none ({error}): it must name the columns"
        ) from error
    except UnicodeEncodeError as error:
        raise InputFileError("the CSV file is not UTF-8: save it as UTF-8") from error
    if "text" not in header:
        raise InputFileError(
            "the CSV file has no column text: the first row must name the columns, "
            f"such as {', '.join(Message.model_fields)}"
        )
    if twice := [name for name in Message.model_fields if header.count(name) > 1]:
        raise InputFileError(f"the CSV file has several columns {twice[0]}: rename all but one of them")
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield rows.line_num, MessageError(Cause.WRONG_TYPE, f"not a CSV row: {error}")
            continue
        if row:
            yield rows.line_num, _row_value(header, row)


def _decoded(file: BinaryIO) -> Iterator[str]:
    """Lines of text; bytes that are not UTF-8 become lone surrogates, which the row is refused for."""
    first = next(file, b"").removeprefix(BOM)
    for line in chain([first], file):
        yield line.decode(errors="surrogateescape")


def _row_value(header: list[str], row: list[str]) -> bytes | MessageError:
    if len(row) != len(header):
        return MessageError(Cause.WRONG_TYPE, f"{len(row)} cells, but {len(header)} columns")
    cells = {name: cell for name, cell in zip(header, row, strict=True) if cell}
    fields: dict[str, object] = {name: cells[name] for name in cells if name in Message.model_fields}
    fields.setdefault("text", "")
    try:
        if "meta" in cells:
            fields["meta"] = orjson.loads(cells["meta"])
        elif others := {name: cells[name] for name in cells if name not in Message.model_fields}:
            fields["meta"] = others
        return orjson.dumps(fields)
    except orjson.JSONDecodeError:
        return MessageError(Cause.WRONG_TYPE, "the column meta is not JSON")
    except (orjson.JSONEncodeError, UnicodeEncodeError):
        return MessageError(Cause.NOT_UTF8, "the row is not UTF-8")
