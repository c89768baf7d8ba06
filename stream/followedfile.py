"""A file that a running program follows: a change takes effect, a mistake leaves in force what was.

What has a name in it (a rule, a phrase list) goes only from a file that says that it is whole
(``stream.listfile``): one that was cut short would else pass for one that was meant.
"""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import structlog

from stream.errors import SettingsError
from stream.listfile import Stamp, end_line, stamp_of

Held = TypeVar("Held")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Content(Generic[Held]):
    """What a file holds: for use, by name, and whether the file says that it is whole."""

    held: Held
    names: frozenset[str]
    whole: bool


def read_toml(path: Path, what: str, setting: str) -> tuple[str, dict[str, Any]]:
    """The text of a file and the tables in it. ``what`` names what it holds, ``setting`` what names the file.

    Raises:
        SettingsError: it cannot be read, or is no TOML.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        return text, tomllib.loads(text)
    except OSError as error:
        raise SettingsError(f"{what} cannot be read ({error}): see {setting}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from error


class FollowedFile(Generic[Held]):
    """``held`` is in force: what the file said when it was last taken as it stood.

    ``problem`` says why the file as it stands is not what is in force; ``failures`` counts the changes that
    were not taken.
    """

    def __init__(
        self, path: Path, parse: Callable[[Path], Content[Held]], *, what: str, instead: str = ""
    ) -> None:
        """``what`` names what the file holds, in the plural; ``instead``, what may be done other than to let
        some of it go.

        Raises:
            SettingsError: of ``parse``: the file cannot be used.
        """
        self.path = path
        self.problem: str | None = None
        self.failures = 0
        self._parse = parse
        self._what = what
        self._instead = instead
        self._stamp = self._modified()
        self._content = parse(path)

    @property
    def held(self) -> Held:
        return self._content.held

    @property
    def names(self) -> frozenset[str]:
        return self._content.names

    @property
    def whole(self) -> bool:
        """Whether the file said of itself that it is whole."""
        return self._content.whole

    def reload(self) -> bool:
        """Read the file again if it has changed; whether there is something new in force."""
        stamp = self._modified()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            content = self._parse(self.path)
            if not content.whole:
                self._refuse_what_may_be_cut(content.names)
        except SettingsError as error:
            self._refuse(error)
            return False
        self._content, self.problem = content, None
        _log.info(f"{self._what} read again", in_file=len(content.names))
        return True

    def _refuse(self, error: SettingsError) -> None:
        if isinstance(error.__cause__, OSError):
            self._stamp = None  # a right that is given back, or a disk, changes nothing about the file
            if self.problem == str(error):
                return
        self.problem = str(error)
        self.failures += 1
        _log.warning(
            f"the changed {self._what} are not used; the last ones stay in force",
            reason=self.problem,
            next_step="mend the file; it is read again by itself",
        )

    def _refuse_what_may_be_cut(self, names: frozenset[str]) -> None:
        gone = self.names - names
        if not gone and not self.whole:
            return
        what = f"{', '.join(sorted(gone))} would go" if gone else "its end line has gone"
        end = end_line(len(names))
        raise SettingsError(
            f"{self.path}: {what}: if that is meant, end the file with {end!r}{self._instead}"
        )

    def _modified(self) -> Stamp | None:
        try:
            return stamp_of(self.path)
        except OSError:
            return None
