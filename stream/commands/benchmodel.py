"""``emotion-stream bench model``: the model on this machine, with your messages, beside other engines."""

import random
from collections.abc import Sequence
from pathlib import Path

import click
import orjson
from rich.console import Console

from stream.commands.benchtexts import no_texts, texts_of, texts_option
from stream.commands.options import SettingsCommand, settings_options
from stream.settings import Settings
from stream.text import text_to_read


@click.command(cls=SettingsCommand)
@texts_option
@click.option(
    "--messages", type=click.IntRange(1), default=300, show_default=True, help="Of the file, at most."
)
@click.option(
    "--rounds", type=click.IntRange(1), default=3, show_default=True, help="The engines take turns."
)
@click.option(
    "--engine",
    "keys",
    multiple=True,
    metavar="NAME",
    help="auto, int8, fp32, bf16, pipeline-1, pipeline-32 or pipeline-32-sorted; may be repeated. "
    "[default: auto, fp32 and the pipelines]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@settings_options("model", "device", "threads", "text_parts", "max_message_bytes", "mapping")
def model(
    settings: Settings, file: Path, messages: int, rounds: int, keys: tuple[str, ...], as_json: bool
) -> None:
    """How fast the model is, beside transformers.pipeline.

    Prints messages a second, processor time, memory, and how many labels are the same.

    fp32, bf16 and the pipelines need the extra gpu (torch, transformers); without it they are named as not
    measured. Each engine runs in a process of its own; the labels of all are held against fp32.
    """
    from stream.bench.engines import DEFAULT, TITLES, engine
    from stream.bench.report import Report
    from stream.bench.rounds import measure
    from stream.unwinding import unwind_on_signals

    for key in keys:
        if key not in TITLES:
            raise click.BadParameter(f"{key!r}: there are {', '.join(TITLES)}", param_hint="--engine")
    texts = some_texts(file, messages, settings)
    engines = [
        engine(key, model=settings.model, device=settings.device, threads=settings.threads)
        for key in dict.fromkeys(keys or DEFAULT)
    ]
    console = Console(highlight=False)
    unwind_on_signals()
    with Console(stderr=True).status("starting") as status:
        measured = measure(engines, texts, rounds, tell=status.update)
    report = Report(measured, len(texts), mean_tokens(texts, settings), rounds)
    if as_json:
        click.echo(orjson.dumps(report.as_json(), option=orjson.OPT_INDENT_2))
    else:
        report.show(console)
    if not any(entry.runs for entry in measured):
        raise click.exceptions.Exit(1)


def some_texts(file: Path, most: int, settings: Settings) -> list[str]:
    """Different texts of a file as the model reads them, at most ``most``, drawn by chance, always the same.

    Raises:
        InputFileError: the file holds none.
    """
    read = [text_to_read(text, settings.text_parts) for text in texts_of(file, settings)]
    texts = list(dict.fromkeys(text for text in read if text))
    if not texts:
        raise no_texts(file)
    return random.Random(0).sample(texts, min(most, len(texts)))


def mean_tokens(texts: Sequence[str], settings: Settings) -> float:
    """Tokens a text, as the model of the settings counts them."""
    from model.loading import load

    encoded = load(settings.model, device="cpu", precision="auto").tokenize(texts)
    return sum(one.tokens for one in encoded) / len(texts)
