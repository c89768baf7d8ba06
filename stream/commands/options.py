"""Options of commands, made from the fields of the settings: a setting is written once.

    @click.command()
    @settings_options("kafka", "topics", "max_message_bytes")
    def produce(settings: Settings, ...) -> None: ...

Values pass through as text: the settings themselves say what is allowed, for flags as for any other source.
"""

import functools
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import click
import structlog

from stream import logs, sources
from stream.errors import SettingsError
from stream.settings import SECTIONS, ResolvedSettings, Settings, resolve_settings

_log = structlog.get_logger(__name__)

_TITLES: Final = {
    "kafka": "Kafka",
    "topics": "Topics",
    "mapping": "Shape of the messages",
    "registry": "Schema registry",
    "annotate": "Annotator",
    "privacy": "Privacy",
    "observe": "Logs, metrics and health",
}
_METAVARS: Final[dict[Any, str]] = {int: "INTEGER", float: "NUMBER", str: "TEXT", Path: "PATH"}


class Number(click.FloatRange):
    """A number in a range: neither ``inf`` nor ``nan``, which lie in all of them."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class SettingOption(click.Option):
    """An option made from a field of the settings; ``section`` is its heading in the help."""

    def __init__(self, *args: Any, section: str, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.section = section


class SecretOption(SettingOption):
    """Stands for a setting that has no flag: the help names its variable, and the flag is refused."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        del ctx
        return sources.variable_name(self.name or ""), f"{self.help} Never as a flag."


class SettingsCommand(click.Command):
    """A command whose help lists its options under the sections of the settings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            section = parameter.section if isinstance(parameter, SettingOption) else "Options"
            record = parameter.get_help_record(ctx)
            if record is not None:
                sections.setdefault(section, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def settings_options(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the options of these sections or single settings, and call it with ``settings``.

    The settings are resolved, the logs set up and the warnings given before the command runs. A command with
    the section "observe" is a service and logs, except to ``--check``; others speak to a person.
    """
    fields = _fields(names)

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def run(*args: Any, config: Path | None, **given: Any) -> Any:
            flags = {name: given.pop(name) for name in fields if name in given}
            service = "observe" in names and not given.get("check")
            settings = _in_force(flags, config, service=service)
            return command(*args, settings=settings, **given)

        wrapped: Callable[..., Any] = run
        for name, section in reversed(fields.items()):
            wrapped = _option(name, section)(wrapped)
        return click.option(
            "--config",
            type=click.Path(path_type=Path),
            help=f"Settings file. [default: {sources.DEFAULT_FILE}; env: {sources.CONFIG_VARIABLE}]",
        )(wrapped)

    return decorate


def title_of(section: str) -> str:
    """The heading of a section of settings, in help and docs."""
    return _TITLES.get(section, section.capitalize())


def _in_force(flags: dict[str, Any], config: Path | None, *, service: bool) -> Settings:
    resolved = resolve_settings(flags, config=config)
    settings = resolved.settings
    if service:
        logs.configure(settings.log_format, settings.log_level)
        _log_start(resolved)
        return settings
    if resolved.origin("log_level") != sources.DEFAULT:
        logs.configure(settings.log_format, settings.log_level)
    else:
        # What went wrong is said once, in one line at the end.
        logs.configure(settings.log_format, "error", libraries="critical")
    for warning in resolved.warnings:
        click.echo(f"warning: {warning}", err=True)
    return settings


def _log_start(resolved: ResolvedSettings) -> None:
    """What differs from the defaults, secrets hidden, for whoever reads the log of a service later."""
    values = resolved.settings.model_dump(mode="json")
    _log.info(
        "settings in force",
        **{name: sources.without_token(values[name]) for name in sorted(resolved.origins)},
    )
    for warning in resolved.warnings:
        _log.warning(warning)


def _fields(names: Iterable[str]) -> dict[str, str]:
    """Names of the settings asked for, each with the title of its section."""
    section_of = {field: section for section, model in SECTIONS.items() for field in model.model_fields}
    chosen: dict[str, str] = {}
    for name in names:
        for field in SECTIONS[name].model_fields if name in SECTIONS else [name]:
            chosen[field] = title_of(section_of[field])
    return chosen


def _option(name: str, section: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    field = Settings.model_fields[name]
    flag = sources.flag_name(name)
    if sources.is_secret(field):
        return click.option(
            flag,
            name,
            cls=SecretOption,
            section=section,
            expose_value=False,
            callback=_refuse_secret,
            help=field.description,
        )
    kind = kind_of(field.annotation)
    default = "" if field.default is None else f"default: {sources.as_text(field.default)}; "
    return click.option(
        f"{flag}/--no-{flag.removeprefix('--')}" if kind is bool else flag,
        name,
        cls=SettingOption,
        section=section,
        default=None,
        type=_type_of(kind),
        metavar=_METAVARS.get(kind),
        help=f"{field.description} [{default}env: {sources.variable_name(name)}]",
    )


def _type_of(kind: Any) -> Any:
    """What click must know: the choices, and what is a flag without a value. All else passes as text."""
    if get_origin(kind) is Literal:
        return click.Choice(get_args(kind))
    return bool if kind is bool else str


def kind_of(annotation: Any) -> Any:
    """The type of a setting, without ``| None`` and without constraints."""
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(arm for arm in get_args(annotation) if arm is not NoneType)
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _refuse_secret(_ctx: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is not None:
        name = option.name or ""
        raise SettingsError(
            f"{option.opts[0]}: a secret on the command line can be read by everybody on this machine: "
            f"set {sources.variable_name(name)}, or {name} in {sources.DEFAULT_FILE}"
        )
