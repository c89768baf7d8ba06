"""``emotion-stream bench latency``: how long labels take, against how much comes."""

import asyncio
import math
from pathlib import Path
from typing import Final

import click
import orjson

from stream.commands.benchtexts import texts_of, texts_option
from stream.commands.options import Number, SettingsCommand, settings_options
from stream.sections import AnnotateSettings
from stream.settings import Settings

MOST_TEXTS: Final = 100_000
NOT_MEASURED: Final = ("group_id", "input_format", "auto_offset_reset", "drain")
"""Settings of an annotator that are the measurement's own, for the messages it sends."""
KEPT: Final = tuple(name for name in AnnotateSettings.model_fields if name not in NOT_MEASURED)


@click.command(cls=SettingsCommand)
@texts_option
@click.option(
    "--loads",
    default="10,50,80,95",
    show_default=True,
    metavar="PERCENT,…",
    callback=lambda _context, _option, value: loads_of(value),
    help="What is offered, in per cent of the capacity that is measured first.",
)
@click.option(
    "--seconds", type=Number(min=1), default=30, show_default=True, help="How long each load lasts."
)
@click.option(
    "--warm-up",
    type=Number(min=0),
    default=5,
    show_default=True,
    help="Seconds of half load before anything is measured: a broker that has just started compiles itself.",
)
@click.option(
    "--burst",
    type=click.IntRange(10, 1_000_000),
    default=1000,
    show_default=True,
    help="Messages that wait at once: what they are labelled at is offered to measure the capacity.",
)
@click.option(
    "--plot", type=click.Path(path_type=Path), help="Draw the curve into this file (SVG, PNG, PDF)."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@settings_options("kafka", "mapping", *KEPT)
def latency(
    settings: Settings,
    file: Path,
    loads: tuple[float, ...],
    seconds: float,
    warm_up: float,
    burst: int,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Time from when a message was due until a reader has its label, against the load.

    Starts an annotator and sends it your messages at random moments, whether or not it keeps up: a message
    that is sent late, because the machine has no time, counts from when it was due. On a broker of its own;
    with --bootstrap-servers on your cluster, in topics of its own that it deletes at the end. Texts repeat
    where there are few, so none is remembered (remember_texts is 0). Of your settings
    the annotator has those of Kafka and Annotator; the shape of the messages is that of your file.
    """
    from rich.console import Console

    from stream.bench.curve import Report, check_picture
    from stream.bench.latency import Plan, measure
    from stream.scratch import scratch_cluster
    from stream.unwinding import unwind_on_signals

    if plot is not None:
        check_picture(plot)
    texts = texts_of(file, settings, MOST_TEXTS)
    settings = settings.model_copy(update={"remember_texts": 0})
    unwind_on_signals()
    with (
        scratch_cluster(settings, "bench", KEPT) as (in_force, broker),
        Console(stderr=True).status("starting") as status,
    ):
        plan = Plan(loads, seconds, warm_up, burst)
        curve = asyncio.run(measure(in_force, texts, plan, status.update))
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
        BadParameter: something is no finite number, or not above zero.
    """
    try:
        loads = tuple(float(part) / 100 for part in given.split(","))
    except ValueError:
        loads = ()
    if not loads or not all(0 < load < math.inf for load in loads):
        raise click.BadParameter(f"{given!r}: name per cents above zero, such as 10,50,80,95")
    return loads
