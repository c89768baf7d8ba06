"""The engines that an installation has: this project's runtimes, and ``transformers.pipeline`` beside them.

    python -m stream.bench.engines '{"key": "int8", "model": "en", "device": "cpu", "threads": 0}'

is the process of one of them; see ``stream.bench.process``. All tell the label of the greatest probability,
without the decision rule, which ``transformers.pipeline`` has not.
"""

import json
import sys
from collections.abc import Sequence
from typing import Any, Final

from model.contract import Emotion, Model
from model.loading import folder_of, load, usable_cores
from stream.bench.process import Labeller, serve
from stream.bench.rounds import Engine

REFERENCES: Final = ("fp32", "onnx-fp32")
"""The engines whose labels the others are held against: the first of them that was measured."""

BASELINE: Final = "pipeline-32"
"""The engine whose speed the others are held against."""

TITLES: Final = {
    "auto": "emotion-stream",
    "int8": "emotion-stream int8",
    "fp32": "emotion-stream fp32, torch",
    "bf16": "emotion-stream bf16, torch",
    "pipeline-1": "pipeline fp32, 1",
    "pipeline-32": "pipeline fp32, 32",
    "pipeline-32-sorted": "pipeline fp32, 32 sorted",
}
"""A pipeline is ``transformers.pipeline``, with its batch size; sorted by length."""

DEFAULT: Final = ("auto", "fp32", "pipeline-1", "pipeline-32", "pipeline-32-sorted")


def engine(key: str, *, model: str | None, device: str, threads: int) -> Engine:
    """The engine of a key of ``TITLES``."""
    wanted = json.dumps({"key": key, "model": model, "device": device, "threads": threads})
    return Engine(key, TITLES[key], (sys.executable, "-m", __name__, wanted))


def load_engine(key: str, model: str | None, device: str, threads: int) -> Labeller:
    """What the process of an engine runs."""
    if not key.startswith("pipeline"):
        precision = key
        return labeller(load(model, device=device, precision=precision, threads=threads, remember=0))
    _, size, *order = key.split("-")
    return _pipeline(str(folder_of(model)), device, threads, int(size), by_length=bool(order))


def labeller(model: Model) -> Labeller:
    """A model of this project as an engine."""

    def label(texts: Sequence[str]) -> list[str]:
        batch = model.tokenize(texts)
        return [_most_probable(emotion) for emotion in model.decide(batch, model.forward(batch))]

    return label


def _most_probable(emotion: Emotion) -> str:
    scores = {**emotion.scores, "neutral": emotion.neutral}
    return max(scores, key=scores.__getitem__)


def _pipeline(folder: str, device: str, threads: int, batch_size: int, *, by_length: bool) -> Labeller:
    import torch
    from transformers import pipeline

    torch.set_num_threads(threads or usable_cores())
    where = "cuda" if device == "auto" and torch.cuda.is_available() else device.replace("auto", "cpu")
    classify: Any = pipeline(
        "text-classification", model=folder, device=where, dtype=torch.float32, batch_size=batch_size
    )

    def label(texts: Sequence[str]) -> list[str]:
        order = sorted(range(len(texts)), key=lambda i: len(texts[i])) if by_length else range(len(texts))
        answers = classify([texts[i] for i in order], truncation=True, max_length=512)
        labels = dict(zip(order, (answer["label"].lower() for answer in answers), strict=True))
        return [labels[i] for i in range(len(texts))]

    return label


if __name__ == "__main__":
    serve(lambda: load_engine(**json.loads(sys.argv[1])))
