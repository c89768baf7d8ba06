"""An ONNX file in onnxruntime.

    python -m benchmarks.engines.onnx_files FILE MODEL_FOLDER THREADS session|batches

``session`` is onnxruntime as its documentation has it: the threads share each product. ``batches`` is this
project's CPU runtime, whose threads take batches of their own.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from benchmarks.engines.runtime import BATCH_TOKENS, with_runtime
from model.contract import Logits
from model.runtimes.cpu import CpuRuntime
from model.runtimes.padding import chunks, pad
from stream.bench.process import serve


class SessionRuntime:
    device, precision = "cpu", "onnxruntime"

    def __init__(self, file: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def forward(self, windows: Sequence[Sequence[int]]) -> Logits:
        logits = np.empty((len(windows), self._session.get_outputs()[0].shape[1]), dtype=np.float32)
        for rows in chunks([len(window) for window in windows], BATCH_TOKENS):
            input_ids, attention_mask = pad([windows[row] for row in rows], 0)
            feed = {"input_ids": input_ids, "attention_mask": attention_mask}
            logits[rows] = self._session.run(["logits"], feed)[0]
        return logits


def main(file: str, folder: str, threads: str, kind: str) -> None:
    def runtime() -> SessionRuntime | CpuRuntime:
        if kind == "session":
            return SessionRuntime(Path(file), int(threads))
        return CpuRuntime(Path(file), pad_token_id=0, precision="onnxruntime", threads=int(threads))

    serve(lambda: with_runtime(folder, runtime()))


if __name__ == "__main__":
    main(*sys.argv[1:])
