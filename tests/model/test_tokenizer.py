"""Texts to windows of token ids, on a real tokenizer."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer as RustTokenizer
from transformers import AutoTokenizer

from model import Encoded, ModelError
from model.tokenizer import Tokenizer
from tests.model.conftest import FolderMaker

CLS, SEP = 2, 3


@pytest.fixture
def tokenizer(tiny_folder: Path) -> Tokenizer:
    return Tokenizer.load(tiny_folder, max_tokens=512, overlap_tokens=64)


def content(encoded: Encoded) -> list[int]:
    """The ids of a text in one window, without special tokens."""
    (window,) = encoded.windows
    assert (window[0], window[-1]) == (CLS, SEP)
    return list(window[1:-1])


def test_a_text_is_tokenized_as_transformers_does_it_in_training(
    tokenizer: Tokenizer, tiny_folder: Path
) -> None:
    texts = ["I am SO happy today!!", "über-café, naïve 🎉", "", "   ", "don't\tstop\nnow", "a" * 300]
    expected = AutoTokenizer.from_pretrained(tiny_folder)(texts)["input_ids"]
    assert [list(encoded.windows[0]) for encoded in tokenizer.encode(texts)] == expected


def test_a_short_text_is_one_window(tokenizer: Tokenizer) -> None:
    (encoded,) = tokenizer.encode(["i am happy"])
    assert (len(encoded.windows), encoded.tokens, encoded.longest) == (1, 5, 5)


def test_a_text_of_exactly_the_models_length_is_one_window(tokenizer: Tokenizer) -> None:
    fits, too_long = tokenizer.encode(["sad " * 510, "sad " * 511])
    assert [len(fits.windows), fits.tokens] == [1, 512]
    assert len(too_long.windows) == 2


def test_a_long_text_keeps_every_token_in_overlapping_windows(
    tokenizer: Tokenizer, tiny_folder: Path
) -> None:
    text = " ".join(["i feel sad but my friend is happy today ."] * 150)
    rust = RustTokenizer.from_file(str(tiny_folder / "tokenizer.json"))
    token_ids = rust.encode(text, add_special_tokens=False).ids
    (encoded,) = tokenizer.encode([text])
    assert all(len(window) <= 512 and (window[0], window[-1]) == (CLS, SEP) for window in encoded.windows)
    read = list(encoded.windows[0][1:-1])
    for window in encoded.windows[1:]:
        shared = next(n for n in range(64, 512) if read[-n:] == list(window[1 : n + 1]))
        read += window[shared + 1 : -1]
    assert read == token_ids


def test_a_megabyte_of_text_is_all_there(tokenizer: Tokenizer) -> None:
    (encoded,) = tokenizer.encode(["happy! " * (1_000_000 // 7)])
    assert 285_714 < encoded.tokens < 285_714 * 1.15


def test_special_tokens_that_somebody_typed_are_plain_text(tokenizer: Tokenizer) -> None:
    (encoded,) = tokenizer.encode(["[SEP] sad [CLS]"])
    assert CLS not in content(encoded)
    assert SEP not in content(encoded)


def test_half_a_surrogate_pair_spoils_neither_its_text_nor_the_batch(tokenizer: Tokenizer) -> None:
    broken, fine = tokenizer.encode(["sad \ud83d", "happy"])
    assert [len(content(broken)), len(content(fine))] == [2, 1]


def test_a_folder_without_a_fast_tokenizer_says_so(make_folder: FolderMaker) -> None:
    folder = make_folder(without=("tokenizer.json",))
    with pytest.raises(
        ModelError, match=r"tokenizer\.json is missing: save the model with its fast tokenizer"
    ):
        Tokenizer.load(folder, max_tokens=512, overlap_tokens=64)


def test_a_truncated_tokenizer_says_so(make_folder: FolderMaker) -> None:
    folder = make_folder()
    file = folder / "tokenizer.json"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"tokenizer\.json cannot be read, copy it again"):
        Tokenizer.load(folder, max_tokens=512, overlap_tokens=64)
