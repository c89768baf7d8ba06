"""``emotion-stream classify``: texts, files and pipes, without a broker."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from model.contract import Distress, Emotion
from stream.commands.classify import Read, Table
from stream.events import Message
from stream.language import Language
from tests.stream.commands import run, write


def classified(*arguments: Any, stdin: str | None = None) -> list[dict[str, Any]]:
    result = run("classify", "--model", "fake", *arguments, stdin=stdin)
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def labels(*arguments: Any, stdin: str | None = None) -> list[tuple[str, str]]:
    return [(entry["text"], entry["label"]) for entry in classified(*arguments, stdin=stdin)]


def test_each_text_becomes_a_line_of_json_with_all_that_the_model_says() -> None:
    (entry,) = classified("fear of the bill")
    assert set(entry) == {
        "text", "label", "labels", "confidence", "scores", "neutral", "distress", "windows", "language",
        "language_confidence",
    }  # fmt: skip
    assert entry["label"] == "fear"
    assert sum(entry["scores"].values()) + entry["neutral"] == pytest.approx(1, abs=1e-4)


def test_several_texts_are_labelled_in_order() -> None:
    assert labels("joy", "anger at it", "neutral") == [
        ("joy", "joy"),
        ("anger at it", "anger"),
        ("neutral", "neutral"),
    ]


def test_a_file_is_read_by_its_format() -> None:
    write("messages.jsonl", '{"text": "joy", "id": "17"}\n{"text": "fear"}\n')
    write("messages.csv", "id,text\n17,joy\n")
    write("messages.txt", "joy\n\nfear\n")
    assert [entry.get("id") for entry in classified("messages.jsonl")] == ["17", None]
    assert labels("messages.csv") == [("joy", "joy")]
    assert labels("messages.txt") == [("joy", "joy"), ("fear", "fear")]


def test_standard_input_is_plain_text_unless_told_otherwise() -> None:
    assert labels("-", stdin="joy\nfear\n") == [("joy", "joy"), ("fear", "fear")]
    assert labels("-", "--format", "jsonl", stdin='{"text": "joy"}\n') == [("joy", "joy")]


def test_quoted_mail_is_not_read_unless_asked_for_and_the_text_is_shown_as_written() -> None:
    mail = "> joy\n\nanger: no"
    assert labels(mail) == [(mail, "anger")]
    assert labels(mail, "--text-parts", "all") == [(mail, "joy")]


def test_more_texts_than_go_through_the_model_at_a_time_keep_their_order() -> None:
    texts = [f"message {n}" for n in range(700)]
    assert [text for text, _ in labels("-", stdin="\n".join(texts))] == texts


def test_lines_that_are_no_message_are_named_and_the_others_labelled() -> None:
    write("messages.jsonl", '{"text": "joy"}\nnot json\n{"text": "fear"}\n')
    result = run("classify", "--model", "fake", "messages.jsonl")
    assert result.exit_code == 1
    assert result.stderr == "line 2: not JSON\n"
    assert len(result.stdout.splitlines()) == 2


def test_a_file_name_that_is_mistyped_is_not_taken_for_a_text() -> None:
    result = run("classify", "--model", "fake", "mesages.jsonl")
    assert result.exit_code == 2
    assert result.stderr == "error: mesages.jsonl: no such file\n"


def test_a_folder_is_not_taken_for_a_text() -> None:
    Path("mails").mkdir()
    result = run("classify", "--model", "fake", "mails")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: mails is a folder: name a file in it")


def test_a_file_that_cannot_be_reached_is_not_taken_for_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("loop.txt").symlink_to("loop.txt")
    result = run("classify", "--model", "fake", "loop.txt")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "loop.txt: Too many levels of symbolic links" in result.stderr

    stat = Path.stat

    def refuse(path: Path, **follow: bool) -> os.stat_result:
        if path.parts[0] == "theirs":  # the superuser, who may run the tests, is refused nothing
            raise PermissionError(errno.EACCES, "Permission denied")
        return stat(path, **follow)

    monkeypatch.setattr(Path, "stat", refuse)
    result = run("classify", "--model", "fake", "theirs/mails")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "error: theirs/mails: Permission denied: name a readable file\n"


def test_a_pipe_is_read_as_a_file() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"joy of it\n")
    os.close(writer)
    assert labels("--format", "text", f"/dev/fd/{reader}") == [("joy of it", "joy")]
    os.close(reader)


def test_an_empty_text_is_no_folder() -> None:
    result = run("classify", "--model", "fake", "")
    assert (result.exit_code, result.stderr) == (1, "line 1: text is empty or only white space\n")


def test_a_text_that_is_too_long_for_a_name_is_a_text() -> None:
    result = run("classify", "--model", "fake", "a" * 300 + "rgh.txt")
    assert (result.exit_code, result.stderr) == (0, "")


def test_a_format_without_a_file_is_refused() -> None:
    result = run("classify", "--model", "fake", "joy", "--format", "csv")
    assert result.exit_code == 2
    assert "--format needs one file" in result.stderr


def test_at_a_terminal_each_text_is_a_row_that_fits() -> None:
    console = Console(width=60, force_terminal=True, color_system=None, highlight=False)
    emotion = Emotion("fear", 0.913, {}, 0.01, Distress(0.8, "elevated"))
    with console.capture() as capture:
        table = Table(console)
        table(Message(text="the [bold]bill\nis " + "very " * 40), Read(Language("en", 1.0), emotion))
    heading, row = capture.get().splitlines()
    assert heading.split() == ["label", "confidence", "distress", "text"]
    assert row.split()[:6] == ["fear", "0.91", "elevated", "the", "[bold]bill", "is"]
    assert len(row) <= 60


def test_an_argument_that_is_not_utf8_is_named_and_the_others_labelled() -> None:
    result = run("classify", "--model", "fake", "joy", "half a \udcff", " ")
    assert [json.loads(line)["label"] for line in result.stdout.splitlines()] == ["joy"]
    assert result.stderr.splitlines()[:2] == [
        "line 2: invalid byte at position 7",
        "line 3: text is empty or only white space",
    ]
    assert result.exit_code == 1


def test_a_text_in_a_language_that_the_weights_were_not_measured_in_is_unknown() -> None:
    german = "Das Paket ist immer noch nicht da, und niemand antwortet."
    for flags, unknown in (((), True), (("--label-unmeasured-languages",), False)):
        result = run("classify", german, *flags)
        assert result.exit_code == 0, result.stderr
        entry = json.loads(result.stdout)
        assert (entry["language"], entry["label"] == "unknown") == ("de", unknown)
