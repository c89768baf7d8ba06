"""The encoder in CTranslate2, which knows DistilBERT, and the head, which it does not, in numpy.

python -m benchmarks.engines.ctranslate float32|int8 MODEL_FOLDER THREADS
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import ctranslate2
import numpy as np
from ctranslate2.converters import TransformersConverter
from safetensors.numpy import load_file

from benchmarks.engines.runtime import BATCH_TOKENS, with_runtime
from model.contract import Logits
from model.runtimes.padding import chunks
from stream.bench.process import serve


class CTranslate2Runtime:
    device, precision = "cpu", "ctranslate2"

    def __init__(self, compute_type: str, folder: Path, threads: int) -> None:
        with tempfile.TemporaryDirectory() as converted:
            TransformersConverter(str(folder)).convert(converted, force=True)
            self._encoder = ctranslate2.Encoder(
                converted, compute_type=compute_type, inter_threads=1, intra_threads=threads
            )
        tensors = load_file(folder / "model.safetensors")
        self._head = {name: tensor.astype(np.float32) for name, tensor in tensors.items() if "class" in name}

    def forward(self, windows: Sequence[Sequence[int]]) -> Logits:
        logits = np.empty((len(windows), len(self._head["classifier.bias"])), dtype=np.float32)
        for rows in chunks([len(window) for window in windows], BATCH_TOKENS):
            encoded = self._encoder.forward_batch([list(windows[row]) for row in rows])
            first = np.asarray(encoded.last_hidden_state)[:, 0]
            logits[rows] = self._logits(first.astype(np.float32))
        return logits

    def _logits(self, first: Logits) -> Logits:
        head = self._head
        hidden = np.maximum(first @ head["pre_classifier.weight"].T + head["pre_classifier.bias"], 0)
        logits: Logits = hidden @ head["classifier.weight"].T + head["classifier.bias"]
        return logits


def main(compute_type: str, folder: str, threads: str) -> None:
    serve(lambda: with_runtime(folder, CTranslate2Runtime(compute_type, Path(folder), int(threads))))


if __name__ == "__main__":
    main(*sys.argv[1:])
