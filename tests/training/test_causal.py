"""A decoder can be trained from nothing, and is then a base like any other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.labels import EMOTIONS
from tests.training.runs import BrokenError, break_off
from training.bases.base import load_base
from training.data.rows import load_emotion
from training.errors import TrainingError
from training.evaluate.predict import open_classifier, row_logits
from training.fit.causal import Causal, train_causal
from training.fit.device import Device
from training.fit.loop import Fit
from training.fit.recipes import LORA
from training.fit.sources import training_data
from training.runs import RUN_FILE

CPU = Device("cpu", bf16=False)
TINY = Causal(
    vocabulary=400, width=16, layers=2, heads=2, max_tokens=64, epochs=3, batch_size=16, learning_rate=1e-2
)


@pytest.fixture(scope="module")
def causal(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    out = tmp_path_factory.mktemp("causal")
    return out, train_causal(load_emotion(data_folder).train, out, TINY, seed=0, device=CPU)


def test_it_learns_which_words_follow(causal: tuple[Path, float]) -> None:
    _, perplexity = causal
    assert 1.0 < perplexity < 0.5 * TINY.vocabulary


def test_adapters_train_it_into_a_classifier_that_opens(
    causal: tuple[Path, float], data_folder: Path, tmp_path: Path
) -> None:
    recipe = replace(LORA, base=str(causal[0]), epochs=1, lora_rank=2, max_tokens=64)
    rows = training_data(recipe, data_folder)
    run = Fit(recipe, rows.train, rows.validation, tmp_path, seed=0, device=CPU)
    run.run()
    logits = row_logits(open_classifier(tmp_path), rows.train[:8])
    assert logits.shape == (8, len(EMOTIONS))
    alone = np.concatenate([row_logits(open_classifier(tmp_path), [row]) for row in rows.train[:8]])
    assert logits == pytest.approx(alone, abs=1e-4)  # padding is not read


def test_a_decoder_without_an_end_of_text_gets_one(causal: tuple[Path, float], tmp_path: Path) -> None:
    """As GPT-NeoX's tokenizers are published: no post-processor, no padding token."""
    import json
    import shutil

    folder = shutil.copytree(causal[0], tmp_path / "published")
    file = folder / "tokenizer.json"
    tokenizer = json.loads(file.read_text()) | {"post_processor": None}
    file.write_text(json.dumps(tokenizer))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings.pop("pad_token")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    model, opened = load_base(str(folder), EMOTIONS, dropout=0.0, attention_dropout=0.0, attention="eager")
    assert opened("so happy")["input_ids"][-1] == opened.eos_token_id
    assert model.config.pad_token_id == opened.pad_token_id != opened.eos_token_id


def test_without_texts_there_is_nothing_to_learn(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no texts"):
        train_causal([], tmp_path, TINY, seed=0, device=CPU)


def test_what_is_overwritten_stays_until_the_decoder_is_trained(data_folder: Path, tmp_path: Path) -> None:
    rows = load_emotion(data_folder).train
    (tmp_path / RUN_FILE).touch()
    with pytest.raises(BrokenError):
        train_causal(rows, tmp_path, TINY, seed=0, device=CPU, progress=break_off)
    assert (tmp_path / RUN_FILE).is_file()
    train_causal(rows, tmp_path, replace(TINY, epochs=1), seed=0, device=CPU)
    assert not (tmp_path / RUN_FILE).exists()
