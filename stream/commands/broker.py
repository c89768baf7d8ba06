"""``emotion-stream broker``: the embedded broker in the foreground."""

import signal
import sys
from pathlib import Path

import click

from stream.broker import EmbeddedBroker


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=9092, show_default=True, help="0: any free one."
)
@click.option("--data-dir", type=click.Path(path_type=Path), help="Keep records here from run to run.")
def broker(port: int, data_dir: Path | None) -> None:
    """Run a Kafka broker on this machine until Ctrl-C or SIGTERM, to try things out.

    Prints its address, for --bootstrap-servers. Without --data-dir all records go when it stops. It serves
    one machine and is not for production.
    """
    # Both signals unwind the stack, so that the broker is stopped wherever they arrive.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with EmbeddedBroker(data_dir, port=port) as running:
        click.echo(running.bootstrap_servers)
        while True:
            signal.pause()
