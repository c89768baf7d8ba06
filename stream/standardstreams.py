"""The standard streams of a program, whatever it was started with.

One that was closed (``2>&-``) leads nowhere instead. Python has none then, and libraries fail at their first
line. And the next file or connection that is opened gets its number, 2 for standard error, to which native
code writes what goes wrong: amid records.

Standard output that takes no more, such as a file on a full disk, raises ``OutputError``, so that it is told
from all else that can fail for want of room. A character that its encoding has not is written as an escape.
"""

import os
import sys
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import TYPE_CHECKING, Final

from stream.errors import OutputError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_STREAMS: Final = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def open_streams() -> None:
    """To be called before anything else is opened or printed."""
    for number, (name, mode) in enumerate(_STREAMS):
        if getattr(sys, name) is None:
            nowhere: int | str = os.devnull
            try:
                os.fstat(number)  # something else may have the number already
            except OSError:
                nowhere = os.open(os.devnull, os.O_RDWR)  # has the lowest number that is free: this one
            setattr(sys, name, open(nowhere, mode, encoding="utf-8"))  # noqa: PTH123, SIM115  # by its number, until the end
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout = _output_like(sys.stdout)


def flushed_output() -> OutputError | None:
    """Write out what is left for standard output; where that fails it is dropped, and this says why.

    Python would fail over it once more at its end, and says so in its own words.
    """
    try:
        sys.stdout.flush()
    except OutputError as error:
        drop_output()
        return error
    except BrokenPipeError:
        drop_output()
    return None


def drop_output() -> None:
    """What was and will be printed leads nowhere from now on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


class _Output(FileIO):
    """A file that tells why it takes no more as an ``OutputError``; a reader that has gone is none."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"the output cannot be written ({error.strerror})") from error


def _output_like(stream: TextIOWrapper) -> TextIOWrapper:
    file = _Output(stream.fileno(), "wb", closefd=False)
    unbuffered = isinstance(stream.buffer, FileIO)  # as with PYTHONUNBUFFERED
    return TextIOWrapper(
        file if unbuffered else BufferedWriter(file),
        encoding=stream.encoding,
        errors="backslashreplace" if stream.errors == "strict" else stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
