"""A base learns to give the sentence embeddings of another in its first token."""

import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from training.data.rows import Row
from training.fit.device import Device
from training.fit.embeddings import Lessons, learn_embeddings
from training.fit.network import network_of
from training.fit.recipes import DEBUG

WORDS = ("house", "dinner", "train", "night", "work", "again", "today", "maybe")
CPU = Device("cpu", bf16=False)


@pytest.fixture
def base(debug_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(debug_run, tmp_path / "base")


def rows() -> list[Row]:
    rng = random.Random(0)
    return [Row(" ".join(rng.sample(WORDS, 3)), "neutral", "brighter") for _ in range(400)]


def bags(texts: list[Row]) -> np.ndarray:
    """Which words a text holds, turned at random: what an encoder might make of it."""
    held = np.array([[word in row.text.split() for word in WORDS] for row in texts], dtype=float)
    return held @ np.random.default_rng(0).normal(size=(len(WORDS), 12))


def learn(base: Path, *, epochs: int = 8) -> float:
    lessons = Lessons(epochs=epochs, batch_size=16, learning_rate=3e-3)
    return learn_embeddings(base, rows(), bags(rows()), lessons, device=CPU)


def test_it_comes_near_to_them_and_nearer_with_each_epoch(base: Path, debug_run: Path) -> None:
    shutil.copytree(debug_run, again := base.parent / "again")
    assert learn(base) < 0.5 < learn(again, epochs=1)


def test_what_it_learnt_is_in_the_folder_and_the_word_embeddings_are_as_they_were(base: Path) -> None:
    before = load_file(base / "model.safetensors")
    learn(base, epochs=1)
    after = load_file(base / "model.safetensors")
    moved = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert "distilbert.embeddings.word_embeddings.weight" not in moved
    assert any(name.startswith("distilbert.transformer.layer.1.") for name in moved)
    network_of(replace(DEBUG, base=str(base)), "eager")
