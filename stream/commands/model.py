"""``emotion-stream model``: which model is in force, and its exchange while annotators run."""

import os
import stat
from contextlib import suppress
from pathlib import Path

import click

from model.contract import ModelInfo
from stream.classifier import BUILT_IN, model_folder
from stream.commands.options import SettingsCommand, settings_options
from stream.errors import SettingsError
from stream.settings import Settings

_SETTINGS = ("model", "device", "precision", "threads")


@click.group()
def model() -> None:
    """Exchange the model of running annotators, and say which one is in force.

    Let the setting model name a link: it stands for the folder that is in force.
    """


@model.command(cls=SettingsCommand)
@click.argument("folder", type=click.Path(path_type=Path))
@settings_options(*_SETTINGS)
def use(settings: Settings, folder: Path) -> None:
    """Try the model in FOLDER, then turn the link that the setting model names to it.

    Annotators with the same setting see it within a second, load the folder beside the one in force and
    exchange them between two batches. A folder that cannot label is refused here, and again by each of them.
    """
    from stream.annotate.models import ready_model

    link = _link(settings)
    info = ready_model(settings.model_copy(update={"model": str(model_folder(str(folder.absolute())))})).info
    turn(link, folder)
    click.echo(_shown(info))
    click.echo(f"link     {link} -> {link.readlink()}")


@model.command(cls=SettingsCommand)
@settings_options(*_SETTINGS)
def show(settings: Settings) -> None:
    """Say which model the settings name, by its name, revision (as in the events) and languages."""
    from stream.annotate.models import ready_model

    click.echo(_shown(ready_model(settings).info))
    click.echo(f"folder   {model_folder(settings.model) or 'shipped with the program'}")


def turn(link: Path, folder: Path) -> None:
    """Let ``link`` name ``folder``, in one step: who reads it finds the one or the other.

    Raises:
        SettingsError: the link cannot be written.
    """
    target, home = folder.resolve(), link.parent.resolve()
    # Within one volume the link is relative, so that it also holds where the volume is mounted elsewhere.
    written = target.relative_to(home) if target.is_relative_to(home) else target
    beside = link.with_name(f".{link.name}.{os.getpid()}")
    try:
        beside.symlink_to(written, target_is_directory=True)
        beside.replace(link)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise SettingsError(f"the link {link} cannot be written ({error.strerror}): name another") from error


def _link(settings: Settings) -> Path:
    """The link that the setting names; it need not be there yet."""
    if settings.model is None or settings.model.partition("?")[0] in BUILT_IN:
        raise SettingsError(
            "model names no link to turn: set EMOTION_MODEL, for the annotators too, to a link such as "
            "/models/current"
        )
    link = Path(settings.model)
    try:
        taken = not stat.S_ISLNK(link.lstat().st_mode)
    except FileNotFoundError:
        return link
    except OSError as error:
        raise SettingsError(
            f"model: the link {link} cannot be read ({error.strerror}): name another"
        ) from error
    if taken:
        raise SettingsError(
            f"model: {link} is a folder and no link: move it aside, and let model name a link to it; or put "
            "the new files in its place yourself and send the annotators SIGHUP"
        )
    return link


def _shown(info: ModelInfo) -> str:
    languages = ", ".join(info.languages) or "nobody said which"
    lines = {
        "model": f"{info.name} {info.revision}",
        "device": f"{info.device}, {info.precision}",
        "measured": languages,
        "verified": "by its manifest" if info.verified else "no manifest",
    }
    return "\n".join(f"{name:<8} {value}" for name, value in lines.items())
