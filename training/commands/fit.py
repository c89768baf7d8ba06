"""``emotion-train fit``."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from training.commands.options import LINE, MOST_SEED, Data, DeviceName, Overwrite, err, out, shown_progress
from training.errors import TrainingError


def fit(
    recipe: Annotated[
        str, typer.Option(help="By its name in training/fit/recipes.py; debug takes seconds.")
    ] = "best",
    base: Annotated[
        str | None, typer.Option(help="minilm or mpnet (no hub), a folder, or a name on the hub.")
    ] = None,
    seed: Annotated[
        int,
        typer.Option(min=0, max=MOST_SEED, help="Seed of initialisation, order, dropout and augmentation."),
    ] = 0,
    folder: Annotated[Path | None, typer.Option("--out", help="Default: runs/RECIPE-SEED.")] = None,
    data: Data = None,
    device: DeviceName = "auto",
    precision: Annotated[str, typer.Option(help="auto, bf16 or fp32.")] = "auto",
    split: Annotated[
        str | None,
        typer.Option(help="Re-split dair-ai/emotion, such as 70/15/15; not for what ships."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Instead of the recipe's.")] = None,
    teacher: Annotated[
        list[Path] | None, typer.Option(help="Runs whose mean prediction is distilled (repeatable).")
    ] = None,
    distil: Annotated[
        float | None, typer.Option(help="Weight of the teachers' soft labels, instead of the recipe's.")
    ] = None,
    r_drop: Annotated[
        float | None, typer.Option(help="Weight of R-Drop's divergence between two passes; 0 is off.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on after the last whole epoch in --out.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Train a model and write it, its log and its recipe to a folder."""
    from training.data.rows import Resplit
    from training.evaluate.predict import soft_labels
    from training.fit.device import Device
    from training.fit.loop import Fit
    from training.fit.recipes import recipe_named
    from training.fit.sources import training_data
    from training.runs import (
        CHECKPOINT,
        RUN_FILE,
        ended_before_checkpoint,
        require_empty,
        require_resumable,
        require_split,
        writable,
    )

    if resume and overwrite:
        raise TrainingError("--resume goes on and --overwrite begins anew: give one of them")
    chosen = recipe_named(recipe)
    given: dict[str, Any] = {
        "base": base,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "distil": distil,
        "r_drop": r_drop,
    }
    chosen = replace(chosen, **{name: value for name, value in given.items() if value is not None})
    folder = folder or Path("runs") / f"{chosen.name}-{seed}"
    if Path(chosen.base).resolve() == folder.resolve():
        raise TrainingError(f"{folder} is the base itself: name another --out")
    resplit = None if split is None else Resplit(_percentages(split), seed)
    require_split(resplit, (Path(chosen.base), *(teacher or ())))
    if teacher and not chosen.distil:
        raise TrainingError(
            f"recipe {chosen.name} does not distil, so nobody would hear a --teacher: give their weight with "
            "--distil, such as 0.5, or leave them out"
        )
    if resume:
        require_resumable(folder)
        if ended_before_checkpoint(folder):
            err.print(f"{folder} ended before its first {CHECKPOINT}: it begins from the beginning", **LINE)
    elif not overwrite:
        require_empty(folder, resumes="--resume goes on with a run that is not finished, ")
    hardware = Device.named(device, precision)
    rows = training_data(chosen, data, resplit=resplit)
    writable(folder)
    with shown_progress(f"{chosen.name}, seed {seed}") as progress:
        soft = None
        if teacher:
            soft = soft_labels(
                teacher,
                rows.train,
                len(chosen.labels),
                device=hardware.name,
                precision=hardware.precision,
                untaught=chosen.untaught,
            )
        run = Fit(
            chosen,
            rows.train,
            rows.validation,
            folder,
            seed=seed,
            device=hardware,
            resplit=resplit,
            teacher=soft,
            progress=progress,
        )
        try:
            result = run.run(resume=resume)
        except KeyboardInterrupt:
            if (folder / CHECKPOINT).is_file() or ended_before_checkpoint(folder):
                instead = " instead of --overwrite" if overwrite else ""
                err.print(
                    f"{folder} is not finished: the same command with --resume{instead} goes on with it",
                    **LINE,
                )
            elif (folder / RUN_FILE).is_file():
                err.print(f"{folder} is as it was: nothing of the new run has been written yet", **LINE)
            raise
    for entry in run.log.history:
        out.print("  ".join(f"{name} {value:.4g}" for name, value in entry.items()), **LINE)
    told = f"{result.folder}: best epoch {result.epoch}, score {result.score:.4f}, {result.seconds:.0f} s"
    out.print(told, **LINE)


def _percentages(split: str) -> tuple[int, int, int]:
    try:
        first, second, third = (int(part) for part in split.split("/"))
    except ValueError:
        raise TrainingError(f"--split {split}: three percentages, such as 70/15/15") from None
    return first, second, third
