"""Packed batches on an NVIDIA GPU: one captured CUDA graph a budget of tokens, replayed for every pack.

A forward pass of a small model is some eighty kernels of a few microseconds each, which Python cannot start
as fast as the GPU ends them. A graph starts them all at once, but only for shapes that never change. So there
is one for each budget: room for that many tokens and windows, of which a pack fills the first part. What lies
behind the last window belongs to none (see ``PackedDistilBert.forward``).

Packs go to the GPU and their logits come back through lanes of pinned memory, so that the next pack is laid
out while the GPU works on the last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch

from model.contract import Logits
from model.runtimes.distilbert import PackedDistilBert
from model.runtimes.packing import SHORT, Budget, Pack, packs

BUDGETS: Final = (1_024, 4_096, 16_384)
"""Tokens of the graphs."""

TOKENS_A_WINDOW: Final = 16
"""A graph has room for one window for so many of its tokens: short messages are around twenty."""

LANES: Final = 3
"""Packs under way at a time: one on the GPU, one waiting for it, one being laid out or read."""


class Graph:
    """The captured forward pass over the room of one budget, for windows of at most ``longest`` tokens."""

    def __init__(
        self, network: PackedDistilBert, budget: Budget, longest: int, stream: torch.cuda.Stream, pool: Any
    ) -> None:
        self.budget, self.longest = budget, longest
        self.room = torch.zeros(sum(budget.parts), dtype=torch.int32, device=network.device)
        input_ids, positions, starts = torch.split(self.room, list(budget.parts))
        # Libraries make their plans and set memory aside in the first runs, which a capture must not see.
        for _ in range(2):
            network.forward(input_ids, positions, starts, longest)
        stream.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        # Other threads may use the GPU meanwhile: a model is exchanged while the old one works.
        with torch.cuda.graph(self._graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
            self.logits = network.forward(input_ids, positions, starts, longest)

    def replay(self) -> None:
        """Queue it on the current stream, over what ``room`` holds then; the result is in ``logits``."""
        self._graph.replay()


class _Lane:
    """Pinned memory for one pack, large enough for the largest budget."""

    def __init__(self, largest: Budget, outputs: int) -> None:
        self._room = torch.zeros(sum(largest.parts), dtype=torch.int32, pin_memory=True)
        self._logits = torch.empty((largest.windows, outputs), dtype=torch.float32, pin_memory=True)
        self._done: Any = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        self._rows = np.empty(0, dtype=np.intp)

    def start(self, pack: Pack, graph: Graph) -> None:
        """Queue copy, forward pass and copy back on the current stream."""
        self._done.synchronize()  # at once, unless a forward pass was broken off
        room = self._room[: len(graph.room)]
        graph.budget.lay_out(pack, room.numpy())
        graph.room.copy_(room, non_blocking=True)
        graph.replay()
        self._logits[: graph.budget.windows].copy_(graph.logits, non_blocking=True)
        self._done.record()
        self._rows = pack.rows

    def collect(self, logits: Logits) -> None:
        """Wait for the pack that was started, and write its logits into their rows."""
        self._done.synchronize()
        logits[self._rows] = self._logits[: len(self._rows)].numpy()


class GraphRunner:
    """A packed network behind its graphs. One thread at a time."""

    def __init__(self, network: PackedDistilBert, budgets: Sequence[int] = BUDGETS) -> None:
        self._network = network
        with torch.cuda.device(network.device):
            self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            self._stream.wait_stream(torch.cuda.current_stream())  # the weights are on their way there
            self._graphs = self._captured(sorted(budgets))
            self._largest = self._graphs[0][-1].budget
            self._free = deque(_Lane(self._largest, network.outputs) for _ in range(LANES))

    def _captured(self, budgets: Sequence[int]) -> list[list[Graph]]:
        """For short windows and for those of any length, the graphs from small to large."""
        pool = torch.cuda.graph_pool_handle()  # one for all: they run one after the other

        def graph(tokens: int, longest: int) -> Graph:
            budget = Budget(tokens, tokens // TOKENS_A_WINDOW)
            return Graph(self._network, budget, longest, self._stream, pool)

        with torch.inference_mode(), torch.cuda.stream(self._stream):
            return [
                # The largest is captured first: the others fit in the memory that it takes.
                [graph(tokens, longest) for tokens in reversed(budgets)][::-1]
                for longest in (min(SHORT, self._network.longest), self._network.longest)
            ]

    @property
    def graphs(self) -> list[Graph]:
        """All that were captured."""
        return [graph for graphs in self._graphs for graph in graphs]

    def forward(self, windows: Sequence[Sequence[int]]) -> Logits:
        """Logits (windows, outputs), in the order given."""
        logits = np.empty((len(windows), self._network.outputs), dtype=np.float32)
        under_way: deque[_Lane] = deque()
        device = torch.cuda.device(self._network.device)
        with device, torch.cuda.stream(self._stream), torch.inference_mode():
            try:
                for pack in packs(windows, self._largest.tokens, self._largest.windows):
                    if not self._free:
                        self._take(under_way, logits)
                    under_way.append(self._free.popleft())
                    under_way[-1].start(pack, self._graph_for(pack))
                while under_way:
                    self._take(under_way, logits)
            finally:
                self._free.extend(under_way)
        return logits

    def _take(self, under_way: deque[_Lane], logits: Logits) -> None:
        lane = under_way.popleft()
        self._free.append(lane)
        lane.collect(logits)

    def _graph_for(self, pack: Pack) -> Graph:
        """The smallest that has room."""
        graphs = next(graphs for graphs in self._graphs if pack.longest <= graphs[0].longest)
        return next(graph for graph in graphs if graph.budget.holds(pack))
