"""A small data folder in the layout of the real ones, and one debug run on it that the slower tests share."""

import json
import os
import random
from pathlib import Path

import pytest
import torch

from model.labels import EMOTIONS
from training.fit.device import Device
from training.fit.loop import Fit
from training.fit.recipes import DEBUG
from training.fit.sources import training_data

# One telling letter a label: what a tiny model with random weights can learn in seconds.
TELLING = {"sadness": "z", "joy": "j", "love": "q", "anger": "x", "fear": "v", "surprise": "k"}
FILLERS = (
    "today",
    "about",
    "the",
    "house",
    "again",
    "really",
    "maybe",
    "work",
    "train",
    "at",
    "night",
    "dinner",
)
GOEMOTIONS = ("sadness", "joy", "love", "anger", "fear", "surprise", "neutral", "confusion")
SPLITS = (("train", 240), ("validation", 60), ("test", 60))


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Models this small only wait for each other's threads."""
    torch.set_num_threads(1)


def _text(label: str, rng: random.Random) -> str:
    words = [rng.choice(FILLERS) for _ in range(rng.randint(3, 7))]
    words.insert(rng.randrange(len(words)), TELLING.get(label, "n"))
    return " ".join(words)


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All three data sets, small, with texts made of filler words and one telling word."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("emotion", "goemotions", "support"):
        (folder / name).mkdir()
    rng = random.Random(0)
    (folder / "goemotions" / "emotions.txt").write_text("\n".join(GOEMOTIONS) + "\n")
    for split, count in SPLITS:
        rows = [{"text": _text(label := rng.choice(EMOTIONS), rng), "label": label} for _ in range(count)]
        file = folder / "emotion" / f"{split}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        ids = [rng.randrange(len(GOEMOTIONS)) for _ in range(count)]
        lines = [f"{_text(GOEMOTIONS[i], rng)}\t{i}\tid{number}" for number, i in enumerate(ids)]
        name = "dev" if split == "validation" else split
        (folder / "goemotions" / f"{name}.tsv").write_text(
            "\n".join([*lines, f"two at once\t0,1\tid{count}"]) + "\n"
        )
        questions = [{"text": f"{_text('neutral', rng)}?", "label": "topic"} for _ in range(count)]
        if split != "validation":
            file = folder / "support" / f"banking77_{split}.jsonl"
            file.write_text("".join(json.dumps(question) + "\n" for question in questions))
    return folder


@pytest.fixture(scope="session")
def debug_run(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the debug recipe, for reading only."""
    out = tmp_path_factory.mktemp("runs") / "debug-0"
    rows = training_data(DEBUG, data_folder)
    Fit(DEBUG, rows.train, rows.validation, out, seed=0, device=Device("cpu", bf16=False)).run()
    return out


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The real data sets; tests that need them say so where they are missing."""
    folder = os.environ.get("EMOTION_DATA")
    if not folder:
        pytest.skip("needs the real data sets: set EMOTION_DATA to their folder")
    return Path(folder)
