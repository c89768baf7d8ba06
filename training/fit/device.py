"""What to train on, and in which precision."""

import contextlib
import re
from dataclasses import dataclass
from typing import Any, Final

from training.errors import TrainingError

PRECISIONS: Final = ("auto", "bf16", "fp32")


@dataclass(frozen=True, slots=True)
class Device:
    """What to train on: torch's name of it, and whether products are computed in bfloat16."""

    name: str
    bf16: bool

    @classmethod
    def named(cls, name: str, precision: str = "auto") -> "Device":
        """``name`` is "auto", "cpu", "cuda" or "cuda:N"; bf16 by default where the hardware has it.

        Raises ``TrainingError`` for what is not there.
        """
        import torch

        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        if name.startswith("cuda") and not torch.cuda.is_available():
            raise TrainingError("no CUDA device is visible to torch: use --device cpu")
        if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
            raise TrainingError(f"device {name!r} is unknown: use auto, cpu, cuda or cuda:N")
        if name.startswith("cuda:") and int(name[5:]) >= torch.cuda.device_count():
            raise TrainingError(f"device {name} is not there: torch sees {torch.cuda.device_count()} GPUs")
        if precision not in PRECISIONS:
            raise TrainingError(f"precision {precision!r} is unknown: use {', '.join(PRECISIONS)}")
        if precision != "auto":
            return cls(name, precision == "bf16")
        if name == "cpu":
            # The question has no public form for CPUs; torch's own compiler asks it this way.
            return cls(name, bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()))
        return cls(name, torch.cuda.is_bf16_supported())

    @property
    def precision(self) -> str:
        """The classifier's name of the precision."""
        return "bf16" if self.bf16 else "fp32"

    @property
    def is_cuda(self) -> bool:
        """Whether it is a GPU of CUDA's."""
        return self.name.startswith("cuda")

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The context in which a forward pass runs."""
        import torch

        return torch.autocast(self.name.split(":")[0], torch.bfloat16, enabled=self.bf16)
