"""``emotion-stream dashboard``: the page on which people watch, review and try."""

import asyncio

import click

from stream.commands.options import SettingsCommand, settings_options
from stream.settings import Settings

_SETTINGS = (
    *("kafka", "topics", "dashboard", "observe"),
    *("group_id", "auto_offset_reset", "model", "device", "precision", "threads", "text_parts"),
)


@click.command(cls=SettingsCommand)
@settings_options(*_SETTINGS)
def dashboard(settings: Settings) -> None:
    """Serve the page on which people watch a stream, review its alerts and try the model.

    Prints its address and runs until stopped. It reads committed records and writes nothing but reviews; it
    can be started and stopped at any time, and as often as there are places to watch from.
    """
    # Imported here, so that --help and a mistyped option answer at once.
    from stream.dashboard.app import run

    asyncio.run(run(settings, click.echo))
