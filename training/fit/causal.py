"""A small decoder, trained from nothing on the training texts: the decoder-only base where no hub is.

    training texts ──byte-level BPE──► token ids ──next token──► GPT-NeoX of 4 layers ──► a folder for --base

It has read some million words in a few minutes, where Pythia has read three hundred thousand million: what
it shows in a comparison is the method, not what decoders can do.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model.tokenizer import Tokenizer
from training.data.rows import Row
from training.errors import TrainingError
from training.fit.batches import Batch, encode
from training.fit.descent import descend
from training.fit.device import Device
from training.fit.loop import Progress
from training.runs import forget_run, written

if TYPE_CHECKING:
    from torch import Tensor

PAD: Final = "<|padding|>"
END: Final = "<|endoftext|>"
_IGNORED: Final = -100
"""The label of a position that has no next token."""


@dataclass(frozen=True, slots=True)
class Causal:
    """Size and training of the decoder."""

    vocabulary: int = 8_000
    width: int = 256
    layers: int = 4
    heads: int = 4
    max_tokens: int = 128
    epochs: int = 3
    batch_size: int = 64
    learning_rate: float = 1e-3


def train_causal(
    rows: Sequence[Row],
    out: Path,
    settings: Causal,
    *,
    seed: int,
    device: Device,
    progress: Progress | None = None,
) -> float:
    """Train on the texts of ``rows``, write model and tokenizer into ``out``; the last epoch's perplexity."""
    import torch

    if not rows:
        raise TrainingError("there are no texts to train a decoder on")
    torch.manual_seed(seed)
    hf_tokenizer = _tokenizer([row.text for row in rows], settings)
    tokenizer = Tokenizer(
        hf_tokenizer.backend_tokenizer,
        max_tokens=settings.max_tokens,
        overlap_tokens=settings.max_tokens // 4,
    )
    ids = encode(tokenizer, rows)
    model = _decoder(settings, hf_tokenizer).to(device.name)
    mean_loss = descend(
        list(model.parameters()),
        lambda batch: _next_token_loss(model, batch, device),
        ids,
        pad_id=hf_tokenizer.pad_token_id,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        factor=lambda step, steps: min((step + 1) / 100, (steps - step) / steps),
        rng=random.Random(seed),
        progress=progress,
    )
    with written(out):
        forget_run(out)
        model.save_pretrained(out)
        hf_tokenizer.save_pretrained(out)
    return math.exp(mean_loss)


def _next_token_loss(model: Any, batch: Batch, device: Device) -> "Tensor":
    """Mean cross-entropy of each token after the first, padding left out."""
    from torch.nn import functional

    input_ids, mask = batch.input_ids.to(device.name), batch.attention_mask.to(device.name)
    with device.autocast():
        logits = model(input_ids=input_ids, attention_mask=mask).logits  # (B, T, V)
    labels = input_ids.masked_fill(mask == 0, _IGNORED)
    return functional.cross_entropy(
        logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten(), ignore_index=_IGNORED
    )


def _tokenizer(texts: Sequence[str], settings: Causal) -> Any:
    """Byte-level BPE learnt from the texts, lower case; a text ends with ``END``."""
    from tokenizers import Tokenizer as RustTokenizer
    from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    backend = RustTokenizer(models.BPE())
    backend.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocabulary,
        special_tokens=[END, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    backend.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", special_tokens=[(END, backend.token_to_id(END))]
    )
    wrap: Any = PreTrainedTokenizerFast
    return wrap(tokenizer_object=backend, eos_token=END, pad_token=PAD, model_max_length=settings.max_tokens)


def _decoder(settings: Causal, tokenizer: Any) -> Any:
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    config = GPTNeoXConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.width,
        intermediate_size=4 * settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        max_position_embeddings=settings.max_tokens,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        attention_dropout=0.0,
        hidden_dropout=0.1,
        tie_word_embeddings=True,
    )
    make: Any = GPTNeoXForCausalLM._from_config
    return make(config, attn_implementation="eager")
