"""What a base lost with the layers that were left out, taught back: sentence embeddings, in its first token.

    all layers ──── mean over tokens ─► embedding ─ standardised ─► wanted ─┐
    some of them ── first token ─ a linear map ──────────────────► given  ─┴─► mean squared error

A classifier reads the first token, where E5 has nothing in particular: what it knows of a sentence is the
mean over its tokens. (Reimers and Gurevych, "Making Monolingual Sentence Embeddings Multilingual using
Knowledge Distillation", EMNLP 2020.) No label is read.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.labels import LABELS
from model.tokenizer import Tokenizer
from training.bases.base import load_base
from training.bases.sentences import MAX_TOKENS
from training.data.rows import Row
from training.fit.batches import Batch, encode
from training.fit.descent import descend
from training.fit.device import Device
from training.fit.loop import Progress
from training.fit.optimizer import rate_factor
from training.metrics import Floats

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Lessons:
    """How long and how fast. The word embeddings stay as they are: all layers had the same."""

    epochs: int = 2
    batch_size: int = 64
    learning_rate: float = 5e-4
    warmup: float = 0.05


def learn_embeddings(
    folder: Path,
    rows: Sequence[Row],
    wanted: Floats,
    lessons: Lessons,
    *,
    device: Device,
    seed: int = 0,
    progress: Progress | None = None,
) -> float:
    """Train the base in ``folder`` in its place to give the embeddings ``wanted`` (N, width) of the rows.

    Returns the mean squared error of the last epoch, where 1 is that of the mean embedding.
    """
    import torch

    torch.manual_seed(seed)
    model, hf_tokenizer = load_base(
        str(folder), LABELS, dropout=0.0, attention_dropout=0.0, attention="eager"
    )
    tokenizer = Tokenizer(
        hf_tokenizer.backend_tokenizer, max_tokens=MAX_TOKENS, overlap_tokens=MAX_TOKENS // 4
    )
    ids = encode(tokenizer, rows)
    body = model.base_model.to(device.name).train()
    body.get_input_embeddings().requires_grad_(False)
    mapped = torch.nn.Linear(model.config.hidden_size, wanted.shape[1]).to(device.name)
    standard = torch.from_numpy((wanted - wanted.mean(axis=0)) / wanted.std(axis=0)).float().to(device.name)
    parameters = [part for part in (*body.parameters(), *mapped.parameters()) if part.requires_grad]

    def distance(batch: Batch) -> "Tensor":
        given = mapped(_first_tokens(body, batch, device))
        return torch.nn.functional.mse_loss(given, standard[list(batch.rows)])

    error = descend(
        parameters,
        distance,
        ids,
        pad_id=hf_tokenizer.pad_token_id,
        epochs=lessons.epochs,
        batch_size=lessons.batch_size,
        learning_rate=lessons.learning_rate,
        factor=lambda step, steps: rate_factor(step, steps, lessons.warmup),
        rng=random.Random(seed),
        progress=progress,
    )
    model.to("cpu").save_pretrained(folder)
    hf_tokenizer.save_pretrained(folder)
    return error


def _first_tokens(body: Any, batch: Batch, device: Device) -> "Tensor":
    """What the last layer holds of each text's first token, shape (B, hidden), in float32."""
    input_ids, mask = batch.input_ids.to(device.name), batch.attention_mask.to(device.name)
    with device.autocast():
        hidden: Tensor = body(input_ids=input_ids, attention_mask=mask).last_hidden_state[:, 0]
    return hidden.float()
