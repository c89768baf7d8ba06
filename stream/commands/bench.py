"""``emotion-stream bench``: what this machine makes of your messages."""

import click

from stream.commands.benchlatency import latency
from stream.commands.benchmodel import model


@click.group()
def bench() -> None:
    """Measure on this machine, with your own messages."""


bench.add_command(model)
bench.add_command(latency)
