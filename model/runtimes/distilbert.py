"""The forward pass of a DistilBERT classifier over windows that lie end to end, without padding.

Same weights, same arithmetic as ``transformers``' ``DistilBertForSequenceClassification``; only the layout
differs: tokens have shape (tokens, width) instead of (windows, longest, width). The classifier reads the
first token of each window; it is small, and runs in fp32 whatever the encoder runs in, so that logits are not
rounded to the 8 bits of a bf16 mantissa.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

Attention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, int], torch.Tensor]
"""Attention within windows: queries, keys and values (tokens, heads, head width), starts (windows + 1,) as
int32, and a bound on the length of a window; gives (tokens, heads, head width)."""


def attention_by_length(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, starts: torch.Tensor, longest: int
) -> torch.Tensor:
    """Attention for any device and precision: windows of one length at a time. Waits for ``starts``."""
    del longest
    result = torch.empty_like(query)
    lengths = starts.diff()
    for length in sorted(set(lengths.tolist()) - {0}):
        first = starts[:-1][lengths == length].long()
        rows = first[:, None] + torch.arange(length, device=first.device)  # (windows, length)
        attended = functional.scaled_dot_product_attention(
            query[rows].transpose(1, 2), key[rows].transpose(1, 2), value[rows].transpose(1, 2)
        )  # (windows, heads, length, head width)
        result[rows] = attended.transpose(1, 2)
    return result


def varlen_attention(device: torch.device, dtype: torch.dtype, heads: int, width: int) -> Attention | None:
    """torch's kernel for windows of different lengths; None where this torch or this GPU has none.

    Needs fp16 or bf16 and compute capability 8.0. Whether it works is tried, on three tokens.
    """
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None

    def attention(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, starts: torch.Tensor, longest: int
    ) -> torch.Tensor:
        result = varlen_attn(query, key, value, starts, starts, longest, longest)
        return result if isinstance(result, torch.Tensor) else result[0]

    tokens = torch.randn(3, heads, width, device=device, dtype=dtype)
    starts = torch.tensor([0, 1, 3], device=device, dtype=torch.int32)
    try:
        with torch.inference_mode():
            found = attention(tokens, tokens, tokens, starts, 2)
            expected = attention_by_length(tokens, tokens, tokens, starts, 2)
        if not torch.allclose(found.float(), expected.float(), atol=0.05):
            return None
    except (RuntimeError, NotImplementedError, TypeError):  # no such kernel here, or another signature
        return None
    return attention


@dataclass(frozen=True, slots=True)
class _Layer:
    """One block's weights; queries, keys and values in one matrix (3 x width, width)."""

    qkv: tuple[torch.Tensor, torch.Tensor]
    out: tuple[torch.Tensor, torch.Tensor]
    attention_norm: tuple[torch.Tensor, torch.Tensor]
    wide: tuple[torch.Tensor, torch.Tensor]
    narrow: tuple[torch.Tensor, torch.Tensor]
    output_norm: tuple[torch.Tensor, torch.Tensor]


class PackedDistilBert:
    """The weights of a ``DistilBertForSequenceClassification`` for packed tokens, on one device.

    The module given is not changed. ``dtype`` is what the encoder computes in.
    """

    def __init__(
        self, network: Any, *, device: torch.device, dtype: torch.dtype, attention: Attention
    ) -> None:
        config = network.config
        self.heads: int = config.n_heads
        self.width: int = config.dim
        self.longest: int = config.max_position_embeddings
        self.device = device
        self._attention = attention

        def moved(tensor: torch.Tensor, dtype: torch.dtype = dtype) -> torch.Tensor:
            return tensor.detach().to(device=device, dtype=dtype, copy=True)

        def both(module: Any, dtype: torch.dtype = dtype) -> tuple[torch.Tensor, torch.Tensor]:
            return moved(module.weight, dtype), moved(module.bias, dtype)

        embeddings = network.distilbert.embeddings
        self._words = moved(embeddings.word_embeddings.weight)
        self._positions = moved(embeddings.position_embeddings.weight)
        self._embedding_norm = both(embeddings.LayerNorm)
        self._epsilon: float = embeddings.LayerNorm.eps
        self._layers = [
            _Layer(
                qkv=_joined(
                    both(layer.attention.q_lin), both(layer.attention.k_lin), both(layer.attention.v_lin)
                ),
                out=both(layer.attention.out_lin),
                attention_norm=both(layer.sa_layer_norm),
                wide=both(layer.ffn.lin1),
                narrow=both(layer.ffn.lin2),
                output_norm=both(layer.output_layer_norm),
            )
            for layer in network.distilbert.transformer.layer
        ]
        self._pre_classifier = both(network.pre_classifier, torch.float32)
        self._classifier = both(network.classifier, torch.float32)
        self.outputs = len(self._classifier[1])

    def forward(
        self, input_ids: torch.Tensor, positions: torch.Tensor, starts: torch.Tensor, longest: int
    ) -> torch.Tensor:
        """Logits (windows, outputs) in fp32. Tokens behind the last start belong to no window and count
        for nothing; a window without tokens gives a row without meaning."""
        hidden = functional.embedding(input_ids, self._words) + functional.embedding(
            positions, self._positions
        )
        hidden = self._normed(hidden, self._embedding_norm)
        for layer in self._layers:
            hidden = self._through(layer, hidden, starts, longest)
        first = starts[:-1].clamp(max=len(input_ids) - 1)
        pooled = functional.linear(hidden.index_select(0, first).float(), *self._pre_classifier)
        return functional.linear(pooled.relu(), *self._classifier)

    def _through(
        self, layer: _Layer, hidden: torch.Tensor, starts: torch.Tensor, longest: int
    ) -> torch.Tensor:
        shape = (-1, 3, self.heads, self.width // self.heads)
        query, key, value = functional.linear(hidden, *layer.qkv).view(shape).unbind(1)
        attended = self._attention(query, key, value, starts, longest).reshape(-1, self.width)
        hidden = self._normed(functional.linear(attended, *layer.out) + hidden, layer.attention_norm)
        weight, bias = layer.wide
        wide = torch._addmm_activation(bias, hidden, weight.t(), use_gelu=True)
        return self._normed(functional.linear(wide, *layer.narrow) + hidden, layer.output_norm)

    def _normed(self, hidden: torch.Tensor, norm: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return functional.layer_norm(hidden, (self.width,), *norm, eps=self._epsilon)


def can_be_packed(network: Any) -> bool:
    """Whether a ``transformers`` module is of the one shape that ``PackedDistilBert`` knows."""
    from transformers import DistilBertForSequenceClassification

    return isinstance(network, DistilBertForSequenceClassification) and network.config.activation == "gelu"


def _joined(*parts: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    weights, biases = zip(*parts, strict=True)
    return torch.cat(weights), torch.cat(biases)
