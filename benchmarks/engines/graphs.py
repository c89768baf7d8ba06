"""The ONNX files that people would make of a model folder, and a DistilBERT of the usual size."""

import shutil
from pathlib import Path

from model.folder import SAFETENSORS_FILE
from model.runtimes.beside import rows_beside, widen
from tests.model.tiny import write_onnx
from training.ship.export import write_float32_onnx, write_int8_onnx


def write_plain(folder: Path, file: Path) -> None:
    """The graph as torch exports it: every token of the last layer, nothing fused."""
    import torch
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )
    widen(model, rows_beside(folder / SAFETENSORS_FILE))
    write_onnx(model, file)


def write_fused(plain: Path, file: Path, heads: int, width: int) -> None:
    """Attention, GELU and normalisation fused by onnxruntime's own optimiser for transformers."""
    from onnxruntime.transformers.optimizer import optimize_model

    optimised = optimize_model(str(plain), model_type="bert", num_heads=heads, hidden_size=width, opt_level=0)
    optimised.save_model_to_file(str(file))


def write_dynamic_int8(plain: Path, file: Path) -> None:
    """onnxruntime's dynamic quantisation with its defaults."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(plain, file, weight_type=QuantType.QInt8)


def write_distilbert(tokenizer: Path, folder: Path) -> None:
    """A classifier of distilbert-base's shape, 66 million parameters, with random weights."""
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    DistilBertForSequenceClassification(DistilBertConfig(num_labels=7)).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer / name, folder / name)


__all__ = [
    "write_distilbert",
    "write_dynamic_int8",
    "write_float32_onnx",
    "write_fused",
    "write_int8_onnx",
    "write_plain",
]
