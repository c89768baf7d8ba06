"""Log lines: one form for all programs, and nothing in them of what people wrote."""

import json
import logging

import pytest
import structlog

from stream import logs
from stream.events import Message


def test_our_lines_and_those_of_libraries_have_one_form(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "info")
    structlog.get_logger("stream.annotate").info("partition taken over", partition=3, offset=17)
    logging.getLogger("aiokafka.consumer").warning("heartbeat failed for %s", "group-1")
    ours, library = map(json.loads, capsys.readouterr().err.splitlines())
    assert ours.pop("timestamp") <= library.pop("timestamp")
    assert ours == {
        "event": "partition taken over",
        "level": "info",
        "logger": "stream.annotate",
        "partition": 3,
        "offset": 17,
    }
    assert library == {
        "event": "heartbeat failed for group-1",
        "level": "warning",
        "logger": "aiokafka.consumer",
    }


def test_text_lines_are_for_people_and_uncoloured_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("text", "info")
    structlog.get_logger("stream.annotate").info("partition taken over", partition=3)
    line = capsys.readouterr().err
    assert line.endswith("[info     ] partition taken over [stream.annotate] partition=3\n")
    assert "\x1b" not in line


def test_lines_below_the_level_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("text", "warning")
    structlog.get_logger("stream").info("fine")
    logging.getLogger("stream.admin").info("fine")
    logging.getLogger("aiokafka").info("fine")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("style", ["text", "json"])
def test_fields_that_could_hold_text_or_a_person_are_withheld(
    style: logs.Style, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(style, "debug")
    structlog.get_logger().info("refused", text="I am so alone", author="ann", value=b"I am", offset=3)
    line = capsys.readouterr().err
    assert "alone" not in line
    assert "ann" not in line
    assert "I am" not in line
    assert "withheld" in line
    assert "offset" in line


def test_a_count_of_messages_is_no_message(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("text", "info")
    structlog.get_logger().info("given up to the next owner", messages=17)
    assert "messages=17" in capsys.readouterr().err


@pytest.mark.parametrize("style", ["text", "json"])
def test_an_exception_is_written_without_the_text_it_failed_on(
    style: logs.Style, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(style, "info")
    value = b'{"text": ["I am so alone"], "author": "ann"}'
    try:
        Message.model_validate_json(value)
    except ValueError:
        structlog.get_logger().exception("not a message")
    line = capsys.readouterr().err
    assert "not a message" in line
    assert "valid string" in line
    assert "alone" not in line


def test_aiokafka_never_writes_its_debug_lines_since_they_hold_each_message(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("text", "debug")
    logging.getLogger("aiokafka.producer.producer").debug("Sending (value=%s)", b"I am so alone")
    structlog.get_logger("stream").debug("polled")
    lines = capsys.readouterr().err
    assert "alone" not in lines
    assert "polled" in lines


def test_a_line_that_a_library_repeats_is_written_once_an_interval(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("text", "info")
    for attempt in range(30):
        logging.getLogger("aiokafka.conn").error("Unable to connect to %s", f"broker-{attempt}")
    assert capsys.readouterr().err.count("Unable to connect") == 1


def test_what_was_left_out_is_counted_in_the_next_line(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(logs.time, "monotonic", lambda: now)
    repeats = logs.Repeats(interval_s=10.0)

    def line() -> logging.LogRecord:
        return logging.LogRecord("aiokafka.conn", logging.ERROR, "conn.py", 7, "no answer: %s", ("a",), None)

    assert repeats.filter(line())
    assert not repeats.filter(line())
    assert not repeats.filter(line())
    now = 10.0
    last = line()
    assert repeats.filter(last)
    assert last.getMessage() == "no answer: a (2 more like it)"


def test_our_own_lines_are_all_written(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("text", "info")
    for partition in range(5):
        structlog.get_logger("stream.annotate").info("partition taken over", partition=partition)
    assert capsys.readouterr().err.count("partition taken over") == 5
