"""The network alone, on windows that are tokenized already: layouts, precisions and budgets."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import torch

from benchmarks.gpu.measuring import kept, rates, report, rounds, texts, turn
from model.contract import Logits
from model.decide import DecisionRule
from model.folder import WEIGHTS, ModelFolder
from model.runtimes.distilbert import PackedDistilBert, attention_by_length, varlen_attention
from model.runtimes.eager import PackedRunner, PaddedRunner
from model.runtimes.graphs import TOKENS_A_WINDOW, GraphRunner
from model.runtimes.packing import SHORT, Budget, Pack, packs
from model.runtimes.pytorch import load_network
from model.tokenizer import Tokenizer

COMPARED: Final = 8_192
"""Windows whose logits are held against fp32."""

BUDGETS: Final = (1_024, 2_048, 4_096, 8_192, 16_384, 32_768)
DTYPES: Final = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}

Windows = Sequence[Sequence[int]]


class Subject:
    """The shipped weights, windows to run them on, and the labels that logits stand for."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.device = torch.device(arguments.device)
        self.round_s: float = arguments.round
        self.folder = ModelFolder.open(WEIGHTS)
        tokenizer = Tokenizer.load(WEIGHTS, max_tokens=self.folder.max_tokens, overlap_tokens=32)
        encoded = tokenizer.encode(texts(arguments.texts))
        self.windows: Windows = [window for text in encoded for window in text.windows]
        self._rule = DecisionRule(self.folder.calibration, self.folder.columns)

    def labels(self, logits: Logits) -> np.ndarray[Any, Any]:
        return self._rule.choose(self._rule.probabilities(logits))

    def padded(self, precision: str) -> PaddedRunner:
        network = load_network(WEIGHTS).to(device=self.device, dtype=DTYPES[precision])
        outputs = network.classifier.out_features
        return PaddedRunner(network, device=self.device, pad_token_id=0, outputs=outputs)

    def packed(self, precision: str) -> PackedDistilBert:
        network, dtype = load_network(WEIGHTS), DTYPES[precision]
        config = network.config
        attention = attention_by_length
        if self.device.type == "cuda":
            kernel = varlen_attention(self.device, dtype, config.n_heads, config.dim // config.n_heads)
            if kernel is None:
                raise RuntimeError("this torch or this GPU has no attention for windows of different lengths")
            attention = kernel
        return PackedDistilBert(network, device=self.device, dtype=dtype, attention=attention)

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def peak_mb(self) -> float | None:
        return round(torch.cuda.max_memory_allocated() / 2**20) if self.device.type == "cuda" else None


def main(arguments: argparse.Namespace) -> None:
    subject = Subject(arguments)
    exact = subject.padded("fp32")
    few = subject.windows[:COMPARED]
    reference = exact.forward(few)
    runners: dict[str, Callable[[], Any]] = {
        "packed bf16 graphs, default budgets": lambda: GraphRunner(subject.packed("bf16")),
        "packed bf16 eager": lambda: PackedRunner(subject.packed("bf16"), 16_384),
        "padded bf16": lambda: subject.padded("bf16"),
        "padded fp32": lambda: exact,
        "packed fp16 graphs, default budgets": lambda: GraphRunner(subject.packed("fp16")),
        "padded fp16": lambda: subject.padded("fp16"),
    }
    for tokens in BUDGETS:
        name = f"packed bf16 graph of {tokens} tokens"
        runners[name] = lambda tokens=tokens: GraphRunner(subject.packed("bf16"), [tokens])
    seconds = turn()
    end = time.monotonic() + seconds
    with kept("device"):
        report(device=_device(subject))
    with kept("kernels"):
        report(kernels=_kernels(subject))
    for name, make in runners.items():
        if time.monotonic() > end - 1:
            report(**{name: "no time left"})
            continue
        with kept(name):
            if subject.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            runner = make()
            measured = _compared(subject, runner.forward(few), reference)
            taken = rounds(lambda: runner.forward(subject.windows), subject.round_s, subject.synchronize)  # noqa: B023
            report(**{name: rates(len(subject.windows), taken) | measured | {"peak_mb": subject.peak_mb()}})
            if isinstance(runner, GraphRunner):
                report(**{f"{name}, the GPU alone": _replays(runner, subject)})
            if "default budgets" in name:
                with kept(f"{name}, other neighbours"):
                    report(**{f"{name}, other neighbours": _neighbours(runner, subject)})


def _device(subject: Subject) -> dict[str, Any]:
    if subject.device.type != "cuda":
        return {"name": "cpu"}
    properties = torch.cuda.get_device_properties(0)
    lengths = [len(window) for window in subject.windows]
    return {
        "name": properties.name,
        "memory_mb": properties.total_memory >> 20,
        "multiprocessors": properties.multi_processor_count,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "windows": len(lengths),
        "tokens_mean": round(statistics.mean(lengths), 2),
        "tokens_longest": max(lengths),
    }


def _compared(subject: Subject, logits: Logits, reference: Logits) -> dict[str, Any]:
    """Against fp32: how often the label is the same, and how far logits move."""
    same = subject.labels(logits) == subject.labels(reference)
    moved = np.abs(logits - reference)
    return {
        "same_label": round(float(same.mean()), 5),
        "logits_moved_most": round(float(moved.max()), 4),
        "logits_moved_mean": round(float(moved.mean()), 5),
    }


def _neighbours(runner: GraphRunner, subject: Subject) -> dict[str, Any]:
    """The same windows in another order, and alone: are the logits the same to the last bit?"""
    few = subject.windows[:COMPARED]
    logits = runner.forward(few)
    order = np.random.default_rng(5).permutation(len(few))
    shuffled = np.empty_like(logits)
    shuffled[order] = runner.forward([few[row] for row in order.tolist()])
    alone = np.concatenate([runner.forward([window]) for window in few[:500]])
    again = runner.forward(few)
    return {
        "again_most": float(np.abs(again - logits).max()),
        "shuffled_most": float(np.abs(shuffled - logits).max()),
        "shuffled_same_label": float((subject.labels(shuffled) == subject.labels(logits)).mean()),
        "alone_most": float(np.abs(alone - logits[:500]).max()),
        "alone_same_label": float((subject.labels(alone) == subject.labels(logits[:500])).mean()),
    }


def _replays(runner: GraphRunner, subject: Subject) -> dict[str, Any]:
    """Milliseconds of one replay and of the copies round it, packs as full as they come."""
    found: dict[str, Any] = {}
    for graph in runner.graphs:
        budget = graph.budget
        if graph.longest > SHORT:
            continue
        pack = next(packs(subject.windows, budget.tokens, budget.windows))
        began = time.perf_counter()
        for _ in range(20):
            next(packs(subject.windows[: pack.windows], budget.tokens, budget.windows))
        packing_s = (time.perf_counter() - began) / 20
        host = torch.zeros(sum(budget.parts), dtype=torch.int32, pin_memory=True)
        budget.lay_out(pack, host.numpy())
        with torch.inference_mode():
            copy_ms = _timed(lambda: graph.room.copy_(host, non_blocking=True))  # noqa: B023
            replay_ms = _timed(graph.replay)
            back = torch.empty(graph.logits.shape, pin_memory=True)
            back_ms = _timed(lambda: back.copy_(graph.logits, non_blocking=True))  # noqa: B023
        found[str(budget.tokens)] = {
            "windows": pack.windows,
            "tokens_used": pack.tokens,
            "packing_us": round(packing_s * 1e6, 1),
            "copy_us": round(copy_ms * 1e3, 1),
            "replay_us": round(replay_ms * 1e3, 1),
            "copy_back_us": round(back_ms * 1e3, 1),
            "messages_per_s_of_replays": round(pack.windows / replay_ms * 1e3),
        }
    return found


def _timed(run: Callable[[], object], times: int = 50) -> float:
    """Milliseconds on the GPU, by its own events."""
    for _ in range(5):
        run()
    before, after = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    before.record()
    for _ in range(times):
        run()
    after.record()
    torch.cuda.synchronize()
    return float(before.elapsed_time(after)) / times


def _kernels(subject: Subject) -> dict[str, str]:
    """Which kernels for windows of different lengths there are, whichever is used."""
    heads, width = 12, 32
    tokens = torch.randn(300, 3, heads, width, device=subject.device, dtype=torch.bfloat16)
    query, key, value = tokens.unbind(1)
    starts = torch.tensor([0, 7, 7, 150, 290, 290], dtype=torch.int32, device=subject.device)
    expected = attention_by_length(query, key, value, starts, 143)[:290].float()

    def varlen() -> torch.Tensor:
        from torch.nn.attention.varlen import varlen_attn

        result = varlen_attn(query, key, value, starts, starts, 256, 256)
        return result if isinstance(result, torch.Tensor) else result[0]

    def aten() -> torch.Tensor:
        forward = torch.ops.aten._flash_attention_forward
        return forward(query, key, value, starts, starts, 256, 256, 0.0, False, False)[0]

    def nested() -> torch.Tensor:
        borders = torch.tensor([0, 7, 150, 290], device=subject.device)
        parts = [
            torch.nested.nested_tensor_from_jagged(part[:290], borders).transpose(1, 2)
            for part in (query, key, value)
        ]
        attended = torch.nn.functional.scaled_dot_product_attention(*parts)
        return attended.transpose(1, 2).values()

    found = {}
    for run in (varlen, aten, nested):
        try:
            off = float((run()[:290].float() - expected).abs().max())
            found[run.__name__] = f"works, {off:.4f} off at most"
        except Exception as error:
            found[run.__name__] = f"{type(error).__name__}: {str(error)[:300]}"
    return found


def _first_pack(subject: Subject, tokens: int) -> tuple[Pack, Budget, torch.Tensor]:
    budget = Budget(tokens, tokens // TOKENS_A_WINDOW)
    pack = next(packs(subject.windows, budget.tokens, budget.windows))
    room = np.zeros(sum(budget.parts), dtype=np.int32)
    budget.lay_out(pack, room)
    return pack, budget, torch.from_numpy(room).to(subject.device)


def profiled(arguments: argparse.Namespace) -> None:
    """Where a packed forward pass spends the GPU's time: ten kernels, the most expensive first."""
    arguments.texts = min(arguments.texts, 8_000)
    subject = Subject(arguments)
    network = subject.packed("bf16")
    activities = [torch.profiler.ProfilerActivity.CPU]
    if subject.device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    turn()
    for tokens in (16_384, 4_096):
        pack, budget, room = _first_pack(subject, tokens)
        parts = torch.split(room, list(budget.parts))
        with torch.inference_mode():
            for _ in range(3):
                network.forward(*parts, SHORT)
            subject.synchronize()
            with torch.profiler.profile(activities=activities) as profile:
                for _ in range(5):
                    network.forward(*parts, SHORT)
                subject.synchronize()
        events = [(event.key, _device_us(event), event.count) for event in profile.key_averages()]
        events = sorted((event for event in events if event[1] > 0), key=lambda event: -event[1])
        report(
            **{
                f"{tokens} tokens": {
                    "windows": pack.windows,
                    "kernels_us_a_pass": round(sum(us for _, us, _ in events) / 5, 1),
                    "top": [
                        {"kernel": key[:120], "us_a_pass": round(us / 5, 1), "calls_a_pass": count / 5}
                        for key, us, count in events[:14]
                    ],
                }
            }
        )


def _device_us(event: Any) -> float:
    """Of kernels alone: operators carry the time of what they start as well."""
    if "CUDA" not in str(getattr(event, "device_type", "")):
        return 0.0
    return float(getattr(event, "self_device_time_total", 0.0) or getattr(event, "self_cuda_time_total", 0.0))


def compiled(arguments: argparse.Namespace) -> None:
    """The same forward pass fused by torch's compiler, in a graph: what is there to be had beyond graphs?"""
    arguments.texts = min(arguments.texts, 8_000)
    subject = Subject(arguments)
    network = subject.packed("bf16")
    tokens = 16_384
    pack, budget, room = _first_pack(subject, tokens)
    parts = torch.split(room, list(budget.parts))
    seconds = turn()
    began = time.monotonic()
    fused = torch.compile(network.forward, dynamic=False)
    with torch.inference_mode():
        for _ in range(2):
            fused(*parts, SHORT)
        subject.synchronize()
        report(compiled_s=round(time.monotonic() - began, 1))
        stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            fused(*parts, SHORT)
            stream.synchronize()
            with torch.cuda.graph(graph, stream=stream):
                fused(*parts, SHORT)
            replay_ms = _timed(graph.replay)
    report(
        tokens=tokens,
        windows=pack.windows,
        replay_us=round(replay_ms * 1e3, 1),
        messages_per_s_of_replays=round(pack.windows / replay_ms * 1e3),
        seconds=seconds,
    )
