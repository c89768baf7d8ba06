"""Whether texts could leave the network before its last layer, and what that would save.

    EMOTION_DATA=data .venv/bin/python -m benchmarks.earlyexit

For each early layer, a linear probe on the first token's state learns, on training rows, to tell the label
that the whole network gives. A text leaves where the probe is surer than a threshold: the lowest at which a
set loses no more than 0.2 points of accuracy, for each set by itself and for all. It is chosen on the
rows that it is measured on, so the shares are the most that one can hope for. Nothing depends on a text's
batch: its state does not.

Layers cost the same, except the last, which is computed for one token. The shipped int8 file is timed up to a
layer, and whole.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import click
import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper
from onnx.utils import Extractor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.messages import SHIPPED
from model.classifier import EmotionClassifier
from model.folder import INT8_ONNX_FILE, WEIGHTS
from model.labels import LABEL2ID
from model.runtimes.padding import cheapest, pad
from model.runtimes.pytorch import load_network
from stream.bench.machine import machine
from training.data.rows import Row, load_emotion, load_goemotions, read_labelled

MOST_LOSS: Final = 0.002
LAYERS: Final = (3, 4, 5)
THRESHOLDS: Final = np.concatenate([np.arange(0.5, 0.99, 0.01), np.arange(0.99, 1, 0.0005)])
TIMED: Final = (10, 25)
"""Texts and tokens of the batch that is timed."""

Answers = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
"""A probe's label of every row, and how sure it is."""


class States(torch.nn.Module):
    """The first token's state behind every layer, (layers, batch, width), and the logits."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        hidden, mask = embedded(self.network, input_ids, attention_mask)
        states = []
        for layer in self.network.distilbert.transformer.layer:
            hidden = layer(hidden, mask)
            states.append(hidden[:, 0])
        return torch.stack(states), head(self.network, hidden)


def embedded(
    network: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    hidden = network.distilbert.embeddings(input_ids)
    return hidden, (1.0 - attention_mask[:, None, None, :].float()) * torch.finfo(torch.float32).min


def head(network: Any, hidden: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = network.classifier(torch.relu(network.pre_classifier(hidden[:, 0])))
    return logits


def states_of(network: Any, file: Path) -> Any:
    """``States`` in onnxruntime."""
    example = torch.ones((2, 9), dtype=torch.long)
    sizes = {0: "batch", 1: "sequence"}
    torch.onnx.export(
        States(network).eval(),
        (example, example),
        file,
        input_names=["input_ids", "attention_mask"],
        output_names=["states", "logits"],
        dynamic_axes={"input_ids": sizes, "attention_mask": sizes},
        opset_version=17,
        dynamo=False,
    )
    return session(file.read_bytes())


def front(graph: Any, layers: int) -> Any:
    """``graph`` of the shipped int8 file up to the states of all tokens behind its first layers."""
    states = f"distilbert.transformer.layer.{layers - 1}.output_layer_norm"
    graph.graph.value_info.append(helper.make_tensor_value_info(states, TensorProto.FLOAT, None))
    cut = Extractor(graph).extract_model(["input_ids", "attention_mask"], [states])
    return session(cut.SerializeToString())


def session(graph: bytes) -> Any:
    """``graph`` in onnxruntime on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True, slots=True)
class Read:
    """Rows as the network reads them: states (layers, rows, width), its labels and those of people."""

    states: np.ndarray[Any, Any]
    given: np.ndarray[Any, Any]
    gold: np.ndarray[Any, Any]
    six_way: bool

    def accuracy(self, labels: np.ndarray[Any, Any]) -> float:
        return float((labels == self.gold).mean())


def read(network: Any, classifier: EmotionClassifier, rows: Sequence[Row], *, six_way: bool) -> Read:
    """``six_way`` leaves neutral out, which dair-ai/emotion does not have."""
    windows = [encoded.windows[0] for encoded in classifier.tokenize([row.text for row in rows])]
    states, logits = None, None
    for batch in cheapest([len(window) for window in windows], 256, 3):
        input_ids, attention_mask = pad([windows[row] for row in batch], 0)
        feed = {"input_ids": input_ids, "attention_mask": attention_mask}
        found, answered = network.run(None, feed)
        if states is None or logits is None:
            states = np.empty((len(found), len(rows), found.shape[-1]), np.float32)
            logits = np.empty((len(rows), answered.shape[1]), np.float32)
        states[:, batch], logits[batch] = found, answered
    assert states is not None
    assert logits is not None
    given = logits[:, : 6 if six_way else 7].argmax(axis=1)
    return Read(states, given, np.array([LABEL2ID[row.label] for row in rows]), six_way)


