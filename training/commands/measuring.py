"""What is measured: of the data, of a run, and of several beside each other."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from training.commands.options import LINE, Data, DeviceName, err, out, whole_numbers
from training.errors import TrainingError


def audit(data: Data = None) -> None:
    """Count what is wrong with dair-ai/emotion: duplicates, contradictions, overlap, HTML debris."""
    from training.data.leakage import audit as audit_splits
    from training.data.rows import load_emotion

    table = Table("measure", "value")
    for name, value in audit_splits(load_emotion(data)).as_dict().items():
        table.add_row(name.replace("_", " "), json.dumps(value))
    out.print(table)


def calibrate(
    model: Annotated[Path, typer.Argument(help="A run's folder.")],
    data: Data = None,
    device: DeviceName = "auto",
) -> None:
    """Choose temperature, neutral threshold and distress levels on validation rows: calibration.json."""
    from training.evaluate.calibrate import calibrate as calibrate_folder

    out.print_json(calibrate_folder(model, data, device=device).model_dump_json())


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

    numbers = whole_numbers("--seeds", seeds)
    comparison = Comparison(
        folder, data, numbers, base, device, decoder_base, lambda name: err.print(f"compare: {name}")
    )
    out.print(as_table(comparison.run(rows or ROWS)), **LINE)


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
