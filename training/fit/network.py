"""The network that a recipe trains: a base, outputs beside its labels, and adapters where asked for."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model.folder import SAFETENSORS_FILE
from model.labels import EMOTIONS
from model.outputs import SIZES, Beside
from model.runtimes.beside import rows_beside, widen
from training.bases.base import HfModel, HfTokenizer, load_base
from training.fit.dropout import share_dropout_along_sequence
from training.fit.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor

    from model.runtimes.beside import Rows

# The attention's projections by the names that DistilBERT, BERT, GPT-2 and GPT-NeoX give them.
ATTENTION: Final = frozenset(
    {"q_lin", "k_lin", "v_lin", "out_lin", "query", "key", "value", "c_attn", "c_proj", "query_key_value"}
)


def network_of(recipe: Recipe, attention: str) -> tuple[HfModel, HfTokenizer]:
    """The network on the CPU, and its base's tokenizer; ``attention`` is as in ``load_base``.

    Raises ``BaseModelError`` where there is no such base.
    """
    model, tokenizer = load_base(
        recipe.base,
        recipe.labels,
        dropout=recipe.dropout,
        attention_dropout=recipe.attention_dropout,
        attention=attention,
    )
    widen(model, _rows_beside(model, recipe))
    if recipe.frozen_embeddings:
        model.get_input_embeddings().requires_grad_(False)
    if recipe.sequence_dropout:
        share_dropout_along_sequence(model)
    return (_with_adapters(model, recipe) if recipe.lora_rank else model), tokenizer


def _with_adapters(model: HfModel, recipe: Recipe) -> Any:
    """The model with frozen weights, LoRA adapters (Hu et al., 2021) on the attention, and a trained head."""
    from peft import LoraConfig, TaskType, get_peft_model

    names = {name.rsplit(".", 1)[-1] for name, _ in model.named_modules()}
    attention = sorted(names & ATTENTION)
    config = LoraConfig(
        task_type=TaskType.SEQ_CLS,
        r=recipe.lora_rank,
        lora_alpha=2 * recipe.lora_rank,
        lora_dropout=recipe.dropout,
        target_modules=attention,
        modules_to_save=["pre_classifier", "classifier"] if "pre_classifier" in names else None,
    )
    return get_peft_model(model, config)


def _rows_beside(model: HfModel, recipe: Recipe) -> "Rows":
    """The recipe's outputs beside the labels: the base's where it is a run that has them, else new ones, of
    presence those of the emotions' labels.
    """
    import torch

    def new(name: Beside) -> "tuple[Tensor, Tensor]":
        last = model.classifier
        if name == "distress":
            return torch.zeros(SIZES[name], last.in_features), torch.zeros(SIZES[name])
        emotions = [recipe.labels.index(emotion) for emotion in EMOTIONS]
        return last.weight.detach()[emotions], last.bias.detach()[emotions]

    weights = Path(recipe.base) / SAFETENSORS_FILE
    known = rows_beside(weights) if weights.is_file() else {}
    return {name: known.get(name) or new(name) for name in recipe.beside}
