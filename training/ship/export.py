"""The folder that ships: weights for torch and for CPUs, tokenizer, calibration and model card.

    run folder ─► model.safetensors (fp16) ─► calibration.json (same revision) ─► model.int8.onnx ─►
    README.md

The int8 file quantises what costs time and space, and nothing else: the matrix products, one scale a column
of the weights and one a layer's input, and the word embeddings, one scale a row. Softmax, normalisation and
the head stay in float. The scales of the inputs are fixed here, from sample texts: scales taken from each
batch (dynamic quantisation) would let a message's label depend on its neighbours, and so differ when it is
read again.
"""

import json
import shutil
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from model.calibration import FILE_NAME as CALIBRATION_FILE
from model.calibration import Calibration
from model.folder import INT8_ONNX_FILE, SAFETENSORS_FILE, revision_of
from training.data.rows import sample_texts
from training.errors import TrainingError

OPSET: Final = 17
SAMPLE_TOKENS: Final = 128
MAX_BYTES: Final = 70_000_000
# Tables of at least so many rows are embeddings; smaller ones are not worth a node.
EMBEDDING_ROWS: Final = 256
# Products whose input stays in float. A few values behind the first layer's activation are a hundred times
# the others, and 256 steps over such a range leave the others next to none.
FLOAT_INPUTS: Final = ("layer.0/ffn/lin2/",)
# Every file of the folder; nothing else is copied into it.
TOKENIZER_FILES: Final = ("tokenizer.json", "tokenizer_config.json")
CARD_FILE: Final = "README.md"


def export(
    run: Path, out: Path, *, name: str, data: Path | None, card: Callable[[Path], str] | None = None
) -> dict[str, int]:
    """Write the shipped folder from a calibrated run; the size of each file in bytes.

    ``samples`` are texts like those to come; the int8 file takes its ranges from them. ``card`` writes the
    model card of the finished folder that it is given. Everything is made in a folder beside ``out`` and
    then moved file by file, so that whoever loads ``out`` meanwhile finds whole files. Raises
    ``TrainingError`` where the run is not calibrated or the folder grows too large.
    """
    if not (run / CALIBRATION_FILE).is_file():
        raise TrainingError(f"{run} is not calibrated: emotion-train calibrate {run}")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as temporary:
        folder = Path(temporary)
        revision = _write_torch(run, folder)
        calibration = Calibration.load(run).model_copy(update={"name": name, "revision": revision})
        calibration.save(folder)
        write_int8_onnx(folder, folder / INT8_ONNX_FILE, revision, sample_texts(data))
        if card is not None:
            (folder / CARD_FILE).write_text(card(folder), encoding="utf-8")
        sizes = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
        if sum(sizes.values()) > MAX_BYTES:
            raise TrainingError(
                f"{sum(sizes.values()):,} bytes are more than {MAX_BYTES:,}: take a smaller base"
            )
        for file in folder.iterdir():
            file.chmod(0o644)  # safetensors writes for its owner alone
            file.replace(out / file.name)
    return sizes


def _write_torch(run: Path, folder: Path) -> str:
    """Config, tokenizer and fp16 weights; the revision of the weights."""
    import torch
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(run, dtype=torch.float16)
    model.save_pretrained(folder)
    for file in TOKENIZER_FILES:
        shutil.copyfile(run / file, folder / file)
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    # The class that transformers 4 and 5 both open from tokenizer.json as it stands.
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    return revision_of(folder / SAFETENSORS_FILE)


