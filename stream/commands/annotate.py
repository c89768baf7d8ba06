"""``emotion-stream annotate``: the annotator, and its check before a start."""

import asyncio

import click

from stream.commands.missing import check_access, missing
from stream.commands.options import SettingsCommand, settings_options
from stream.settings import Settings


@click.command(cls=SettingsCommand)
@click.option("--check", is_flag=True, help="Try settings, broker, topics and model; label nothing.")
@settings_options("kafka", "topics", "mapping", "registry", "annotate", "privacy", "observe")
def annotate(settings: Settings, check: bool) -> None:
    """Label the messages of the input topic, until stopped.

    Labelled events, count deltas, distress signals, dead letters and the consumer's offsets are written in
    one transaction. Start as many as there are partitions: they share the consumer group. SIGTERM and
    Ctrl-C finish what is in flight first.
    """
    # Imported here, so that --help and a mistyped option answer at once.
    from stream.annotate.app import run

    asyncio.run(_check(settings) if check else run(settings))


async def _check(settings: Settings) -> None:
    """Say what is there and what is missing; what stops a start ends it with its own error."""
    from stream.annotate.app import Annotator
    from stream.annotate.models import ready_model, ready_shadow
    from stream.kafka import connection
    from stream.registry import open_registry

    connection(settings)
    check_access(settings)
    model, shadow = ready_model(settings), ready_shadow(settings)
    partitions = await Annotator(settings, model).check()
    if registry := open_registry(settings):
        async with registry:
            await registry.check()
    click.echo(f"broker   {settings.bootstrap_servers}")
    click.echo(f"topics   {', '.join(f'{name} ({partitions[name]})' for name in sorted(partitions))}")
    if registry:
        click.echo(f"registry {', '.join(registry.urls)}")
    click.echo(f"model    {model.info.name} {model.info.revision} on {model.info.device}")
    if shadow:
        click.echo(f"shadow   {shadow.info.name} {shadow.info.revision} on {shadow.info.device}")
    for line in missing(settings):
        click.echo(f"missing  {line}", err=True)
