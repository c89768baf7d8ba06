"""``emotion-stream bench latency``: how long labels take, against how much comes."""

import asyncio
from itertools import islice
from pathlib import Path
from typing import Final

import click
import orjson

from stream.commands.options import SettingsCommand, settings_options
from stream.errors import InputFileError
from stream.mapping import MessageMapping
from stream.reading import Line, format_of, opened, read_lines
from stream.settings import Settings

SHIPPED_TEXTS: Final = Path(__file__).parent.parent / "demo" / "messages.jsonl"
MOST_TEXTS: Final = 100_000


@click.command(cls=SettingsCommand)
@click.option(
    "--texts",
    "file",
    type=click.Path(path_type=Path),
    default=SHIPPED_TEXTS,
    show_default="messages that ship",
    help="Your messages: JSON lines, CSV or plain text.",
)
@click.option(
    "--loads",
    default="10,50,80,95",
    show_default=True,
    metavar="PERCENT,…",
    callback=lambda _context, _option, value: loads_of(value),
    help="What is offered, in per cent of the capacity that is measured first.",
)
@click.option(
    "--seconds", type=click.FloatRange(min=1), default=30, show_default=True, help="How long each load lasts."
)
@click.option(
    "--burst",
    type=click.IntRange(min=10),
    default=1000,
    show_default=True,
    help="Messages that wait at once, to measure the capacity.",
)
@click.option(
    "--plot", type=click.Path(path_type=Path), help="Draw the curve into this file (SVG, PNG, PDF)."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@settings_options("kafka", "mapping", "annotate", "max_message_bytes")
def latency(
    settings: Settings,
    file: Path,
    loads: tuple[float, ...],
    seconds: float,
    burst: int,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Time from when a message was due until a reader has its label, against the load.

    Starts an annotator and sends it your messages at random moments, whether or not it keeps up: a message
    that is sent late, because the machine has no time, counts from when it was due. On a broker of its own;
    with --bootstrap-servers on your cluster, in topics of its own that it deletes at the end. Texts repeat
    where there are few, so none is remembered (remember_texts is 0).
    """
    from rich.console import Console

    from stream.bench.curve import Report
    from stream.bench.latency import measure
    from stream.scratch import scratch_cluster

    texts = texts_of(file, settings)
    settings = settings.model_copy(update={"remember_texts": 0})
    with (
        scratch_cluster(settings, "bench") as (in_force, broker),
        Console(stderr=True).status("starting") as status,
    ):
        curve = asyncio.run(measure(in_force, texts, loads, seconds, burst, status.update))
    report = Report(curve, in_force, broker)
    if as_json:
        click.echo(orjson.dumps(report.as_json(), option=orjson.OPT_INDENT_2))
    else:
        report.show(Console(highlight=False))
    if plot is not None:
        report.draw(plot)


def loads_of(given: str) -> tuple[float, ...]:
    """Parts of the capacity, from per cents.

    Raises:
        BadParameter: something is no number, or not above zero.
    """
    try:
        loads = tuple(float(part) / 100 for part in given.split(","))
    except ValueError:
        loads = ()
    if not loads or min(loads) <= 0:
        raise click.BadParameter(f"{given!r}: name per cents above zero, such as 10,50,80,95")
    return loads


def texts_of(file: Path, settings: Settings) -> list[str]:
    """Texts of a file as they were written.

    Raises:
        InputFileError: the file holds none.
    """
    with opened(file) as lines:
        read = read_lines(
            lines,
            format_of(file),
            max_bytes=settings.max_message_bytes,
            mapping=MessageMapping.of(settings),
        )
        texts = [line.message.text for line in islice(read, MOST_TEXTS) if isinstance(line, Line)]
    if not texts:
        raise InputFileError(f"{file}: no messages in it: emotion-stream classify {file} says why")
    return texts
