"""Labels of the same texts on two machines, or on one and an emulator of another.

    python -m benchmarks.labels TEXTS > here.jsonl
    python -m benchmarks.labels TEXTS --precision fp32 > fp32.jsonl
    python -m benchmarks.labels TEXTS --against fp32.jsonl          in how many the label is the same

Asks for no more than the package ``model`` and click, so that it runs where little else does, as under
``qemu-aarch64 -L ROOT ROOT/usr/bin/python3 -m benchmarks.labels``. TEXTS has one text a line.
"""

import json
import platform
from pathlib import Path

import click

import model
from model import EmotionClassifier


@click.command()
@click.argument("texts", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", "folder", type=click.Path(exists=True, path_type=Path), help="Default: what ships.")
@click.option("--precision", default="auto", show_default=True)
@click.option(
    "--against", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="What this has printed."
)
def main(texts: Path, folder: Path | None, precision: str, against: Path | None) -> None:
    """Label each line of TEXTS."""
    lines = [line for line in texts.read_text(encoding="utf-8").splitlines() if line.strip()]
    try:
        emotions = EmotionClassifier.load(folder, "cpu", precision).classify(lines)
    except model.ModelError as error:
        raise click.ClickException(str(error)) from None
    if against is None:
        for emotion in emotions:
            print(json.dumps([emotion.label, emotion.confidence]))
        return
    others = [json.loads(line) for line in against.read_text(encoding="utf-8").splitlines()]
    pairs = list(zip(emotions, others, strict=True))
    same = sum(emotion.label == label for emotion, (label, _) in pairs)
    apart = max(abs(emotion.confidence - confidence) for emotion, (_, confidence) in pairs)
    print(f"{platform.machine()}: same label in {same} of {len(pairs)}, confidence {apart:.3f} apart at most")


if __name__ == "__main__":
    main()
