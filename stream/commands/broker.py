"""``emotion-stream broker``: the embedded broker in the foreground."""

import signal
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
    # Blocked before the start, so that a signal that comes early still stops the broker in order.
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with EmbeddedBroker(data_dir, port=port) as running:
        click.echo(running.bootstrap_servers)
        received = signal.sigwait(signals)
    if received == signal.SIGINT:
        raise KeyboardInterrupt
