"""``emotion-stream classify``: labels for texts or a file, without a broker."""

import errno
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import click
import orjson
from rich.console import Console
from rich.text import Text

from model.contract import Emotion, Model
from stream.codec import decode_message
from stream.commands.lines import COLOURS, LEVEL_COLOURS, visible
from stream.commands.options import SettingsCommand, settings_options
from stream.errors import InputFileError, MessageError
from stream.events import UNKNOWN, Message
from stream.language import Language, LanguageGate, identify
from stream.mapping import MessageMapping
from stream.reading import STDIN, SUFFIXES, Format, Line, RefusedLine, format_of, opened, read_lines
from stream.settings import Settings
from stream.text import text_to_read

CHUNK: Final = 256
"""Texts that go through the model at a time; at a terminal each line that is typed goes at once."""


@click.command(cls=SettingsCommand)
@click.argument("texts", metavar="TEXT...|FILE|-", nargs=-1, required=True)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["jsonl", "csv", "text"]),
    help="Of the file: by default from its name; of standard input: text.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines also at a terminal.")
@settings_options(
    "model",
    "device",
    "precision",
    "threads",
    "label_unmeasured_languages",
    "text_parts",
    "max_message_bytes",
    "mapping",
)
def classify(settings: Settings, texts: tuple[str, ...], file_format: Format | None, as_json: bool) -> None:
    """Label texts, the messages of a file, or standard input (-), without a broker.

    A single argument that is the name of a file means the file. Prints a table at a terminal and JSON lines
    elsewhere. Lines that are no message are named, and the exit code is then 1.
    """
    console = Console(highlight=False)
    show = _json_line if as_json or not console.is_terminal else Table(console)
    model = _load(settings)
    gate = LanguageGate(model.info.languages, read_all=settings.label_unmeasured_languages)
    refused = 0
    typed = texts == ("-",) and sys.stdin.isatty()
    for chunk in _chunks(_messages(texts, file_format, settings), 1 if typed else CHUNK):
        messages = [line for line in chunk if isinstance(line, Message)]
        shown = [text_to_read(message.text, settings.text_parts) for message in messages]
        for message, read in zip(messages, _classify(model, gate, shown), strict=True):
            show(message, read)
        for line in chunk:
            if isinstance(line, RefusedLine):
                refused += 1
                click.echo(f"line {line.number}: {line.reason}", err=True)
    if refused:
        raise click.exceptions.Exit(1)


def _load(settings: Settings) -> Model:
    from stream.classifier import load_classifier

    return load_classifier(settings)


@dataclass(frozen=True, slots=True)
class Read:
    """What is said of one text; ``emotion`` is None where the model was not measured in its language."""

    language: Language
    emotion: Emotion | None

    @property
    def label(self) -> str:
        return UNKNOWN if self.emotion is None else self.emotion.label


def _classify(model: Model, gate: LanguageGate, texts: list[str]) -> list[Read]:
    languages = [identify(text) for text in texts]
    readable = [gate.readable(language, text) for language, text in zip(languages, texts, strict=True)]
    batch = model.tokenize([text for text, may in zip(texts, readable, strict=True) if may])
    emotions = iter(model.decide(batch, model.forward(batch)) if batch else ())
    return [
        Read(language, next(emotions) if may else None)
        for language, may in zip(languages, readable, strict=True)
    ]


def _messages(
    texts: tuple[str, ...], file_format: Format | None, settings: Settings
) -> Iterator[Message | RefusedLine]:
    path = Path(texts[0])
    if len(texts) == 1 and texts[0] and (path == STDIN or _is_file(path)):
        chosen = file_format or ("text" if path == STDIN else format_of(path))
        with opened(path) as file:
            for line in read_lines(
                file, chosen, max_bytes=settings.max_message_bytes, mapping=MessageMapping.of(settings)
            ):
                yield line.message if isinstance(line, Line) else line
        return
    if file_format is not None:
        raise InputFileError(f"--format needs one file, or -: {path} is no file")
    for number, text in enumerate(texts, start=1):
        try:  # an argument that is not UTF-8 comes with its bytes escaped
            value = text.encode(errors="surrogateescape")
            yield decode_message(value, (), "text", settings.max_message_bytes)
        except MessageError as error:
            yield RefusedLine(number, error.detail)


def _is_file(path: Path) -> bool:
    """Whether the argument names a file. One that only looks like the name of a file is more likely mistyped.

    Raises:
        InputFileError: it names a folder, a file that cannot be reached, or one that is not there.
    """
    try:
        mode = path.stat().st_mode
    except ValueError:  # a text, with what no name can have
        return False
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # a text
            return False
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            if _looks_like_a_file(path):
                raise InputFileError(f"{path}: no such file") from None
            return False
        raise InputFileError(f"{path}: {error.strerror}: name a readable file") from error
    if stat.S_ISDIR(mode):
        raise InputFileError(
            f"{path} is a folder: name a file in it, or label its name as standard input (-)"
        )
    return True


def _looks_like_a_file(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and " " not in path.name


def _chunks(lines: Iterable[Message | RefusedLine], size: int) -> Iterator[list[Message | RefusedLine]]:
    iterator = iter(lines)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _json_line(message: Message, read: Read) -> None:
    given: dict[str, Any] = {"text": message.text}
    if message.id is not None:
        given["id"] = message.id
    given |= {"label": UNKNOWN, "labels": ()} if read.emotion is None else asdict(read.emotion)
    given |= {"language": read.language.tag, "language_confidence": read.language.confidence}
    click.echo(orjson.dumps(given))


class Table:
    """Prints a row a text, under a heading before the first."""

    def __init__(self, console: Console) -> None:
        self._console = console
        console.print("label     confidence  distress  text", style="bold")

    def __call__(self, message: Message, read: Read) -> None:
        level = "" if read.emotion is None else read.emotion.distress.level
        confidence = "" if read.emotion is None else f"{read.emotion.confidence:.2f}"
        row = Text()
        row.append(f"{read.label:<10}", COLOURS.get(read.label, "dim"))
        row.append(f"{confidence:>10}  ")
        row.append(f"{level:<10}", LEVEL_COLOURS.get(level, "dim"))
        row.append(visible(" ".join(message.text.split())))
        self._console.print(row, no_wrap=True, overflow="ellipsis")
