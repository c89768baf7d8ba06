"""What is done with the weights of a run: mixed, fitted in part, exported, and read back."""

import math
from pathlib import Path
from typing import Annotated

import typer

from training.commands.options import LINE, Data, DeviceName, Overwrite, out
from training.errors import TrainingError


def average(
    runs: Annotated[list[str], typer.Argument(help="RUN=SHARE: a run's folder and its share of the mean.")],
    folder: Annotated[Path, typer.Option("--out", help="Where the mean goes.")],
    overwrite: Overwrite = False,
) -> None:
    """Write the mean of several runs' weights, which began from the same ones: one network, one cost."""
    from training.fit.average import average_runs

    shares = dict(map(_share, runs))
    if len(shares) < len(runs):
        raise TrainingError("a run is named twice: give it one share")
    average_runs(shares, folder, overwrite=overwrite)
    out.print(f"{folder}: the mean of {', '.join(runs)}", **LINE)


def refit(
    run: Annotated[Path, typer.Argument(help="A run's folder, such as a mean of others.")],
    like: Annotated[
        Path | None, typer.Option(help="The run whose word on ungraded messages is kept; without it its own.")
    ] = None,
    teacher: Annotated[
        list[Path] | None, typer.Option(help="Runs that say which emotions a text carries (repeatable).")
    ] = None,
    data: Data = None,
    device: DeviceName = "auto",
) -> None:
    """Fit a run's output for distress anew on the graded messages, and with teachers those of presence too;
    all else in it stays as it is.
    """
    from model.labels import LABELS
    from training.evaluate.predict import soft_labels
    from training.fit.device import Device
    from training.fit.recipe import Recipe
    from training.fit.refit import (
        PRESENCE_READ,
        READ,
        languages_of,
        presence_rows,
        refit_distress,
        refit_presence,
    )
    from training.fit.sources import training_data
    from training.runs import resplit_of

    sources = dict.fromkeys((*READ, *PRESENCE_READ) if teacher else READ)
    read = Recipe(name="refit", base=str(run), sources=sources, languages=languages_of(run))
    rows = training_data(read, data, resplit=resplit_of(run)).train
    graded, hardware = [row for row in rows if row.source in READ], Device.named(device)
    refit_distress(run, graded, LABELS, hardware, like=like)
    out.print(f"{run}: its output for distress, from {len(graded):,} rows", **LINE)
    if teacher:
        chosen = presence_rows(rows)
        soft = soft_labels(teacher, chosen, len(LABELS), device=hardware.name, precision=hardware.precision)
        refit_presence(run, chosen, LABELS, soft.present, hardware)
        out.print(f"{run}: its outputs for presence, from {len(chosen):,} rows", **LINE)


def reopen(
    model: Annotated[Path, typer.Argument(help="A folder that emotion-train export made.")],
    recipe: Annotated[str, typer.Option(help="The recipe that it was trained with.")],
    folder: Annotated[Path, typer.Option("--out", help="Where the run goes.")],
    overwrite: Overwrite = False,
) -> None:
    """Read the weights for torch back from an int8 file, to train on: of a folder for CPUs alone, say."""
    from training.fit.recipes import recipe_named
    from training.ship.reopen import reopen as reopen_folder

    reopen_folder(model, folder, recipe_named(recipe), overwrite=overwrite)
    out.print(f"{folder}: the weights of {model}", **LINE)


def export(
    run: Annotated[Path, typer.Argument(help="A calibrated run's folder.")],
    folder: Annotated[Path, typer.Option("--out", help="Where the shipped folder goes.")] = Path(
        "model/weights"
    ),
    name: Annotated[str, typer.Option(help="The model's name, in every event it labels.")] = "emotion-minilm",
    cpu_only: Annotated[
        bool, typer.Option("--cpu-only", help="Leave out the weights for torch, most of the folder.")
    ] = False,
    data: Data = None,
    device: DeviceName = "auto",
) -> None:
    """Make the folder that ships: fp16 weights, int8 ONNX, tokenizer, calibration and model card."""
    from training.ship.card import model_card
    from training.ship.export import export as export_folder

    def card(exported: Path) -> str:
        return model_card(run, exported, data, device=device, cpu_only=cpu_only)

    for file, size in export_folder(run, folder, name=name, card=card, cpu_only=cpu_only).items():
        out.print(f"{folder / file}: {size:,} bytes", **LINE)


def _share(given: str) -> tuple[Path, float]:
    run, _, share = given.rpartition("=")
    try:
        if run and 0 < float(share) < math.inf:
            return Path(run), float(share)
    except ValueError:
        pass
    raise typer.BadParameter(f"{given!r}: write RUN=SHARE, such as runs/english-0=0.5")
