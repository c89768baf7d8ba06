"""The model on other engines, with the same weights and messages, in the same run.

    make bench-model                                          speed, processor time, memory, labels
    make bench-model ARGS="--engine int8 --growth"            and how cost grows with length
    EMOTION_DATA=data make bench-model ARGS="--plots docs/images/bench"

Each engine is a process, and they take turns. OpenVINO and CTranslate2 live in ``.venv/peers``.
"""

import json
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import Any, Final

import click
from rich.console import Console

from benchmarks.engines import graphs
from benchmarks.messages import messages
from benchmarks.plots import draw_engines, draw_growth
from model.classifier import EmotionClassifier
from model.folder import ModelFolder
from model.loading import folder_of, usable_cores
from model.runtimes.cpu import BATCH_COST_TOKENS, MAX_BATCH_TOKENS
from model.runtimes.padding import cheapest
from stream.bench.engines import TITLES, engine
from stream.bench.report import Report
from stream.bench.rounds import Engine, measure, process_of

PEER_PYTHON: Final = Path(__file__).parent.parent / ".venv" / "peers" / "bin" / "python"

STREAM_BATCH_TOKENS: Final = 4096
"""What the annotator puts into a batch (setting ``max_batch_tokens``)."""

LENGTHS: Final = (8, 16, 32, 64, 128, 256, 512)
GROWTH_TOKENS: Final = 1024
"""Tokens labelled at each length; each message has two special ones."""


class Engines:
    """All engines by their keys; a file that one needs is made when it is asked for, in ``scratch``."""

    def __init__(self, model: str | None, threads: int, scratch: Path) -> None:
        self._model, self._threads, self._scratch = model, threads, scratch
        self._folder = folder_of(model)
        self._makers: dict[str, Callable[[], Engine]] = {
            key: lambda key=key: engine(key, model=model, device="cpu", threads=threads)
            for key in TITLES
            if key != "auto"
        } | {
            "int8-export": lambda: self._onnx("int8-export", "emotion-stream int8, made now", self._int8()),
            "onnx-fp32": lambda: self._onnx("onnx-fp32", "emotion-stream fp32", self._exact()),
            "ort-plain": lambda: self._session("ort-plain", "onnxruntime fp32, plain", self._plain()),
            "ort-fused": lambda: self._session("ort-fused", "onnxruntime fp32, fused", self._fused()),
            "ort-dynamic": lambda: self._session("ort-dynamic", "onnxruntime int8, dynamic", self._dynamic()),
            "openvino-f32": lambda: self._openvino("openvino-f32", "OpenVINO fp32", self._plain()),
            "openvino-int8": lambda: self._openvino(
                "openvino-int8", "OpenVINO, our int8 file", self._folder / "model.int8.onnx"
            ),
            "ctranslate2-f32": lambda: self._ctranslate("ctranslate2-f32", "CTranslate2 fp32", "float32"),
            "ctranslate2-int8": lambda: self._ctranslate("ctranslate2-int8", "CTranslate2 int8", "int8"),
            "distilbert-66m": self._distilbert,
        }

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self._makers)

    def __getitem__(self, key: str) -> Engine:
        return self._makers[key]()

    def _command(self, python: Path | str, module: str, *arguments: object) -> tuple[str, ...]:
        return (str(python), "-m", f"benchmarks.engines.{module}", *map(str, arguments))

    def _onnx(self, key: str, title: str, file: Path) -> Engine:
        given = (file, self._folder, self._threads, "batches")
        return Engine(key, title, self._command(sys.executable, "onnx_files", *given))

    def _session(self, key: str, title: str, file: Path) -> Engine:
        given = (file, self._folder, self._threads, "session")
        return Engine(key, title, self._command(sys.executable, "onnx_files", *given))

    def _openvino(self, key: str, title: str, file: Path) -> Engine:
        given = (file, self._folder, self._threads)
        return Engine(key, title, self._command(PEER_PYTHON, "openvino_files", *given))

    def _ctranslate(self, key: str, title: str, compute_type: str) -> Engine:
        given = (compute_type, self._folder, self._threads)
        return Engine(key, title, self._command(PEER_PYTHON, "ctranslate", *given))

    def _distilbert(self) -> Engine:
        folder = self._scratch / "distilbert"
        graphs.write_distilbert(self._folder, folder)
        made = engine("pipeline-32", model=str(folder), device="cpu", threads=self._threads)
        return Engine("distilbert-66m", "DistilBERT 66M, pipeline 32", made.command, same_weights=False)

    def _made(self, name: str, write: Callable[[Path], None]) -> Path:
        file = self._scratch / name
        if not file.exists():
            write(file)
        return file

    def _plain(self) -> Path:
        return self._made("plain.onnx", lambda file: graphs.write_plain(self._folder, file))

    def _exact(self) -> Path:
        return self._made("exact.onnx", lambda file: graphs.write_float32_onnx(self._folder, file))

    def _fused(self) -> Path:
        config = json.loads((self._folder / "config.json").read_text(encoding="utf-8"))
        heads, width = config["n_heads"], config["dim"]
        return self._made("fused.onnx", lambda file: graphs.write_fused(self._plain(), file, heads, width))

    def _dynamic(self) -> Path:
        return self._made("dynamic.onnx", lambda file: graphs.write_dynamic_int8(self._plain(), file))

    def _int8(self) -> Path:
        revision = ModelFolder.open(self._folder).trained_revision or ""
        return self._made("int8.onnx", lambda file: graphs.write_int8_onnx(self._folder, file, revision))


