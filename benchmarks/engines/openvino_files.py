"""An ONNX file in OpenVINO, several requests at a time.

python -m benchmarks.engines.openvino_files FILE MODEL_FOLDER THREADS
"""

import sys
from collections.abc import Sequence

import numpy as np
import openvino

from benchmarks.engines.runtime import BATCH_TOKENS, with_runtime
from model.contract import Logits
from model.runtimes.padding import chunks, pad
from stream.bench.process import serve


class OpenVinoRuntime:
    device, precision = "cpu", "openvino"

    def __init__(self, file: str, threads: int) -> None:
        options = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "THROUGHPUT"}
        self._compiled = openvino.Core().compile_model(file, "CPU", options)
        self._queue = openvino.AsyncInferQueue(self._compiled)
        self._labels = self._compiled.output(0).partial_shape[1].get_length()

    def forward(self, windows: Sequence[Sequence[int]]) -> Logits:
        logits = np.empty((len(windows), self._labels), dtype=np.float32)

        def store(request: openvino.InferRequest, rows: list[int]) -> None:
            logits[rows] = request.get_output_tensor(0).data

        self._queue.set_callback(store)
        for rows in chunks([len(window) for window in windows], BATCH_TOKENS):
            input_ids, attention_mask = pad([windows[row] for row in rows], 0)
            self._queue.start_async({"input_ids": input_ids, "attention_mask": attention_mask}, rows)
        self._queue.wait_all()
        return logits


def main(file: str, folder: str, threads: str) -> None:
    serve(lambda: with_runtime(folder, OpenVinoRuntime(file, int(threads))))


if __name__ == "__main__":
    main(*sys.argv[1:])
