"""Sentence embeddings of all-mpnet-base-v2, as it is: what a probe stands on.

A text's embedding is the mean over its tokens, of length one, as the model was trained to give it (Reimers
and Gurevych, "Sentence-BERT", 2019; model card of all-mpnet-base-v2).
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from training.bases.mpnet import mpnet_folder
from training.metrics import Floats

MAX_TOKENS: Final = 128
BATCH: Final = 32


class SentenceEncoder:
    """all-mpnet-base-v2 on a device; in bfloat16 where that is asked for."""

    def __init__(self, device: str, *, bf16: bool) -> None:
        """Raises ``BaseModelError`` where the packages of the base are missing."""
        import torch
        from transformers import AutoModel, AutoTokenizer

        folder = mpnet_folder()
        self._device = device
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        loaded = AutoModel.from_pretrained(folder, dtype=torch.bfloat16 if bf16 else torch.float32)
        self._model = loaded.eval().to(device)

    def embed(self, texts: Sequence[str]) -> Floats:
        """Embeddings, shape (N, 768), in the order of the texts; computed in the order of their lengths."""
        import torch

        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        embeddings = np.empty((len(texts), self._model.config.hidden_size))
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            batch = self._tokenizer(
                [texts[i] for i in places],
                padding=True,
                truncation=True,
                max_length=MAX_TOKENS,
                return_tensors="pt",
            ).to(self._device)
            with torch.inference_mode():
                hidden = self._model(**batch).last_hidden_state.float()
            mask = batch["attention_mask"][..., None]
            mean = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
            embeddings[places] = torch.nn.functional.normalize(mean).cpu().numpy()
        return embeddings
