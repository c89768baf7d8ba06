"""Windows end to end, without padding: all of them, within bounds, and with the logits that padding gives."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from model import Logits, ModelError
from model.labels import ID2LABEL, LABEL2ID
from model.runtimes.beside import narrow_for_saving, widen
from model.runtimes.distilbert import PackedDistilBert, attention_by_length, varlen_attention
from model.runtimes.eager import PackedRunner, PaddedRunner
from model.runtimes.packing import SHORT, Budget, Pack, packs
from model.runtimes.pytorch import TorchRuntime, load_network
from tests.model.conftest import FolderMaker

SAME_ARITHMETIC = 1e-5
CPU = torch.device("cpu")


def windows_of(lengths: list[int], seed: int) -> list[list[int]]:
    choose = np.random.default_rng(seed)
    return [choose.integers(5, 90, size=length).tolist() for length in lengths]


LENGTHS = st.lists(st.one_of(st.integers(1, 30), st.integers(1, 200)), max_size=12)
WINDOWS = st.builds(windows_of, LENGTHS, st.integers(0, 9))


@pytest.fixture(scope="module")
def padded(tiny_folder: Path) -> PaddedRunner:
    return PaddedRunner(load_network(tiny_folder), device=CPU, pad_token_id=0, outputs=7)


@pytest.fixture(scope="module")
def network(tiny_folder: Path) -> PackedDistilBert:
    return PackedDistilBert(
        load_network(tiny_folder), device=CPU, dtype=torch.float32, attention=attention_by_length
    )


@settings(max_examples=50)
@given(windows=WINDOWS, max_tokens=st.integers(200, 2_000), max_windows=st.integers(1, 40))
def test_every_window_is_whole_in_one_pack_and_packs_keep_to_their_bounds(
    windows: list[list[int]], max_tokens: int, max_windows: int
) -> None:
    found = {}
    for pack in packs(windows, max_tokens, max_windows):
        assert pack.tokens <= max_tokens
        assert pack.windows <= max_windows
        for row, start, end in zip(pack.rows, pack.starts[:-1], pack.starts[1:], strict=True):
            found[int(row)] = pack.input_ids[start:end].tolist()
            assert pack.positions[start:end].tolist() == list(range(end - start))
            assert (end - start > SHORT) == (pack.longest > SHORT)
    assert [found[row] for row in range(len(windows))] == windows
    assert len(found) == len(windows)


@pytest.mark.parametrize("windows", [[[1, 2], []], [[1] * 513]])
def test_a_window_that_cannot_be_packed_is_refused(windows: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="1 to 512 tokens"):
        list(packs(windows, 512, 8))


@settings(max_examples=15)
@given(windows=WINDOWS)
def test_packed_logits_are_the_padded_ones_for_any_mix_of_lengths(
    network: PackedDistilBert, padded: PaddedRunner, windows: list[list[int]]
) -> None:
    packed = PackedRunner(network).forward(windows)
    np.testing.assert_allclose(packed, padded.forward(windows), atol=SAME_ARITHMETIC, rtol=0)


@settings(max_examples=15)
@given(windows=WINDOWS.filter(len), seed=st.integers(0, 9))
def test_a_window_has_the_same_logits_whatever_it_is_packed_with(
    network: PackedDistilBert, windows: list[list[int]], seed: int
) -> None:
    rows = np.random.default_rng(seed).permutation(len(windows)).tolist()
    runner = PackedRunner(network)
    shuffled = runner.forward([windows[row] for row in rows])
    np.testing.assert_allclose(shuffled, runner.forward(windows)[rows], atol=SAME_ARITHMETIC, rtol=0)
    alone = runner.forward(windows[:1])
    np.testing.assert_allclose(shuffled[rows.index(0)], alone[0], atol=SAME_ARITHMETIC, rtol=0)


@settings(max_examples=15)
@given(windows=WINDOWS.filter(len), junk=st.integers(0, 90))
def test_what_a_budget_leaves_free_counts_for_nothing(
    tiny_folder: Path, network: PackedDistilBert, windows: list[list[int]], junk: int
) -> None:
    """As a CUDA graph runs it: room of a fixed size that still holds another pack, attention that leaves what
    belongs to no window as it finds it."""

    def forward(pack: Pack, budget: Budget) -> Logits:
        room = np.full(sum(budget.parts), junk, dtype=np.int32)
        budget.lay_out(pack, room)
        parts = torch.split(torch.from_numpy(room), list(budget.parts))
        return spoiling.forward(*parts, pack.longest).numpy()[: pack.windows]

    def attention(*parts: torch.Tensor | int) -> torch.Tensor:
        result = attention_by_length(*parts)  # type: ignore[arg-type]
        starts = parts[3]
        assert isinstance(starts, torch.Tensor)
        result[int(starts[-1]) :] = torch.nan
        return result

    spoiling = PackedDistilBert(
        load_network(tiny_folder), device=CPU, dtype=torch.float32, attention=attention
    )
    plain = PackedRunner(network).forward(windows)
    for pack in packs(windows, 400, 10):
        found = forward(pack, Budget(600, 12))
        np.testing.assert_allclose(found, plain[pack.rows], atol=SAME_ARITHMETIC, rtol=0)


def test_an_output_for_distress_is_the_last_logit(tiny_folder: Path) -> None:
    wide = load_network(tiny_folder)
    widen(wide, {"distress": (torch.linspace(-1, 1, 32)[None], torch.tensor([0.5]))})
    windows = [[2, 9, 10, 3], [2, 12, 3], [2, 30, 31, 32, 33, 3]]
    expected = PaddedRunner(wide, device=CPU, pad_token_id=0, outputs=8).forward(windows)
    packed = PackedDistilBert(wide, device=CPU, dtype=torch.float32, attention=attention_by_length)
    assert expected.shape == (3, 8)
    np.testing.assert_allclose(PackedRunner(packed).forward(windows), expected, atol=SAME_ARITHMETIC, rtol=0)


def test_a_network_without_outputs_beside_its_labels_is_saved_as_it_is(tiny_folder: Path) -> None:
    plain = load_network(tiny_folder)
    head = plain.classifier
    narrow_for_saving(plain)
    assert plain.classifier is head
    sizes = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    other = RobertaForSequenceClassification(RobertaConfig(**sizes, num_labels=7))
    head = other.classifier  # a module of two layers
    narrow_for_saving(other)
    assert other.classifier is head


def test_torch_packs_a_distilbert(tiny_folder: Path) -> None:
    runtime = TorchRuntime(tiny_folder, device="cpu", precision="fp32", pad_token_id=0)
    assert runtime.layout == "packed"


@pytest.mark.parametrize(
    ("config", "network"),
    [(BertConfig, BertForSequenceClassification), (RobertaConfig, RobertaForSequenceClassification)],
)
def test_another_architecture_is_padded(
    make_folder: FolderMaker, config: type[BertConfig], network: type[BertForSequenceClassification]
) -> None:
    folder = make_folder(without=("model.safetensors", "config.json"))
    tiny = config(
        vocab_size=200,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_labels=7,
        id2label=ID2LABEL,
        label2id=LABEL2ID,
    )
    network(tiny).save_pretrained(folder)
    runtime = TorchRuntime(folder, device="cpu", precision="fp32", pad_token_id=0)
    assert runtime.layout == "padded"
    assert runtime.forward([[2, 9, 3]]).shape == (1, 7)
    assert runtime.forward([]).shape == (0, 7)
    with pytest.raises(ModelError, match="cannot be packed on cpu in fp32"):
        TorchRuntime(folder, device="cpu", precision="fp32", pad_token_id=0, layout="packed")


def test_a_device_without_the_kernel_is_known_by_trying_it() -> None:
    assert varlen_attention(CPU, torch.bfloat16, 4, 8) is None
