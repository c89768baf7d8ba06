"""Sentence embeddings of a base as it is: what a probe stands on.

A text's embedding is the mean over its tokens, of length one, as these models were trained to give it
(Reimers and Gurevych, "Sentence-BERT", 2019; Wang et al., "Multilingual E5", 2024).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from model.folder import CONFIG_FILE
from training.bases.base import MPNET, cannot_be_loaded
from training.bases.mpnet import mpnet_folder
from training.errors import BaseModelError
from training.metrics import Floats

MAX_TOKENS: Final = 128
BATCH: Final = 32
E5_PREFIX: Final = "query: "
"""What E5 was trained to find before a text that is not looked up."""


class SentenceEncoder:
    """``mpnet`` (all-mpnet-base-v2), or the folder of a base that ``emotion-train base`` made of E5.

    On a device; in bfloat16 where that is asked for.
    """

    def __init__(self, base: str, device: str, *, bf16: bool) -> None:
        """Raises ``BaseModelError`` where a package of ``mpnet`` is missing, or the folder is none or cut."""
        import torch
        from transformers import AutoModel, AutoTokenizer

        folder = mpnet_folder() if base == MPNET else Path(base)
        self._prefix = "" if base == MPNET else E5_PREFIX
        self._device = device
        if not (folder / CONFIG_FILE).is_file():
            raise BaseModelError(f"base {base!r} holds no model: emotion-train base --out {folder} makes one")
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder)
            loaded = AutoModel.from_pretrained(folder, dtype=torch.bfloat16 if bf16 else torch.float32)
        except Exception as error:  # transformers, safetensors and tokenizers each raise their own
            raise cannot_be_loaded(base, error) from error
        self._model = loaded.eval().to(device)

    def embed(self, texts: Sequence[str]) -> Floats:
        """Embeddings, shape (N, width), in the order of the texts; computed in the order of their lengths."""
        import torch

        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        embeddings = np.empty((len(texts), self._model.config.hidden_size))
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            batch = self._tokenizer(
                [self._prefix + texts[i] for i in places],
                padding=True,
                truncation=True,
                max_length=MAX_TOKENS,
                return_tensors="pt",
                return_token_type_ids=False,
            ).to(self._device)
            with torch.inference_mode():
                hidden = self._model(**batch).last_hidden_state.float()
            mask = batch["attention_mask"][..., None]
            mean = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
            embeddings[places] = torch.nn.functional.normalize(mean).cpu().numpy()
        return embeddings
