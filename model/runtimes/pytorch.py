"""The torch runtime: bf16 on an NVIDIA GPU; fp32 or bf16 on a CPU where somebody asks for it.

torch and transformers are imported when the runtime is made, so that nothing else needs them installed.
Needs the extra ``gpu``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from model.contract import Logits
from model.errors import MissingExtraError, ModelError
from model.folder import CONFIG_FILE, SAFETENSORS_FILE
from model.outputs import SIZES
from model.runtimes.beside import rows_beside, widen

if TYPE_CHECKING:
    import torch

PRECISIONS: Final = ("bf16", "fp16", "fp32")
DEVICES: Final = ("cuda", "cpu")

BF16_SINCE: Final = 8
"""The compute capability that brought matrix products in bf16."""

Layout = Literal["auto", "packed", "padded"]


def cuda_is_available() -> bool:
    """Whether torch is installed and sees a GPU."""
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()


def precision_of(device: str) -> str:
    """The half precision that a device multiplies fast: bf16, or fp16 on a GPU before compute capability 8.0.

    bf16 is the first choice because its range is fp32's, which no weights leave. Raises ``ModelError`` for a
    device that is not there.
    """
    try:
        import torch
    except ImportError:
        return "bf16"
    place = _device(device)
    is_old = place.type == "cuda" and torch.cuda.get_device_capability(place)[0] < BF16_SINCE
    return "fp16" if is_old else "bf16"


class TorchRuntime:
    """A Hugging Face sequence classifier in torch, on ``device`` ("cuda", "cuda:1", "cpu").

    ``outputs`` is how many logits a window has: those of its labels, and those beside them.
    ``layout`` says how windows of different lengths are laid out: "packed" end to end, without padding (on a
    GPU in CUDA graphs), "padded" to rectangles, "auto" packed where network and device can do it.
    """

    def __init__(
        self, folder: Path, *, device: str, precision: str, pad_token_id: int, layout: Layout = "auto"
    ) -> None:
        try:
            import torch
            import transformers  # noqa: F401 - fail here, with the name of the extra, and not further down
        except ImportError as error:
            raise MissingExtraError(f"torch, which precision {precision} needs,", "gpu") from error
        self.device = device
        self.precision = precision
        place = _device(device)
        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[precision]
        network = load_network(folder)
        rows = rows_beside(folder / SAFETENSORS_FILE)
        self.outputs = int(network.config.num_labels) + sum(SIZES[name] for name in rows)
        try:
            packed = None if layout == "padded" else _packed(network, place, dtype)
            if packed is None and layout == "packed":
                raise ModelError(
                    f"{folder} cannot be packed on {device} in {precision}: use the padded layout"
                )
            self._runner = packed or _padded(network, place, dtype, pad_token_id, self.outputs)
        except torch.OutOfMemoryError as error:
            raise ModelError(
                f"{device} has too little free memory for {folder}: run fewer workers on it, or name another"
            ) from error
        self.layout: Layout = "padded" if packed is None else "packed"

    def forward(self, windows: Sequence[Sequence[int]]) -> Logits:
        """Logits, shape (windows, labels), in the order given."""
        return self._runner.forward(windows)


class _Runner(Protocol):
    def forward(self, windows: Sequence[Sequence[int]]) -> Logits: ...


def _padded(
    network: Any, device: torch.device, dtype: torch.dtype, pad_token_id: int, outputs: int
) -> _Runner:
    from model.runtimes.eager import PaddedRunner

    moved = network.to(device=device, dtype=dtype)
    return PaddedRunner(moved, device=device, pad_token_id=pad_token_id, outputs=outputs)


def _packed(network: Any, device: torch.device, dtype: torch.dtype) -> _Runner | None:
    """The network without padding; None if it is no DistilBERT, or the GPU has no kernel for it."""
    from model.runtimes.distilbert import (
        PackedDistilBert,
        attention_by_length,
        can_be_packed,
        varlen_attention,
    )
    from model.runtimes.eager import PackedRunner

    if not can_be_packed(network):
        return None
    if device.type == "cpu":
        return PackedRunner(
            PackedDistilBert(network, device=device, dtype=dtype, attention=attention_by_length)
        )
    config = network.config
    attention = varlen_attention(device, dtype, config.n_heads, config.dim // config.n_heads)
    if attention is None:
        return None
    from model.runtimes.graphs import GraphRunner

    return GraphRunner(PackedDistilBert(network, device=device, dtype=dtype, attention=attention))


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
    if device.type not in DEVICES:
        raise ModelError(f"device {name!r} is not supported: use auto, cpu, cuda or cuda:N")
    return device


def load_network(folder: Path) -> Any:
    """The network in fp32 and evaluation mode; safetensors only, and with no weight missing."""
    from transformers import AutoModelForSequenceClassification

    try:
        with _quietly():
            network, report = AutoModelForSequenceClassification.from_pretrained(
                str(folder),
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                dtype="float32",
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # told below, where its own error names none of them
            )
    except Exception as error:  # safetensors, transformers and torch each raise their own
        first_line = str(error).strip().splitlines()[0]
        raise ModelError(f"{folder} cannot be loaded, copy it again ({first_line})") from error
    if missing := sorted(report["missing_keys"]):
        raise ModelError(f"{folder} lacks weights ({missing[0]}): name a fine-tuned classifier")
    if mismatched := sorted(report["mismatched_keys"]):
        name, found, expected = mismatched[0]
        raise ModelError(
            f"{folder / SAFETENSORS_FILE}: {name} has the shape {tuple(found)}, and {tuple(expected)} by "
            f"{CONFIG_FILE}, so they are not of one model: copy the whole folder again"
        )
    widen(network, rows_beside(folder / SAFETENSORS_FILE))
    return network.eval()


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what transformers shows of every load: a bar, and a table of weights it has no use for.

    Ours for distress and presence are among those; what is missing or has another shape is told by errors.
    """
    from transformers.utils import logging

    bar, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()
