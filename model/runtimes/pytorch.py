"""The torch runtime: bf16 on an NVIDIA GPU; fp32 or bf16 on a CPU where somebody asks for it.

torch and transformers are imported when the runtime is made, so that nothing else needs them installed.
Needs the extra ``gpu``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from model.contract import Logits
from model.errors import MissingExtraError, ModelError
from model.folder import SAFETENSORS_FILE
from model.runtimes.distress import distress_row, widen
from model.runtimes.padding import chunks, pad

if TYPE_CHECKING:
    import torch

PRECISIONS: Final = ("bf16", "fp16", "fp32")

# On a GPU a batch must be wide to fill it, and 64k tokens of a 768-wide encoder stay under 2 GB. On a CPU
# wide batches gain nothing and padding costs.
MAX_BATCH_TOKENS: Final = {"cuda": 65_536, "cpu": 512}

# Lengths are rounded up to a few values: tensor cores work in eights, and the allocator meets the same
# shapes again and again.
LENGTH_MULTIPLE: Final = {"cuda": 8, "cpu": 1}


def cuda_is_available() -> bool:
    """Whether torch is installed and sees a GPU."""
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()


class TorchRuntime:
    """A Hugging Face sequence classifier in torch, on ``device`` ("cuda", "cuda:1", "cpu")."""

    def __init__(self, folder: Path, *, device: str, precision: str, pad_token_id: int) -> None:
        try:
            import torch
            import transformers  # noqa: F401 - fail here, with the name of the extra, and not further down
        except ImportError as error:
            raise MissingExtraError(f"torch, which precision {precision} needs,", "gpu") from error
        self.device = device
        self.precision = precision
        self._pad_token_id = pad_token_id
        self._device = _device(device)
        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[precision]
        self._network = _load(folder).to(device=self._device, dtype=dtype)
        has_distress = distress_row(folder / SAFETENSORS_FILE) is not None
        self._outputs = int(self._network.config.num_labels) + has_distress

    def forward(self, windows: Sequence[Sequence[int]]) -> Logits:
        """Logits, shape (windows, labels), in the order given; chunked by length.

        Batches are queued on the GPU one after the other, the next padded while one runs; the logits come
        back in one copy, which is the only wait.
        """
        import torch

        kind = self._device.type
        batches = chunks([len(w) for w in windows], MAX_BATCH_TOKENS[kind], LENGTH_MULTIPLE[kind])
        if not batches:
            return np.empty((0, self._outputs), dtype=np.float32)
        with torch.inference_mode():
            parts = [self._run([windows[row] for row in rows]) for rows in batches]
            gathered = torch.cat(parts).float().cpu().numpy()
        logits = np.empty_like(gathered)
        logits[np.concatenate(batches)] = gathered
        return logits

    def _run(self, windows: Sequence[Sequence[int]]) -> torch.Tensor:
        """Logits of one padded batch, on the device; does not wait for them."""
        input_ids, attention_mask = pad(windows, self._pad_token_id, LENGTH_MULTIPLE[self._device.type])
        # Without a mask, attention takes its fastest kernel.
        mask = None if attention_mask.all() else self._moved(attention_mask)
        logits: torch.Tensor = self._network(input_ids=self._moved(input_ids), attention_mask=mask).logits
        return logits

    def _moved(self, array: np.ndarray[Any, Any]) -> torch.Tensor:
        import torch

        tensor = torch.from_numpy(array)
        if self._device.type == "cuda":
            return tensor.pin_memory().to(self._device, non_blocking=True)
        return tensor


def _device(name: str) -> torch.device:
    import torch

    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(f"device {name!r} is unknown: use auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ModelError(
            f"device {name} is not there: torch {torch.__version__} sees {torch.cuda.device_count()} GPUs; "
            "use device cpu, or install a CUDA build of torch and its driver"
        )
    if device.type not in MAX_BATCH_TOKENS:
        raise ModelError(f"device {name!r} is not supported: use auto, cpu, cuda or cuda:N")
    return device


def _load(folder: Path) -> Any:
    """The network in fp32 and evaluation mode; safetensors only, and with no weight missing."""
    from transformers import AutoModelForSequenceClassification

    try:
        with _no_progress_bar():
            network, report = AutoModelForSequenceClassification.from_pretrained(
                str(folder),
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                dtype="float32",
                output_loading_info=True,
            )
    except Exception as error:  # safetensors, transformers and torch each raise their own
        first_line = str(error).strip().splitlines()[0]
        raise ModelError(f"{folder} cannot be loaded, copy it again ({first_line})") from error
    if missing := sorted(report["missing_keys"]):
        raise ModelError(f"{folder} lacks weights ({missing[0]}): name a fine-tuned classifier")
    if row := distress_row(folder / SAFETENSORS_FILE):
        widen(network, row)
    return network.eval()


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """transformers shows a bar for every load; a service has no terminal to show it on."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
