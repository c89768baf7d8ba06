"""Where the values of settings come from: the environment and a file, with the name of each value's source.

    flag (--max-wait-ms)  over  environment (EMOTION_MAX_WAIT_MS)  over  emotion-stream.toml  over  default

Each source gives raw values by name and one ``Origin`` a value, so that an error and the command
``emotion-stream settings`` can say where a value was written.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource

from stream.errors import SettingsError
from stream.secrecy import secret_in_url

ENV_PREFIX: Final = "EMOTION_"
CONFIG_VARIABLE: Final = "EMOTION_CONFIG"
DEFAULT_FILE: Final = Path("emotion-stream.toml")

VARIABLES_BESIDE_SETTINGS: Final = frozenset({CONFIG_VARIABLE, "EMOTION_DATA"})
"""Variables with our prefix that are no settings: the settings file, and the folder of training data."""

_SERVICE_LINK: Final = re.compile(r"EMOTION_STREAM_\w*(_SERVICE_(HOST|PORT)|_PORT)")
"""Kubernetes adds such variables to each container for each Service named emotion-stream…."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was written: ``name`` is the flag, the variable or the file."""

    kind: Literal["flag", "environment", "file", "default"]
    name: str = ""

    def __str__(self) -> str:
        return self.name or self.kind


DEFAULT: Final = Origin("default")


@dataclass(frozen=True, slots=True)
class Values:
    """Values of one or more sources by the name of the setting, each with its origin."""

    by_name: dict[str, Any]
    origins: dict[str, Origin]

    def under(self, stronger: "Values") -> "Values":
        """These values, with those of the ``stronger`` source put over them."""
        return Values(self.by_name | stronger.by_name, self.origins | stronger.origins)


def flag_name(setting: str) -> str:
    """``max_wait_ms`` as a flag: ``--max-wait-ms``."""
    return "--" + setting.replace("_", "-")


def variable_name(setting: str) -> str:
    """``max_wait_ms`` as an environment variable: ``EMOTION_MAX_WAIT_MS``."""
    return ENV_PREFIX + setting.upper()


def from_flags(flags: Mapping[str, Any]) -> Values:
    """Values given on the command line; ``None`` means not given.

    Raises:
        SettingsError: a URL has a secret in it, which everybody on the machine could read.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    for name, value in given.items():
        if isinstance(value, str) and (found := secret_in_url(value)):
            raise SettingsError(
                f"{flag_name(name)}: its URL has {found}, and a command line can be read by everybody here: "
                f"set {variable_name(name)}, or {name} in {DEFAULT_FILE}"
            )
    return Values(given, {name: Origin("flag", flag_name(name)) for name in given})


def from_environment(settings: type[BaseSettings]) -> Values:
    """Values of the ``EMOTION_…`` variables; an empty variable counts as not set."""
    found = EnvSettingsSource(settings, env_ignore_empty=True)()
    return Values(found, {name: Origin("environment", variable_name(name)) for name in found})


def unknown_variables(settings: type[BaseSettings]) -> tuple[str, ...]:
    """One warning for each ``EMOTION_…`` variable that no setting reads, most likely a typing error."""
    known = {variable_name(name) for name in settings.model_fields} | VARIABLES_BESIDE_SETTINGS
    strange = (name for name in os.environ if name.upper().startswith(ENV_PREFIX))
    return tuple(
        f"{name} is set, but no setting reads it{_closest(name.upper(), known)}"
        for name in sorted(strange)
        if name.upper() not in known and not _SERVICE_LINK.match(name)
    )


def settings_file(named: Path | None) -> Path | None:
    """The file to read: the one named by ``--config``, else by EMOTION_CONFIG, else the default if there."""
    if named is not None:
        return named
    if variable := os.environ.get(CONFIG_VARIABLE):
        return Path(variable)
    try:
        DEFAULT_FILE.stat()
    except FileNotFoundError:
        return None
    except OSError:  # nobody knows whether it is there: who reads it says why
        pass
    return DEFAULT_FILE


def from_file(settings: type[BaseSettings], path: Path) -> Values:
    """Values of a TOML file. Its keys are the names of settings, at the top level.

    Raises:
        SettingsError: the file cannot be read, or holds an unknown key or a value of the wrong type.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"settings file {path}: {error.strerror}: name a readable file") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"settings file {path}: not UTF-8: save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"settings file {path}: not TOML: {error}") from error
    for name, value in found.items():
        _check_key(settings, path, name, value)
    return Values(found, dict.fromkeys(found, Origin("file", str(path))))


def _check_key(settings: type[BaseSettings], path: Path, name: str, value: Any) -> None:
    field = settings.model_fields.get(name)
    if field is None and isinstance(value, dict):
        raise SettingsError(f"settings file {path}: [{name}]: settings stand at the top level, not in tables")
    if field is None:
        raise SettingsError(
            f"settings file {path}: unknown setting {name!r}{_closest(name, settings.model_fields)}"
        )
    # TOML has types, so a number in quotes or a true where a number belongs is a mistake. JSON mode, since
    # only there strict validation still takes a string for a path.
    annotation: Any = Annotated[field.annotation, field]
    try:
        TypeAdapter(annotation).validate_json(json.dumps(value, default=str), strict=True)
    except ValidationError as error:
        raise SettingsError(explain(error, settings, name, Origin("file", str(path)))) from None


def explain(error: ValidationError, settings: type[BaseSettings], name: str, origin: Origin) -> str:
    """One line: the setting, where its value was written, what is allowed, and the value unless secret."""
    first = error.errors(include_url=False)[0]
    problem = first["msg"].removeprefix("Value error, ").partition(", unable")[0]
    problem = problem.replace("Input should be", "must be")
    secret = name in settings.model_fields and is_secret(settings.model_fields[name])
    shown = "" if secret or first["type"] == "value_error" else f", not {first['input']!r}"
    return f"{name} ({origin}): {problem}{shown}"


def without_token(value: Any) -> Any:
    """The value; of a URL only scheme and host, since receivers often put a token into the rest."""
    if isinstance(value, str) and "://" in value:
        url = urlsplit(value)
        return f"{url.scheme}://{url.hostname}/…"
    return value


def as_text(value: Any) -> str:
    """A value as it is written in a flag or a variable."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def is_secret(field: FieldInfo) -> bool:
    """Whether the value must not be shown nor given on the command line."""
    return "SecretStr" in str(field.annotation)


def _closest(name: str, known: Iterable[str]) -> str:
    matches = get_close_matches(name, list(known), n=1)
    return f"; did you mean {matches[0]}?" if matches else ""