def write_int8_onnx(
    folder: Path, file: Path, revision: str, samples: Sequence[str], *, reduce_range: bool = True
) -> None:
    """The model in ``folder`` as an int8 ONNX file that carries ``revision``.

    The range of each layer's input is what ``samples`` reach. ``reduce_range`` keeps weights to 7 bits: on
    CPUs without VNNI the 8-bit products overflow 16 bits otherwise.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_static

    with tempfile.TemporaryDirectory(dir=file.parent) as temporary:
        exact, quantised = Path(temporary) / "exact.onnx", Path(temporary) / "int8.onnx"
        write_onnx(folder, exact)
        _quietly(
            quantize_static,
            exact,
            quantised,
            _inputs_of(folder, samples),
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            reduce_range=reduce_range,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True, "OpTypesToExcludeOutputQuantization": ["MatMul"]},
        )
        graph = onnx.load(quantised)
    for product in FLOAT_INPUTS:
        _unquantise_input(graph, product)
    _quantise_embeddings(graph)
    onnx.helper.set_model_props(graph, {"revision": revision})
    onnx.checker.check_model(graph)
    onnx.save(graph, file)


def _inputs_of(folder: Path, samples: Sequence[str]) -> Any:
    """The texts as the quantiser wants to be given them: one a time, as the graph's inputs."""
    from onnxruntime.quantization import CalibrationDataReader

    from model.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(folder, max_tokens=SAMPLE_TOKENS, overlap_tokens=0)
    windows = iter([encoded.windows[0] for encoded in tokenizer.encode(samples)])

    class Inputs(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
        def get_next(self) -> dict[str, npt.NDArray[np.int64]] | None:
            window = next(windows, None)
            if window is None:
                return None
            ids = np.array([window], dtype=np.int64)
            return {"input_ids": ids, "attention_mask": np.ones_like(ids)}

    return Inputs()


def write_onnx(folder: Path, file: Path) -> None:
    """The model in ``folder`` in float32: ``input_ids``, ``attention_mask`` (batch, sequence) to
    ``logits``.
    """
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
    example = torch.ones((2, 9), dtype=torch.long)
    sizes = {0: "batch", 1: "sequence"}
    _quietly(
        torch.onnx.export,
        LogitsOnly(model),
        (example, example),
        file,
        input_names=["input_ids", "attention_mask"],
        output_names=["logits"],
        dynamic_axes={"input_ids": sizes, "attention_mask": sizes, "logits": {0: "batch"}},
        opset_version=OPSET,
        dynamo=False,  # the newer exporter needs a package more, and fixes the batch size for this model
    )


def _unquantise_input(graph: Any, product: str) -> None:
    """Feed the float input to the products whose name holds ``product``; their weights stay int8."""
    makers = {output: node for node in graph.graph.node for output in node.output}
    for node in graph.graph.node:
        if node.op_type != "MatMul" or product not in node.name:
            continue
        from_int8 = makers.get(node.input[0])
        if from_int8 is not None and from_int8.op_type == "DequantizeLinear":
            to_int8 = makers[from_int8.input[0]]
            node.input[0] = to_int8.input[0]
            graph.graph.node.remove(from_int8)
            graph.graph.node.remove(to_int8)


def _quantise_embeddings(graph: Any) -> None:
    """Store the embedding tables, (V, D) in float32, as int8 with one scale a row."""
    tables = {tensor.name: tensor for tensor in graph.graph.initializer if len(tensor.dims) == 2}
    for gather in [node for node in graph.graph.node if node.op_type == "Gather"]:
        table = tables.get(gather.input[0])
        if table is not None and table.dims[0] >= EMBEDDING_ROWS:
            _quantise_gather(graph, gather, table)


def _quantise_gather(graph: Any, gather: Any, table: Any) -> None:
    """Replace ``gather`` by one of int8 rows, one of their scales, and the product."""
    from onnx import TensorProto, helper, numpy_helper

    rows, scales = quantised_rows(numpy_helper.to_array(table))
    names = {part: f"{table.name}.{part}" for part in ("int8", "scale", "rows", "floats", "scales")}
    graph.graph.initializer.remove(table)
    graph.graph.initializer.extend(
        [numpy_helper.from_array(rows, names["int8"]), numpy_helper.from_array(scales, names["scale"])]
    )
    ids, output = gather.input[1], gather.output[0]
    replacement = [
        helper.make_node("Gather", [names["int8"], ids], [names["rows"]], axis=0),
        helper.make_node("Cast", [names["rows"]], [names["floats"]], to=TensorProto.FLOAT),
        helper.make_node("Gather", [names["scale"], ids], [names["scales"]], axis=0),
        helper.make_node("Mul", [names["floats"], names["scales"]], [output]),
    ]
    nodes = graph.graph.node
    place = list(nodes).index(gather)
    nodes.remove(gather)
    for offset, node in enumerate(replacement):
        nodes.insert(place + offset, node)


def quantised_rows(table: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """``table`` (V, D) as int8 (V, D) and a scale a row (V, 1), so that rows · scale is nearly ``table``."""
    scales = np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-12) / 127
    return np.rint(table / scales).astype(np.int8), scales.astype(np.float32)


def _quietly(call: Any, *args: Any, **options: Any) -> None:
    """Call without the exporters' warnings about their own insides."""
    import logging

    level = logging.getLogger().level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger().setLevel(logging.ERROR)
        try:
            call(*args, **options)
        finally:
            logging.getLogger().setLevel(level)
