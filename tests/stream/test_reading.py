"""Files of messages: what is accepted is what the annotator labels, and no wrong line ends the reading."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import InputFileError
from stream.events import Message
from stream.reading import Format, Line, RefusedLine, format_of, opened, read_lines

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: not text.isspace())
NAMES = st.text("abcdefg xyz,;\"'ü", min_size=1, max_size=12).filter(str.strip)
MESSAGES = st.lists(
    st.fixed_dictionaries({"text": TEXTS}, optional={"author": NAMES, "channel": NAMES, "id": NAMES})
)


def lines_of(content: bytes | str, file_format: Format, max_bytes: int = 10_000) -> list[Line | RefusedLine]:
    raw = content.encode() if isinstance(content, str) else content
    return list(read_lines(io.BytesIO(raw), file_format, max_bytes=max_bytes))


def messages_of(content: bytes | str, file_format: Format) -> list[Message]:
    lines = lines_of(content, file_format)
    assert all(isinstance(line, Line) for line in lines), lines
    return [line.message for line in lines if isinstance(line, Line)]


def refusals_of(content: bytes | str, file_format: Format) -> list[tuple[int, str]]:
    return [
        (line.number, line.reason) for line in lines_of(content, file_format) if isinstance(line, RefusedLine)
    ]


@given(MESSAGES)
def test_messages_written_as_json_lines_are_read_as_they_were(messages: list[dict[str, Any]]) -> None:
    content = "\n".join(json.dumps(message) for message in messages)
    assert messages_of(content, "jsonl") == [Message(**message) for message in messages]


@given(MESSAGES)
def test_messages_written_as_csv_are_read_as_they_were(messages: list[dict[str, Any]]) -> None:
    # The csv module takes a lone carriage return or a null character for something else.
    messages = [
        {name: value.replace("\r", " ").replace("\0", " ") for name, value in message.items()}
        for message in messages
    ]
    messages = [message for message in messages if message["text"].strip()]
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, ["author", "text", "id", "channel"])
    writer.writeheader()
    writer.writerows(messages)
    assert messages_of(file.getvalue(), "csv") == [Message(**message) for message in messages]


def test_every_line_of_plain_text_is_a_message_and_blank_ones_are_skipped() -> None:
    lines = lines_of("first\n\n  second  \r\n", "text")
    assert [(line.number, line.message.text) for line in lines if isinstance(line, Line)] == [
        (1, "first"),
        (3, "second"),
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_message() -> None:
    assert messages_of("\ufefffirst", "text")[0].text == "first"
    assert messages_of('\ufeff{"text": "first"}', "jsonl")[0].text == "first"
    assert messages_of("\ufefftext\nfirst\n", "csv")[0].text == "first"


def test_a_json_line_keeps_fields_that_are_the_producers_own() -> None:
    (line,) = lines_of('{"text": "hello", "ticket": 17}\n', "jsonl")
    assert isinstance(line, Line)
    assert json.loads(line.value) == {"text": "hello", "ticket": 17}


def test_columns_that_are_no_field_of_a_message_go_into_meta() -> None:
    (message,) = messages_of("city,text,ts\nRome,hello,2024-05-01T10:00:00Z\n", "csv")
    assert message.meta == {"city": "Rome"}
    assert message.ts is not None
    assert message.ts.isoformat() == "2024-05-01T10:00:00+00:00"


def test_wrong_lines_are_refused_with_their_number_and_the_others_read() -> None:
    content = b'{"text": "one"}\nnot json\n{"texts": 1}\n{"text": 1}\n{"text": " "}\n\xff\n{"text": "two"}\n'
    assert refusals_of(content, "jsonl") == [
        (2, "not JSON"),
        (3, "the field text is missing"),
        (4, "the field text is not a string"),
        (5, "text is empty or only white space"),
        (6, "invalid byte at position 0"),
    ]
    assert [line.number for line in lines_of(content, "jsonl") if isinstance(line, Line)] == [1, 7]


def test_wrong_rows_are_refused_with_the_number_of_their_last_line() -> None:
    content = b'text,author,meta\n"two\nlines",ann,\nshort\n,ann,\nfine,ann,{\nfine,\xff,\nlast,ann,\n'
    assert refusals_of(content, "csv") == [
        (4, "1 cells, but 3 columns"),
        (5, "text is empty or only white space"),
        (6, "the column meta is not JSON"),
        (7, "the row is not UTF-8"),
    ]
    texts = [line.message.text for line in lines_of(content, "csv") if isinstance(line, Line)]
    assert texts == ["two\nlines", "last"]


def test_a_quote_that_is_never_closed_is_refused() -> None:
    ((number, reason),) = refusals_of('text\nfine\n"open\nmore\n', "csv")
    assert number == 4
    assert reason.startswith("not a CSV row")


def test_a_line_above_the_limit_is_refused() -> None:
    lines = lines_of("x" * 200, "text", max_bytes=100)
    assert lines == [RefusedLine(1, "211 bytes, max_message_bytes is 100")]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'"text\nI am happy\n', "the first row of the CSV file is none"),
        ("text\nI am happy\n".encode("utf-16"), "not UTF-8: save it as UTF-8"),
        ("text,größe\n".encode("latin-1"), "not UTF-8: save it as UTF-8"),
    ],
)
def test_a_csv_file_whose_first_row_cannot_be_read_says_why(content: bytes, says: str) -> None:
    with pytest.raises(InputFileError, match=says):
        lines_of(content, "csv")


@pytest.mark.parametrize("content", ["", "author\nann\n"])
def test_a_csv_file_without_a_column_text_is_refused_as_a_whole(content: str) -> None:
    with pytest.raises(InputFileError, match="no column text"):
        lines_of(content, "csv")


@pytest.mark.parametrize("name", ["text", "author"])
def test_a_csv_file_with_two_columns_for_one_field_is_refused_as_a_whole(name: str) -> None:
    rows = f"text,author,mood,mood,{name}\na,b,c,d,e\n"
    with pytest.raises(InputFileError, match=f"several columns {name}"):
        lines_of(rows, "csv")


@pytest.mark.parametrize(
    ("name", "expected"), [("a.jsonl", "jsonl"), ("a.NDJSON", "jsonl"), ("a.csv", "csv"), ("a.txt", "text")]
)
def test_the_name_of_a_file_tells_its_format(name: str, expected: str) -> None:
    assert format_of(Path(name)) == expected


@pytest.mark.parametrize("name", ["messages", "messages.parquet", "-"])
def test_a_name_that_tells_no_format_asks_for_one(name: str) -> None:
    with pytest.raises(InputFileError, match="add --format"):
        format_of(Path(name))


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"gone\.jsonl: No such file"), opened(tmp_path / "gone.jsonl"):
        pass
