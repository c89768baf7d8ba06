"""The messages that ``emotion-stream bench`` measures with: yours, or those that ship."""

from itertools import islice
from pathlib import Path
from typing import Final

import click

from stream.errors import InputFileError
from stream.mapping import MessageMapping
from stream.reading import Line, format_of, opened, read_lines
from stream.settings import Settings

SHIPPED_TEXTS: Final = Path(__file__).parent.parent / "demo" / "messages.jsonl"

texts_option = click.option(
    "--texts",
    "file",
    type=click.Path(path_type=Path),
    default=SHIPPED_TEXTS,
    show_default="messages that ship",
    help="Your messages: JSON lines, CSV or plain text.",
)


def texts_of(file: Path, settings: Settings, most_lines: int | None = None) -> list[str]:
    """Texts of a file as they were written, of its first ``most_lines`` lines.

    Raises:
        InputFileError: the file holds none.
    """
    with opened(file) as lines:
        read = read_lines(
            lines,
            format_of(file),
            max_bytes=settings.max_message_bytes,
            mapping=MessageMapping.of(settings),
        )
        texts = [line.message.text for line in islice(read, most_lines) if isinstance(line, Line)]
    if not texts:
        raise no_texts(file)
    return texts


def no_texts(file: Path) -> InputFileError:
    """What to say of a file without a text that could be measured with."""
    return InputFileError(f"{file}: no messages in it: emotion-stream classify {file} says why")
