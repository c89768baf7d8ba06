"""``emotion-stream annotate``: the annotator, and its check before a start."""

import asyncio

import click

from stream.commands.options import SettingsCommand, settings_options
from stream.settings import Settings


@click.command(cls=SettingsCommand)
@click.option("--check", is_flag=True, help="Try settings, broker, topics and model; label nothing.")
@settings_options("kafka", "topics", "annotate", "privacy", "observe")
def annotate(settings: Settings, check: bool) -> None:
    """Label the messages of the input topic, until stopped.

    Labelled events, count deltas, distress signals, dead letters and the consumer's offsets are written in
    one transaction. Start as many as there are partitions: they share the consumer group. SIGTERM and
    Ctrl-C finish what is in flight first.
    """
    if check:
        _check(settings)
        return
    from stream.annotate.app import run

    asyncio.run(run(settings))


def _check(settings: Settings) -> None:
    """Say what is there; the first thing that is not ends it with its own error."""
    from model.loading import load
    from stream.admin import check_topics

    needed = settings.topics
    names = {needed.messages, needed.emotions, needed.counts, needed.signals, needed.dlq}
    counts = asyncio.run(check_topics(settings, names))
    click.echo(f"broker   {settings.bootstrap_servers}")
    click.echo(f"topics   {', '.join(f'{name} ({counts[name]})' for name in sorted(counts))}")
    info = load(settings.model, device=settings.device, precision=settings.precision).info
    click.echo(f"model    {info.name} {info.revision} on {info.device}, {info.precision}")
