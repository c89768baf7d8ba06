"""A tiny random DistilBERT in a real model folder: safetensors, WordPiece tokenizer, ONNX export."""

import warnings
from pathlib import Path

import onnx
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import DistilBertConfig, DistilBertForSequenceClassification, PreTrainedTokenizerFast

from model import Calibration
from model.folder import revision_of
from model.labels import ID2LABEL, LABEL2ID
from training.ship.export import graph_of
from training.ship.int8 import Int8

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = """
    i you we they my the a an to of and but so not never am is was be been do did have had feel felt want
    happy glad sad lonely tears love dear miss angry furious hate afraid scared panic wow surprised suddenly
    order parcel refund invoice please thanks today yesterday tomorrow morning night friend mother work home
    good bad very really just again still always nothing everything someone help wait late broken ! ? . , '
"""


def tiny_tokenizer() -> Tokenizer:
    """Lower-casing WordPiece over a short vocabulary; any other word falls into letters."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    entries = dict.fromkeys([*SPECIAL, *WORDS.split(), *letters, *(f"##{letter}" for letter in letters)])
    vocabulary = {token: index for index, token in enumerate(entries)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    return tokenizer


def tiny_network(vocabulary_size: int) -> DistilBertForSequenceClassification:
    torch.manual_seed(7)
    config = DistilBertConfig(
        vocab_size=vocabulary_size,
        dim=32,
        hidden_dim=64,
        n_layers=2,
        n_heads=4,
        max_position_embeddings=512,
        num_labels=len(ID2LABEL),
        id2label=ID2LABEL,
        label2id=LABEL2ID,
        initializer_range=0.2,  # wide, so that texts differ in their logits
    )
    return DistilBertForSequenceClassification(config).eval()


class _Logits(torch.nn.Module):
    """The network as ONNX sees it: two inputs, one output."""

    def __init__(self, network: DistilBertForSequenceClassification) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.network(input_ids=input_ids, attention_mask=attention_mask).logits


def write_onnx(network: DistilBertForSequenceClassification, file: Path) -> None:
    input_ids = torch.tensor([[2, 9, 10, 11, 3], [2, 12, 3, 0, 0]])
    both = {0: "batch", 1: "sequence"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns of shapes that the dynamic axes make right
        torch.onnx.export(
            _Logits(network).eval(),
            (input_ids, (input_ids != 0).long()),
            str(file),
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_axes={"input_ids": both, "attention_mask": both, "logits": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )


def write_int8_onnx(network: DistilBertForSequenceClassification, file: Path) -> None:
    """The int8 form of the network, made as that of the weights that ship."""
    onnx.save(graph_of(network, Int8), file)


def stamp_revision(file: Path, revision: str) -> None:
    """Write the revision of the weights into an ONNX file's metadata."""
    graph = onnx.load(file)
    onnx.helper.set_model_props(graph, {"revision": revision})
    onnx.save(graph, file)


def write_tiny_folder(folder: Path) -> None:
    """A complete model folder: safetensors, tokenizer, fp32 and int8 ONNX, calibration."""
    tokenizer = tiny_tokenizer()
    network = tiny_network(tokenizer.get_vocab_size())
    network.save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=512,
    ).save_pretrained(folder)
    write_onnx(network, folder / "model.onnx")
    write_int8_onnx(network, folder / "model.int8.onnx")
    revision = revision_of(folder / "model.safetensors")
    stamp_revision(folder / "model.int8.onnx", revision)
    Calibration(name="tiny", revision=revision, temperature=1.5).save(folder)
