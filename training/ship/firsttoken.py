"""The last block of an encoder whose head reads one token: computed for that token alone.

    (batch, sequence, width) ─┬─ keys, values of every token ─┐
                              └─ query of the first ─► attention ─► feed-forward ─► (batch, 1, width)

The head of a DistilBERT classifier reads the first token and nothing else. The other tokens of the last block
are computed in vain: their queries, outputs and feed-forward, five sixths of the block's arithmetic, an
eighth of a network of six blocks. Left out, the logits are the same.
"""

from typing import Any

import torch
from torch import nn


class FirstTokenBlock(nn.Module):
    """A ``TransformerBlock`` of transformers' DistilBERT, for the first token of each text.

    Parameters keep their names. In evaluation only: dropout is left out.
    """

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.attention = block.attention
        self.sa_layer_norm = block.sa_layer_norm
        self.ffn = block.ffn
        self.output_layer_norm = block.output_layer_norm

    def forward(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any
    ) -> torch.Tensor:
        """Hidden states (batch, 1, width) from those of all tokens, (batch, sequence, width).

        ``attention_mask`` is added to the scores: (batch, 1, sequence, sequence).
        """
        first = hidden_states[:, :1]
        attended = self._attend(first, hidden_states, attention_mask)
        attended = self.sa_layer_norm(attended + first)
        hidden: torch.Tensor = self.output_layer_norm(self.ffn(attended) + attended)
        return hidden

    def _attend(self, first: torch.Tensor, every: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        attention = self.attention
        query = self._heads(attention.q_lin(first))
        scores = query @ self._heads(attention.k_lin(every)).transpose(2, 3) * attention.scaling
        if mask is not None:
            scores = scores + mask[:, :, :1]
        mixed = scores.softmax(dim=-1) @ self._heads(attention.v_lin(every))
        out: torch.Tensor = attention.out_lin(mixed.transpose(1, 2).flatten(2))
        return out

    def _heads(self, tokens: torch.Tensor) -> torch.Tensor:
        """(batch, tokens, width) as (batch, heads, tokens, width of a head)."""
        texts, count, _ = tokens.shape
        return tokens.view(texts, count, self.attention.n_heads, -1).transpose(1, 2)


def read_first_token_alone(network: Any) -> None:
    """Let the last block of a DistilBERT classifier compute what its head reads, in place.

    Any other network stays as it is.
    """
    encoder = getattr(network, "distilbert", None)
    if encoder is not None:
        encoder.transformer.layer[-1] = FirstTokenBlock(encoder.transformer.layer[-1])
