"""The emotion classifier: a model folder, its tokenizer, a runtime and its decision rule, put together.

    classifier = EmotionClassifier.load()
    classifier.classify(["I can't believe how beautiful this day is!"])[0].label

The stream calls the three steps ``tokenize``, ``forward`` and ``decide`` itself, so that it can work on
one batch while another is in inference; ``classify`` is all three for everybody else.
"""

import contextlib
import ctypes
import importlib.util
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from model.contract import Emotion, Encoded, Logits, ModelInfo
from model.decide import DecisionRule
from model.errors import ModelError
from model.folder import CONFIG_FILE, WEIGHTS, ModelFolder
from model.memory import REMEMBER, Memory, MemoryUse
from model.outputs import beside
from model.runtimes import Runtime
from model.tokenizer import Tokenizer

if TYPE_CHECKING:
    from model.runtimes.cpu import CpuRuntime
    from model.runtimes.pytorch import TorchRuntime

PRECISIONS: Final = ("auto", "int8", "bf16", "fp16", "fp32")

GPU_DRIVERS: Final = ("libcuda.so.1", "libamdhip64.so")

# How many texts at a time classify() takes through the three steps: it bounds memory, not speed.
CLASSIFY_TEXTS: Final = 4096


class EmotionClassifier:
    """A loaded emotion classifier; implements ``model.contract.Model``. Made by ``load``."""

    def __init__(
        self, folder: ModelFolder, tokenizer: Tokenizer, runtime: Runtime, *, remember: int = REMEMBER
    ) -> None:
        self._folder = folder
        self._tokenizer = tokenizer
        self._runtime = runtime
        self._memory = Memory(runtime, remember)
        self._rule = DecisionRule(folder.calibration, folder.columns)

    @classmethod
    def load(
        cls,
        path: str | Path | None = None,
        device: str = "auto",
        precision: str = "auto",
        *,
        threads: int = 0,
        remember: int = REMEMBER,
    ) -> Self:
        """Load a model folder; None for the weights that ship with the package.

        - ``device``: "cpu", "cuda", "cuda:N"; "auto" is a GPU if torch sees one, else the CPU.
        - ``precision``: "int8" (onnxruntime, CPU only), "bf16", "fp16", "fp32" (torch); "auto" is bf16 on a
          GPU (fp16 before compute capability 8.0), and on a CPU int8 if the folder has it, else fp32.
        - ``threads``: CPU threads of one forward pass with onnxruntime; 0 is one a core that
          the process may use (affinity, cgroup quota).

        - ``remember``: windows whose logits are kept, so that equal texts are computed once; see ``Memory``.

        Raises ``ModelError`` with one line that says what to do.
        """
        folder = ModelFolder.open(WEIGHTS if path is None else Path(path))
        runtime = _runtime(folder, device, precision, threads)
        limits = folder.calibration
        tokenizer = Tokenizer.load(
            folder.path,
            max_tokens=folder.max_tokens,
            overlap_tokens=min(limits.overlap_tokens, folder.max_tokens // 2),
        )
        if folder.vocabulary is not None and tokenizer.vocabulary > folder.vocabulary:
            raise ModelError(
                f"{folder.path}: its tokenizer has {tokenizer.vocabulary:,} tokens and its network "
                f"{folder.vocabulary:,}, so they are not of one model: copy the whole folder again"
            )
        return cls(folder, tokenizer, runtime, remember=remember)

    @property
    def columns(self) -> tuple[int, ...]:
        """The label of each logit, as an index into ``LABELS``; a logit beyond them is distress."""
        return self._rule.columns

    @property
    def info(self) -> ModelInfo:
        """Name, revision and languages of the weights, and what they run on."""
        return ModelInfo(
            name=self._folder.name,
            revision=self._folder.revision,
            languages=self._folder.calibration.measured_languages,
            device=self._runtime.device,
            precision=self._runtime.precision,
            verified=self._folder.verified,
        )

    @property
    def memory_use(self) -> MemoryUse:
        """How many windows were asked for, and how many of them needed no computing."""
        return self._memory.use

    @property
    def remembered(self) -> int:
        """Windows that needed no computing; see ``memory_use``."""
        return self._memory.use.known

    def classify(self, texts: Sequence[str]) -> list[Emotion]:
        """One ``Emotion`` a text, in order."""
        if isinstance(texts, str):  # a string is a sequence of strings too: its letters
            raise TypeError("classify takes a list of texts: classify([text])")
        parts = [texts[start : start + CLASSIFY_TEXTS] for start in range(0, len(texts), CLASSIFY_TEXTS)]
        emotions: list[Emotion] = []
        for batch in self._tokenized_ahead(parts):
            emotions += self.decide(batch, self.forward(batch))
        return emotions

    def _tokenized_ahead(self, parts: Sequence[Sequence[str]]) -> Iterator[list[Encoded]]:
        """Each part tokenized, the next one while the caller works on the last."""
        if len(parts) < 2:
            yield from map(self.tokenize, parts)
            return
        with ThreadPoolExecutor(1, "tokenizer") as ahead:
            coming = ahead.submit(self.tokenize, parts[0])
            for following in parts[1:]:
                batch = coming.result()
                coming = ahead.submit(self.tokenize, following)
                yield batch
            yield coming.result()

    def tokenize(self, texts: Sequence[str]) -> list[Encoded]:
        """Token ids of each text, several overlapping windows where it is long. Thread-safe."""
        return self._tokenizer.encode(texts)

    def forward(self, batch: Sequence[Encoded]) -> Logits:
        """Logits of every window of the batch, shape (windows, labels of the model). One thread at a time."""
        return self._memory.forward([window for encoded in batch for window in encoded.windows])

    def decide(self, batch: Sequence[Encoded], logits: Logits) -> list[Emotion]:
        """One decision a text, calibrated; see ``model.decide``. Thread-safe."""
        return self._rule.decide(batch, logits)

    def warm_up(self) -> None:
        """Run windows once: on a GPU of every length, since kernels are chosen and memory is set aside then.

        On a CPU the first batch of a length costs what the next one does, so one short window is enough.
        """
        lengths = (8,) if self._runtime.device == "cpu" else (8, 32, 128, self._folder.max_tokens)
        for tokens in lengths:
            self._runtime.forward([[self._folder.pad_token_id] * tokens] * 4)


def _runtime(folder: ModelFolder, device: str, precision: str, threads: int) -> Runtime:
    """The runtime for a device and a precision, "auto" resolved. Imports only what it uses."""
    if precision not in PRECISIONS:
        raise ModelError(f"precision {precision!r} is unknown: use {', '.join(PRECISIONS)}")
    if device == "auto":
        device = "cuda" if precision != "int8" and _gpu_can_be_used(folder) else "cpu"
    if precision == "auto":
        precision = _best_precision(folder, device)
    runtime = _onnx(folder, device, threads) if precision == "int8" else _torch(folder, device, precision)
    _check_outputs(folder, runtime.outputs)
    return runtime


def _check_outputs(folder: ModelFolder, outputs: int) -> None:
    """Refuse a network of other labels than its folder names: it would fail on the first text."""
    labels = len(folder.columns)
    try:
        beside(labels, outputs)
    except ModelError as error:
        raise ModelError(
            f"{folder.path / CONFIG_FILE} names {labels} labels and its network has {outputs} outputs, so "
            "they are not of one model: copy the whole folder again"
        ) from error


def _gpu_can_be_used(folder: ModelFolder) -> bool:
    """Whether torch sees a GPU; torch takes seconds to import, so that is asked last."""
    if folder.safetensors is None or importlib.util.find_spec("torch") is None or not has_gpu_driver():
        return False
    from model.runtimes.pytorch import cuda_is_available

    return cuda_is_available()


def has_gpu_driver() -> bool:
    """Whether the machine has NVIDIA's driver library, or AMD's, which torch calls "cuda" as well."""
    for library in GPU_DRIVERS:
        with contextlib.suppress(OSError):
            ctypes.CDLL(library)
            return True
    return False


def _best_precision(folder: ModelFolder, device: str) -> str:
    if device != "cpu":
        from model.runtimes.pytorch import precision_of

        return precision_of(device)
    return "int8" if folder.int8_onnx is not None else "fp32"


def _onnx(folder: ModelFolder, device: str, threads: int) -> "CpuRuntime":
    if device != "cpu":
        raise ModelError(f"precision int8 runs on the CPU only, not on {device}: use device cpu, or bf16")
    weights = folder.weights("int8")
    from model.runtimes.cpu import CpuRuntime

    return CpuRuntime(
        weights,
        pad_token_id=folder.pad_token_id,
        precision="int8",
        threads=threads,
        revision=folder.trained_revision,
    )


def _torch(folder: ModelFolder, device: str, precision: str) -> "TorchRuntime":
    folder.weights(precision)
    from model.runtimes.pytorch import TorchRuntime

    return TorchRuntime(folder.path, device=device, precision=precision, pad_token_id=folder.pad_token_id)
