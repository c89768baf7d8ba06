"""The ONNX files that people would make of a model folder, and a DistilBERT of the usual size."""

import shutil
import warnings
from pathlib import Path
from typing import Any, Final

from model.folder import SAFETENSORS_FILE
from model.runtimes.beside import rows_beside, widen
from training.ship.export import write_float32_onnx, write_int8_onnx

OPSET: Final = 17


def write_plain(folder: Path, file: Path) -> None:
    """The graph as torch exports it: every token of the last layer, nothing fused."""
    import torch
    from transformers import AutoModelForSequenceClassification

    class LogitsOnly(torch.nn.Module):
        def __init__(self, model: Any) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
            return logits

    model = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    widen(model, rows_beside(folder / SAFETENSORS_FILE))
    example = torch.ones((2, 9), dtype=torch.long)
    sizes = {0: "batch", 1: "sequence"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer's own insides
        torch.onnx.export(
            LogitsOnly(model),
            (example, example),
            str(file),
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_axes={"input_ids": sizes, "attention_mask": sizes, "logits": {0: "batch"}},
            opset_version=OPSET,
            dynamo=False,  # the newer exporter needs a package more, and fixes the batch size for this model
        )


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