def growth(measured: Engine, rounds: int) -> list[dict[str, float]]:
    """Processor milliseconds a message at each of ``LENGTHS`` tokens, the least of the rounds."""
    points = {length: float("inf") for length in LENGTHS}
    with process_of(measured) as process:
        for _ in range(rounds + 1):  # the first warms up
            for length in LENGTHS:
                texts = of_length(length, GROWTH_TOKENS // length)
                points[length] = min(points[length], process.label(texts).cpu_seconds / len(texts) * 1e3)
    return [{"tokens": length, "cpu_ms": points[length]} for length in LENGTHS]


def of_length(tokens: int, count: int) -> list[str]:
    """``count`` different texts of ``tokens`` tokens each, the two special ones included."""
    choose = random.Random(tokens)
    return [" ".join(choose.choices(ascii_lowercase, k=tokens - 2)) for _ in range(count)]


def padding(lengths: Sequence[int]) -> float:
    """The share of padding in what the CPU computes, in batches as the annotator makes them of a stream."""
    padded = used = 0
    batch: list[int] = []
    for length in [*lengths, STREAM_BATCH_TOKENS]:
        if sum(batch) + length > STREAM_BATCH_TOKENS:
            parts = cheapest(batch, MAX_BATCH_TOKENS, BATCH_COST_TOKENS)
            padded += sum(len(rows) * max(batch[row] for row in rows) for rows in parts)
            used += sum(batch)
            batch = []
        batch.append(length)
    return 1 - used / padded


@click.command()
@click.option("--messages", "count", default=200, show_default=True, help="Messages a round.")
@click.option("--rounds", default=3, show_default=True, help="Rounds; the engines take turns.")
@click.option("--engine", "keys", multiple=True, help="Of these engines only; may be repeated.")
@click.option("--model", "folder", default=None, help="A model folder; default: the weights that ship.")
@click.option("--threads", default=0, help="0: one a core that the process may use.")
@click.option("--growth", "with_growth", is_flag=True, help="The cost by length of the message, too.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write all figures here.")
@click.option("--plots", type=click.Path(path_type=Path), help="Draw the figures into this folder.")
def main(
    count: int, rounds: int, keys: tuple[str, ...], folder: str | None, threads: int,
    with_growth: bool, file: Path | None, plots: Path | None,
) -> None:  # fmt: skip
    """Messages a second, processor time, memory and labels of the model on every engine."""
    texts, source = messages(count)
    console = Console(highlight=False)
    lengths = [one.tokens for one in EmotionClassifier.load(folder, "cpu").tokenize(messages(4000)[0])]
    with tempfile.TemporaryDirectory() as scratch, Console(stderr=True).status("exporting") as status:
        engines = Engines(folder, threads or usable_cores(), Path(scratch))
        if unknown := [key for key in keys if key not in engines.keys]:
            raise click.BadParameter(f"{unknown[0]}: there are {', '.join(engines.keys)}")
        chosen = [engines[key] for key in keys or engines.keys]
        measured = measure(chosen, texts, rounds, tell=status.update)
        grown = growth(chosen[0] if keys else engines["int8"], rounds) if with_growth else []
    report = Report(measured, len(texts), sum(lengths) / len(lengths), rounds)
    report.show(console)
    console.print(f"{source}; padding in batches of {STREAM_BATCH_TOKENS} tokens: {padding(lengths):.1%}")
    for point in grown:
        console.print(f"{point['tokens']:4.0f} tokens: {point['cpu_ms']:7.2f} ms of a core")
    figures: dict[str, Any] = report.as_json() | {"source": source, "growth": grown}
    if file is not None:
        file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if plots is not None:
        draw_engines(figures, plots / "engines.svg")
        if grown:
            draw_growth(figures, plots / "length.svg")


if __name__ == "__main__":
    main()
