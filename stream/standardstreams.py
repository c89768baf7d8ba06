"""A program that was started with a standard stream closed (``2>&-``) has one that leads nowhere instead.

Python has none then, and libraries fail at their first line. And the next file or connection that is opened
gets its number, 2 for standard error, to which native code writes what goes wrong: amid records.
"""

import os
import sys
from typing import Final

_STREAMS: Final = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def open_closed_streams() -> None:
    """To be called before anything else is opened."""
    for number, (name, mode) in enumerate(_STREAMS):
        if getattr(sys, name) is None:
            nowhere: int | str = os.devnull
            try:
                os.fstat(number)  # something else may have the number already
            except OSError:
                nowhere = os.open(os.devnull, os.O_RDWR)  # has the lowest number that is free: this one
            setattr(sys, name, open(nowhere, mode, encoding="utf-8"))  # noqa: PTH123, SIM115  # by its number, until the end
