"""Files that say who is not read and what is watched: one that was cut short must not pass for a short one.

    kim@example.org
    lee@example.org
    # end: 2

A file that is being rewritten, or was copied onto a full disk, is a valid list of fewer entries for as long
as that lasts. So an entry that goes from a list is believed only where the file says that it is whole: its
last line is ``# end:`` with the number of entries. What is added needs no such line.
"""

import re
from pathlib import Path
from typing import Final

from stream.errors import SettingsError

_END: Final = re.compile(r"#\s*end:\s*([0-9]+)\s*", re.IGNORECASE)

Stamp = tuple[int, int, int]
"""Inode, modification time and size: a file that was replaced, written or cut has another one."""


def stamp_of(file: Path) -> Stamp:
    """Raises ``OSError`` where the file is not there."""
    status = file.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def end_line(entries: int) -> str:
    """The line that a whole file ends with."""
    return f"# end: {entries}"


def says_whole(text: str, entries: int) -> bool:
    """Whether the file says of itself that it is whole; False where it has no end line.

    Raises:
        SettingsError: its end line is not its last, or states another number of entries.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    ends = [number for number, line in enumerate(lines) if _END.fullmatch(line)]
    if not ends:
        return False
    stated = _END.fullmatch(lines[ends[-1]])
    assert stated is not None
    if ends != [len(lines) - 1]:
        raise SettingsError(f"lines follow its line {lines[ends[0]]!r}: end it with {end_line(entries)!r}")
    if int(stated[1]) != entries:
        raise SettingsError(
            f"it says {lines[-1]!r} and has {entries}: it was cut short, or should end with "
            f"{end_line(entries)!r}"
        )
    return True
