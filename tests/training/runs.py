"""Runs as if trained by other recipes."""

import json
import shutil
from pathlib import Path

import numpy as np

from model.folder import SAFETENSORS_FILE, revision_of
from training.data.rows import Row, text_key


def taught(run: Path, folder: Path, row: Row, outputs: list[float], **recipe: object) -> Path:
    """A copy of ``run`` as if trained by ``recipe``, which was asked of ``row`` before."""
    shutil.copytree(run, folder)
    facts = json.loads((folder / "run.json").read_text())
    facts["recipe"] |= recipe
    (folder / "run.json").write_text(json.dumps(facts))
    revision = revision_of(folder / SAFETENSORS_FILE)
    np.savez(folder / f"soft-{revision}-fp32.npz", keys=[text_key(row.text)], outputs=np.array([outputs]))
    return folder