def left(probe: Pipeline, layer: int, data: Read) -> Answers:
    """The probe's answers to every row."""
    probabilities = probe.predict_proba(data.states[layer - 1])
    if data.six_way:
        probabilities = probabilities[:, :6] / probabilities[:, :6].sum(axis=1, keepdims=True)
    return probabilities.argmax(axis=1), probabilities.max(axis=1)


def lowest_threshold(answers: Sequence[tuple[Read, Answers]]) -> float:
    """The lowest at which no set loses more than ``MOST_LOSS``; infinity where there is none."""
    for threshold in THRESHOLDS:
        losses = (
            data.accuracy(data.given) - data.accuracy(np.where(sure >= threshold, labels, data.given))
            for data, (labels, sure) in answers
        )
        if max(losses) <= MOST_LOSS:
            return float(threshold)
    return float("inf")


def seconds(network: Any) -> float:
    """Processor seconds of a batch, the least of some."""
    texts, tokens = TIMED
    feed = {"input_ids": np.full((texts, tokens), 1000), "attention_mask": np.ones((texts, tokens), np.int64)}
    least = float("inf")
    for _ in range(12):
        started = time.process_time()
        network.run(None, feed)
        least = min(least, time.process_time() - started)
    return least


@click.command()
@click.option("--data", type=click.Path(path_type=Path), envvar="EMOTION_DATA", help="Default: the hub.")
@click.option(
    "--rows", default=1500, show_default=True, help="Of each training set; as many of each other at most."
)
def main(data: Path | None, rows: int) -> None:
    """The share of texts that could leave early, and the processor time that it would save."""
    choose = random.Random(0)

    def some(all_rows: Sequence[Row]) -> list[Row]:
        return choose.sample(list(all_rows), min(rows, len(all_rows)))

    emotion, goemotions = load_emotion(data), load_goemotions(data)
    written = [Row(text, label, "messages") for text, label in read_labelled(SHIPPED)]
    classifier = EmotionClassifier.load(WEIGHTS, "cpu", "int8")
    network = load_network(WEIGHTS)
    network.set_attn_implementation("eager")
    with TemporaryDirectory() as folder:
        whole = states_of(network, Path(folder) / "states.onnx")
        learned = [
            read(whole, classifier, some(emotion.train), six_way=False),
            read(whole, classifier, some(goemotions.train), six_way=False),
        ]
        sets = {
            "dair-ai/emotion": read(whole, classifier, some(emotion.validation), six_way=True),
            "GoEmotions": read(whole, classifier, some(goemotions.validation), six_way=False),
            "messages": read(whole, classifier, some(written), six_way=False),
        }
    shipped = onnx.load(WEIGHTS / INT8_ONNX_FILE)
    full = seconds(session(shipped.SerializeToString()))
    costs = [seconds(front(shipped, layer)) / full for layer in LAYERS]
    for layer, cost in zip(LAYERS, costs, strict=True):
        states = np.concatenate([part.states[layer - 1] for part in learned])
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300, C=0.1))
        probe.fit(states, np.concatenate([part.given for part in learned]))
        answers = {name: (data, left(probe, layer, data)) for name, data in sets.items()}
        common = lowest_threshold(list(answers.values()))
        print(f"layer {layer}: {cost:.0%} of the cost; threshold of all sets {common:.4f}")
        for name, (data, answer) in answers.items():
            own = lowest_threshold([(data, answer)])
            shares = [float((answer[1] >= threshold).mean()) for threshold in (common, own)]
            leave = ", ".join(f"{share:.1%} leave and save {share * (1 - cost):.1%}" for share in shares)
            print(f"    {name}, {len(data.gold)} rows: {leave} by a threshold of its own ({own:.4f})")
    print(f"{rows} rows of each training set; {machine()}")


if __name__ == "__main__":
    main()
