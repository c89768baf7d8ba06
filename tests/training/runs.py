"""Runs as if trained by other recipes, and runs that are broken off."""

import json
import shutil
from pathlib import Path

import numpy as np
from safetensors.torch import load_file, save_file

from model.folder import CONFIG_FILE, SAFETENSORS_FILE, revision_of
from training.data.rows import Row, text_key


class BrokenError(RuntimeError):
    """What ends a run that is broken off."""


def break_off(*_: object) -> None:
    """Stands in for a step of a run, or for who hears of its progress."""
    raise BrokenError


def taught(run: Path, folder: Path, row: Row, outputs: list[float], **recipe: object) -> Path:
    """A copy of ``run`` as if trained by ``recipe``, which was asked of ``row`` before."""
    shutil.copytree(run, folder)
    facts = json.loads((folder / "run.json").read_text())
    facts["recipe"] |= recipe
    (folder / "run.json").write_text(json.dumps(facts))
    revision = revision_of(folder / SAFETENSORS_FILE)
    np.savez(folder / f"soft-{revision}-fp32.npz", keys=[text_key(row.text)], outputs=np.array([outputs]))
    return folder


def in_other_order(run: Path, folder: Path) -> Path:
    """A copy of ``run`` whose logits stand the other way round, as its configuration says: the same model."""
    shutil.copytree(run, folder)
    config = json.loads((folder / CONFIG_FILE).read_text())
    names = [config["id2label"][str(k)] for k in range(len(config["id2label"]))][::-1]
    config["id2label"] = {str(k): name.upper() for k, name in enumerate(names)}
    config["label2id"] = {name.upper(): k for k, name in enumerate(names)}
    (folder / CONFIG_FILE).write_text(json.dumps(config))
    weights = load_file(folder / SAFETENSORS_FILE)
    weights |= {f"classifier.{part}": weights[f"classifier.{part}"].flip(0) for part in ("weight", "bias")}
    save_file(weights, folder / SAFETENSORS_FILE, {"format": "pt"})
    return folder
