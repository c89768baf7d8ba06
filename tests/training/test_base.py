"""The converted base is the same model, and emoji are tokens in it."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from model.errors import ModelError
from model.labels import EMOTIONS, LABELS
from model.runtimes.beside import rows_beside
from tests.training.runs import in_other_order
from training.bases.base import DISTILBERT, load_base, minilm_folder
from training.bases.emoji import EMOJI
from training.bases.sentences import SentenceEncoder
from training.errors import BaseModelError


def _load(name: str, labels: tuple[str, ...] = LABELS):  # type: ignore[no-untyped-def]
    return load_base(name, labels, dropout=0.0, attention_dropout=0.0, attention="eager")


@pytest.fixture(scope="module")
def minilm():  # type: ignore[no-untyped-def]
    try:
        minilm_folder()
    except BaseModelError as missing:
        pytest.skip(str(missing))
    return _load("minilm")


def test_the_converted_base_computes_what_the_original_computes(minilm) -> None:  # type: ignore[no-untyped-def]
    from transformers import AutoModel, AutoTokenizer

    folder = minilm_folder()
    original = AutoModel.from_pretrained(folder, attn_implementation="eager", add_pooling_layer=False).eval()
    batch = AutoTokenizer.from_pretrained(folder)(
        ["A short one.", "And a longer sentence, with a few more words in it."],
        padding=True,
        return_tensors="pt",
    )
    with torch.inference_mode():
        expected = original(**batch).last_hidden_state
        hidden = (
            minilm[0]
            .distilbert.eval()(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
            .last_hidden_state
        )
    kept = batch["attention_mask"].bool()
    assert (hidden - expected)[kept].abs().max().item() < 1e-5


def test_an_emoji_is_a_token_even_within_a_word(minilm) -> None:  # type: ignore[no-untyped-def]
    _, tokenizer = minilm
    ids = tokenizer("thanks😂!! ❤️ ok👍🏽")["input_ids"]
    tokens = tokenizer.convert_ids_to_tokens(ids)
    assert tokens == ["[CLS]", "thanks", "😂", "!", "!", "❤", "ok", "👍", "[SEP]"]


def test_an_unknown_symbol_does_not_swallow_its_word(minilm) -> None:  # type: ignore[no-untyped-def]
    _, tokenizer = minilm
    assert tokenizer.tokenize("happy🦖day") == ["happy", "day"]


def test_a_run_of_other_labels_is_no_base(debug_run: Path) -> None:
    with pytest.raises(BaseModelError, match="tells 7 labels apart, and the recipe 6"):
        _load(str(debug_run), EMOTIONS)


def test_a_run_whose_labels_stand_in_another_order_is_the_same_base(debug_run: Path, tmp_path: Path) -> None:
    (model, tokenizer), (other, _) = (
        _load(str(run)) for run in (debug_run, in_other_order(debug_run, tmp_path / "other"))
    )
    text = tokenizer("the z house again", return_tensors="pt")
    with torch.inference_mode():
        assert torch.equal(model.eval()(**text).logits, other.eval()(**text).logits)


def test_a_base_whose_labels_have_other_names_is_refused(debug_run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(debug_run, tmp_path / "other")
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {str(k): f"LABEL_{k}" for k in range(7)}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(BaseModelError, match=r"tells label_0, .* apart, and the recipe sadness"):
        _load(str(folder))


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_base_that_is_cut_is_one_line(name: str, debug_run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(debug_run, tmp_path / "cut")
    (folder / name).write_bytes((folder / name).read_bytes()[:-100])
    with pytest.raises(BaseModelError, match=r"cannot be loaded, copy it again or name another \(.+\)$"):
        _load(str(folder))
    if name == "model.safetensors":
        with pytest.raises(ModelError, match=r"model\.safetensors cannot be read, copy it again"):
            rows_beside(folder / name)
        with pytest.raises(BaseModelError, match="cannot be loaded"):
            SentenceEncoder(str(folder), "cpu", bf16=False)


def test_emoji_change_neither_the_size_nor_other_tokens(minilm) -> None:  # type: ignore[no-untyped-def]
    model, tokenizer = minilm
    assert len(tokenizer) == model.config.vocab_size == 30_522
    assert tokenizer.convert_tokens_to_ids("happy") == 3407
    assert tokenizer.unk_token_id not in tokenizer.convert_tokens_to_ids(list(EMOJI))


def test_a_saved_tokenizer_opens_as_it_was(minilm, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from transformers import AutoTokenizer

    minilm[1].save_pretrained(tmp_path)
    text = "so happy😂 today ™"
    assert AutoTokenizer.from_pretrained(tmp_path)(text)["input_ids"] == minilm[1](text)["input_ids"]


def test_a_base_of_half_precision_is_trained_in_full(tmp_path: Path) -> None:
    model, tokenizer = _load("random")
    model.half().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again, _ = _load(str(tmp_path))
    assert {parameter.dtype for parameter in again.parameters()} == {torch.float32}


def test_the_head_has_the_labels_in_order() -> None:
    assert _load("random").__getitem__(0).config.id2label == dict(enumerate(LABELS))
    assert _load("random", EMOTIONS)[0].config.num_labels == 6


def test_labels_in_another_order_are_refused() -> None:
    with pytest.raises(BaseModelError, match="in that order"):
        _load("random", ("joy", "sadness"))


def test_a_base_that_cannot_be_had_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(BaseModelError, match="--base minilm"):
        _load(f"{DISTILBERT}-of-no-such-name")
