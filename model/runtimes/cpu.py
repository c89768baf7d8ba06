"""The CPU runtime: onnxruntime, without torch.

It runs any ONNX file of this shape:

    input_ids       int64    (batch, sequence)   both dimensions dynamic
    attention_mask  int64    (batch, sequence)   1 for a token, 0 for padding
    logits          float32  (batch, labels)     labels in the order of config.json's id2label

An int8 file must not take the ranges of its inputs from the batch (``DynamicQuantizeLinear``: from its widest
value): a text's logits would depend on the texts beside it, and the same message, read again after a crash,
might get another label. The shipped file takes them by token; see ``training.ship.int8``.

If the file's metadata holds ``revision``, it must be that of the folder's ``model.safetensors``: so nobody
labels with the quantised form of yesterday's weights.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime

from model.contract import Logits
from model.errors import ModelError
from model.runtimes.padding import cheapest, even_share, pad
from model.runtimes.threads import usable_cores

# Small batches of nearly equal length: wide ones gain a CPU nothing, fall out of its cache and are padded
# more. Some ten short texts are enough to keep the matrix units fed.
MAX_BATCH_TOKENS: Final = 384

# What a pass costs whatever is in it, as a number of tokens. The faster a processor multiplies, the more:
# 1.3 ms against 0.51 ms a token on an AMD EPYC (Zen 1), 2.3 against 0.095 on an Intel Xeon (Cascade Lake),
# with the shipped int8 file. Taken for too little, it costs passes; for too much, padding.
BATCH_COST_TOKENS: Final = 10

INPUTS: Final = ("input_ids", "attention_mask")
OUTPUT: Final = "logits"


class CpuRuntime:
    """An ONNX file in an onnxruntime session on the CPU. ``outputs`` is how many logits a window has.

    ``threads`` is how many batches of a forward pass run at a time, each on a thread of its own; 0 is one a
    core that the process may use. Threads that share a product wait for each other some hundred times a
    pass, and products of 256 tokens are too small for many of them.
    """

    device = "cpu"

    def __init__(
        self, file: Path, *, pad_token_id: int, precision: str, threads: int = 0, revision: str | None = None
    ) -> None:
        self.precision = precision
        self._pad_token_id = pad_token_id
        self._session = _open(file)
        _check(file, self._session, revision)
        self.outputs = self._counted_outputs(file)
        self._threads = threads or usable_cores()
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="onnxruntime")

    def forward(self, windows: Sequence[Sequence[int]]) -> Logits:
        """Logits, shape (windows, labels), in the order given; chunked by length."""
        logits = np.empty((len(windows), self.outputs), dtype=np.float32)
        lengths = [len(window) for window in windows]
        share = even_share(sum(lengths), self._threads, MAX_BATCH_TOKENS)
        batches = cheapest(lengths, share, BATCH_COST_TOKENS)
        parts = self._pool.map if min(self._threads, len(batches)) > 1 else map
        for rows, part in zip(batches, parts(partial(self._run, windows), batches), strict=True):
            logits[rows] = part
        return logits

    def _counted_outputs(self, file: Path) -> int:
        """Logits of a window: what the file says, or a pass of two tokens where it leaves that open.

        Raises ``ModelError`` where that is no row a window.
        """
        shape = self._session.get_outputs()[0].shape
        if len(shape) != 2 or not isinstance(shape[1], int):
            try:
                shape = self._run([[self._pad_token_id] * 2], [0]).shape
            except Exception as error:  # onnxruntime's own, as in ``_open``
                first_line = str(error).strip().partition("\n")[0]
                raise ModelError(f"{file} cannot be run, export it again ({first_line})") from error
        if len(shape) != 2:
            raise ModelError(
                f"{file} gives logits of {len(shape)} dimensions: export one row of them a window"
            )
        return int(shape[1])

    def _run(self, windows: Sequence[Sequence[int]], rows: Sequence[int]) -> Logits:
        """Logits of one padded batch; several run at a time."""
        input_ids, attention_mask = pad([windows[row] for row in rows], self._pad_token_id)
        feed = {"input_ids": input_ids, "attention_mask": attention_mask}
        logits: Logits = self._session.run([OUTPUT], feed)[0]
        return logits


def _open(file: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # errors only: they come back as exceptions
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own classes have no common base but Exception
        first_line = str(error).strip().splitlines()[0]
        raise ModelError(f"{file} cannot be opened, copy or export it again ({first_line})") from error


def _check(file: Path, session: Any, revision: str | None) -> None:
    names = tuple(node.name for node in session.get_inputs())
    outputs = [node.name for node in session.get_outputs()]
    if set(names) != set(INPUTS) or outputs != [OUTPUT]:
        raise ModelError(f"{file} maps {names} to {outputs}; export it with {INPUTS} to ['{OUTPUT}']")
    made_from = session.get_modelmeta().custom_metadata_map.get("revision")
    if revision is not None and made_from is not None and made_from != revision:
        raise ModelError(f"{file} was made from weights {made_from}, not from {revision}: export it again")
