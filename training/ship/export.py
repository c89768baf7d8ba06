"""The folder that ships: weights for torch and for CPUs, tokenizer, calibration and model card.

    run folder ─► model.safetensors (fp16) ─► calibration.json (same revision) ─► model.int8.onnx ─►
    manifest.json, README.md

How the int8 file is made, and why it gives the same labels on every processor: ``training.ship.int8``.
"""

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from model import manifest
from model.calibration import FILE_NAME as CALIBRATION_FILE
from model.calibration import Calibration
from model.folder import INT8_ONNX_FILE, SAFETENSORS_FILE, revision_of
from model.runtimes.beside import narrow_for_saving, rows_beside, widen
from training.errors import TrainingError
from training.runs import CHECKPOINT, RUN_FILE, TOKENIZER_FILES, resplit_of, writable
from training.ship import distilbert, int8
from training.ship.float32 import Float32
from training.ship.graph import Graph

MAX_BYTES: Final = 120_000_000
CARD_FILE: Final = "README.md"


def export(
    run: Path, out: Path, *, name: str, card: Callable[[Path], str] | None = None, cpu_only: bool = False
) -> dict[str, int]:
    """Write the shipped folder from a calibrated run; the size of each file in bytes.

    ``card`` writes the model card of the finished folder that it is given. ``cpu_only`` leaves the weights
    for torch out at the end: the manifest still states them, so the revision is that of the whole folder.
    Everything is made in a folder inside ``out``, which is on the same file system, and then moved file by
    file, so that whoever loads ``out`` meanwhile finds whole files.
    Raises ``TrainingError`` where the run is not calibrated, or with other weights, has a split of its own,
    or is ``out`` itself, where ``out`` is another run, and where the folder grows too large.
    """
    if not (run / CALIBRATION_FILE).is_file():
        raise TrainingError(f"{run} is not calibrated: emotion-train calibrate {run}")
    if resplit_of(run) is not None:
        raise TrainingError(
            f"{run} was trained on a split of its own, so it knows rows that others are tested on: "
            "fit what ships without --split"
        )
    if out.resolve() == run.resolve():
        raise TrainingError(
            f"{out} is the run itself, whose weights are finer than what ships: name another --out"
        )
    if (out / RUN_FILE).is_file() or (out / CHECKPOINT).is_file():
        raise TrainingError(f"{out} holds a run, whose weights are finer than what ships: name another --out")
    calibration = Calibration.load(run)
    if calibration.revision not in (None, revision_of(run / SAFETENSORS_FILE)):
        raise TrainingError(f"{run} was calibrated with other weights: emotion-train calibrate {run}")
    writable(out)
    with tempfile.TemporaryDirectory(dir=out, prefix=".export-") as temporary:
        folder = Path(temporary)
        revision = _write_torch(run, folder)
        calibration.model_copy(update={"name": name, "revision": revision}).save(folder)
        write_int8_onnx(folder, folder / INT8_ONNX_FILE, revision)
        if card is not None:
            (folder / CARD_FILE).write_text(card(folder), encoding="utf-8")
        manifest.write(folder)
        if cpu_only:
            (folder / SAFETENSORS_FILE).unlink()
        sizes = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
        if sum(sizes.values()) > MAX_BYTES:
            raise TrainingError(
                f"{sum(sizes.values()):,} bytes are more than {MAX_BYTES:,}: take a smaller base"
            )
        for file in folder.iterdir():
            file.chmod(0o644)  # safetensors writes for its owner alone
            file.replace(out / file.name)
        if cpu_only:
            (out / SAFETENSORS_FILE).unlink(missing_ok=True)  # that of an earlier export
    return sizes


def _write_torch(run: Path, folder: Path) -> str:
    """Config, tokenizer and fp16 weights; the revision of the weights."""
    import torch
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(run, dtype=torch.float16)
    widen(model, rows_beside(run / SAFETENSORS_FILE))
    narrow_for_saving(model)
    model.save_pretrained(folder)
    for file in TOKENIZER_FILES:
        shutil.copyfile(run / file, folder / file)
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    # The class that transformers 4 and 5 both open from tokenizer.json as it stands.
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    return revision_of(folder / SAFETENSORS_FILE)


def write_int8_onnx(folder: Path, file: Path, revision: str) -> None:
    """The model in ``folder`` as an int8 ONNX file that carries ``revision``.

    Raises ``TrainingError`` where a product could saturate 16 bits on some processor.
    """
    import onnx

    graph = _graph(folder, int8.Int8)
    if (widest := int8.widest_pair(graph)) > int8.INT16_LIMIT:
        raise TrainingError(f"two int8 products add up to {widest:,}: kernels without VNNI would saturate")
    onnx.helper.set_model_props(graph, {"revision": revision})
    onnx.checker.check_model(graph)
    onnx.save(graph, file)


def write_float32_onnx(folder: Path, file: Path) -> None:
    """The same in float32."""
    import onnx

    onnx.save(_graph(folder, Float32), file)


def _graph(folder: Path, arithmetic: Callable[[Graph], distilbert.Arithmetic]) -> Any:
    """``graph_of`` the model in ``folder``, with its outputs beside the labels."""
    import torch
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    widen(model, rows_beside(folder / SAFETENSORS_FILE))
    return graph_of(model, arithmetic)


def graph_of(network: Any, arithmetic: Callable[[Graph], distilbert.Arithmetic]) -> Any:
    """An ``onnx.ModelProto`` of a ``transformers`` sequence classifier on the CPU, in float32.

    Raises ``TrainingError`` where it is no DistilBERT with GELU.
    """
    config = network.config
    if config.model_type != "distilbert" or config.activation != "gelu":
        raise TrainingError(
            f"what ships is a DistilBERT with GELU, this another network ({config.model_type}): "
            "fit what ships from such a base"
        )
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    shape = distilbert.Shape(config.n_layers, config.n_heads, config.dim)
    return distilbert.write(weights, shape, arithmetic)
