"""A base with fewer layers, taught to say what all of them said.

    texts ─┬─► the base, frozen          ──► outputs of layers 2, 4, … 12 ─┐
           └─► some of its layers, learning ──► outputs of layers 1, 2, … 6 ──┴─► mean squared distance

No labels are used. The embeddings stay as they are and are the same in both, so that what is learnt is the
layers alone. (Sanh et al., "DistilBERT", 2019; Jiao et al., "TinyBERT", 2020.)
"""

import copy
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.tokenizer import Tokenizer
from training.data.rows import Row
from training.errors import TrainingError
from training.fit.batches import Batch, encode, training_batches
from training.fit.loop import Device, Progress

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Shortening:
    """Which layers the shorter base begins as, and how long it learns."""

    layers: tuple[int, ...] = (1, 3, 5, 7, 9, 11)
    epochs: int = 6
    batch_size: int = 128
    learning_rate: float = 5e-4
    max_tokens: int = 64


def shorten(
    base: Path,
    rows: Sequence[Row],
    out: Path,
    settings: Shortening,
    *,
    seed: int,
    device: Device,
    progress: Progress | None = None,
) -> float:
    """Write the shorter base and its tokenizer into ``out``; the last epoch's mean distance, in variances.

    Raises:
        TrainingError: no texts, or a base that has no such layers or cannot be split among so many.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    if not rows:
        raise TrainingError("there are no texts to learn from")
    torch.manual_seed(seed)
    rng = random.Random(seed)
    hf_tokenizer = AutoTokenizer.from_pretrained(base)
    whole = AutoModelForSequenceClassification.from_pretrained(base, attn_implementation="sdpa")
    short = _with_layers(whole, settings.layers).to(device.name)
    whole.to(device.name).eval()
    stride = whole.config.n_layers // len(settings.layers)
    tokenizer = Tokenizer(
        hf_tokenizer.backend_tokenizer,
        max_tokens=settings.max_tokens,
        overlap_tokens=settings.max_tokens // 4,
    )
    ids = encode(tokenizer, rows)
    short.distilbert.embeddings.requires_grad_(False)
    learning = list(short.distilbert.transformer.parameters())
    steps_an_epoch = math.ceil(len(ids) / settings.batch_size)
    steps = steps_an_epoch * settings.epochs
    optimizer = torch.optim.AdamW(learning, lr=settings.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / 200, (steps - step) / steps)
    )
    short.train()
    step, total = 0, 0.0
    for _ in range(settings.epochs):
        total = 0.0
        for batch in training_batches(ids, settings.batch_size, rng, hf_tokenizer.pad_token_id):
            distance = _distance(whole.distilbert, short.distilbert, batch, stride, device)
            distance.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            torch.nn.utils.clip_grad_norm_(learning, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
            step += 1
            total += float(distance.detach())
            if progress is not None:
                progress(step, steps, float(distance.detach()))
    short.save_pretrained(out)
    hf_tokenizer.save_pretrained(out)
    return total / steps_an_epoch


def _with_layers(whole: Any, layers: Sequence[int]) -> Any:
    """A copy of a DistilBERT that has some of its layers, without dropout: there is nothing to overfit."""
    count = whole.config.n_layers
    if not layers or not all(0 <= layer < count for layer in layers) or count % len(layers):
        raise TrainingError(
            f"layers {layers} of {count}: name some of 0 to {count - 1}, an even share of them"
        )
    short = copy.deepcopy(whole)
    kept = [short.distilbert.transformer.layer[layer] for layer in layers]
    short.distilbert.transformer.layer = type(short.distilbert.transformer.layer)(kept)
    short.config.n_layers = short.config.num_hidden_layers = len(layers)
    for module in short.modules():
        if module.__class__.__name__ == "Dropout":
            module.p = 0.0
    return short


def _distance(whole: Any, short: Any, batch: Batch, stride: int, device: Device) -> "Tensor":
    """Mean squared distance of the hidden states, each layer's in units of the frozen one's variance."""
    import torch

    ids, mask = batch.input_ids.to(device.name), batch.attention_mask.to(device.name)
    with device.autocast():
        with torch.no_grad():
            aims = whole(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
        reached = short(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
    there = mask.bool()
    parts = []
    for aim, own in zip(aims[stride::stride], reached[1:], strict=True):
        aim, own = aim[there].float(), own[there].float()  # (tokens, D)
        parts.append((aim - own).square().mean() / aim.var())
    return torch.stack(parts).mean()
