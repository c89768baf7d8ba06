"""The whole classifier on a real, tiny model folder."""

from pathlib import Path

import pytest
import torch
from transformers import DistilBertConfig, DistilBertForSequenceClassification, pipeline

from model import EMOTIONS, LABELS, EmotionClassifier, Model, ModelError
from model.runtimes.pytorch import precision_of
from tests.model.conftest import FolderMaker

TEXTS = [
    "I am so happy today!",
    "nothing but tears",
    "",
    "WHERE is my refund???",
    "🎉",
    "i am afraid of the night",
]


@pytest.fixture(scope="module")
def int8(tiny_folder: Path) -> EmotionClassifier:
    return EmotionClassifier.load(tiny_folder, device="cpu")


@pytest.fixture(scope="module")
def fp32(tiny_folder: Path) -> EmotionClassifier:
    return EmotionClassifier.load(tiny_folder, device="cpu", precision="fp32")


def test_every_text_has_one_emotion_in_order(int8: EmotionClassifier) -> None:
    emotions = int8.classify(TEXTS)
    assert len(emotions) == len(TEXTS)
    for emotion in emotions:
        assert emotion.label in LABELS
        assert list(emotion.scores) == list(EMOTIONS)
        assert sum(emotion.scores.values()) + emotion.neutral == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_many_texts_are_classified_in_parts_and_in_order(
    int8: EmotionClassifier, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    texts = TEXTS[:count]
    whole = int8.classify(texts)
    monkeypatch.setattr("model.classifier.CLASSIFY_TEXTS", 2)
    parts = int8.classify(texts)
    assert [emotion.label for emotion in parts] == [emotion.label for emotion in whole]
    for one, other in zip(parts, whole, strict=True):
        assert one.scores == pytest.approx(other.scores, abs=1e-5)


def test_a_bare_string_is_not_taken_for_its_letters(int8: EmotionClassifier) -> None:
    with pytest.raises(TypeError, match=r"classify\(\[text\]\)"):
        int8.classify("happy")


def test_no_texts_have_no_emotions(int8: EmotionClassifier) -> None:
    assert int8.classify([]) == []


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_a_text_scores_the_same_alone_and_in_any_batch(
    request: pytest.FixtureRequest, precision: str
) -> None:
    classifier: EmotionClassifier = request.getfixturevalue(precision)
    together = classifier.classify([*TEXTS, "home " * 700])
    backwards = classifier.classify(["home " * 700, *reversed(TEXTS)])[::-1]
    alone = [classifier.classify([text])[0] for text in TEXTS]
    for text_alone, in_batch, in_other in zip(alone, together, backwards, strict=False):
        assert in_batch.scores == pytest.approx(text_alone.scores, abs=2e-6)
        assert in_other.scores == pytest.approx(text_alone.scores, abs=2e-6)


def test_both_runtimes_say_the_same_within_the_tolerance_of_int8(
    int8: EmotionClassifier, fp32: EmotionClassifier
) -> None:
    for quantised, exact in zip(int8.classify(TEXTS), fp32.classify(TEXTS), strict=True):
        assert quantised.scores == pytest.approx(exact.scores, abs=0.03)


def test_a_long_text_is_read_to_its_end(fp32: EmotionClassifier) -> None:
    long = "i am happy . " * 300
    happy, ends_sad = fp32.classify([long, long + "i am sad and lonely and afraid . " * 60])
    assert (happy.windows, ends_sad.windows) == (3, 4)
    assert happy.scores != pytest.approx(ends_sad.scores, abs=0.01)


def test_the_three_steps_are_what_classify_does(int8: EmotionClassifier) -> None:
    model: Model = int8
    batch = model.tokenize(TEXTS)
    assert model.decide(batch, model.forward(batch)) == int8.classify(TEXTS)


def test_warming_up_runs(int8: EmotionClassifier, fp32: EmotionClassifier) -> None:
    int8.warm_up()
    fp32.warm_up()


def test_info_names_weights_language_and_where_they_run(make_folder: FolderMaker) -> None:
    info = EmotionClassifier.load(make_folder(language="de", name="gefühl"), device="cpu").info
    assert (info.name, info.languages, info.device, info.precision) == ("gefühl", ("de",), "cpu", "int8")
    assert len(info.revision) == 12


def test_a_plain_folder_of_six_labels_scores_as_transformers_does(make_folder: FolderMaker) -> None:
    folder = make_folder(without=("model.int8.onnx", "calibration.json"))
    names = ("joy", "anger", "fear", "love", "sadness", "surprise")
    config = DistilBertConfig.from_pretrained(folder, num_labels=6, id2label=dict(enumerate(names)))
    DistilBertForSequenceClassification(config).save_pretrained(folder)
    (emotion,) = EmotionClassifier.load(folder, device="cpu").classify(["i am happy"])
    (answers,) = pipeline("text-classification", model=str(folder), device="cpu", top_k=None)(["i am happy"])
    assert emotion.scores == pytest.approx({answer["label"]: answer["score"] for answer in answers}, abs=2e-6)
    assert (emotion.neutral, emotion.label) == (0.0, answers[0]["label"])


class TestPrecision:
    def test_a_cpu_takes_the_int8_file_where_there_is_one(self, tiny_folder: Path) -> None:
        info = EmotionClassifier.load(tiny_folder, device="cpu").info
        assert (info.device, info.precision) == ("cpu", "int8")

    def test_a_cpu_takes_torch_where_there_is_no_int8_file(self, make_folder: FolderMaker) -> None:
        folder = make_folder(without=("model.int8.onnx",))
        assert EmotionClassifier.load(folder, device="cpu").info.precision == "fp32"

    def test_auto_is_a_gpu_where_torch_sees_one(self, tiny_folder: Path) -> None:
        expected = ("cuda", precision_of("cuda")) if torch.cuda.is_available() else ("cpu", "int8")
        info = EmotionClassifier.load(tiny_folder).info
        assert (info.device, info.precision) == expected

    def test_int8_without_safetensors_needs_no_torch(self, make_folder: FolderMaker) -> None:
        folder = make_folder(without=("model.safetensors",))
        assert EmotionClassifier.load(folder).info.precision == "int8"

    @pytest.mark.parametrize(
        ("without", "device", "precision", "problem"),
        [
            ((), "cpu", "int4", "precision 'int4' is unknown: use auto, int8"),
            ((), "cuda", "int8", "int8 runs on the CPU only, not on cuda"),
            (("model.int8.onnx",), "cpu", "int8", "model.int8.onnx is missing: emotion-train export"),
            (("model.safetensors", "calibration.json"), "cpu", "fp32", "model.safetensors is missing"),
        ],
    )
    def test_what_cannot_be_had_is_said_in_one_line(
        self, make_folder: FolderMaker, without: tuple[str, ...], device: str, precision: str, problem: str
    ) -> None:
        with pytest.raises(ModelError) as caught:
            EmotionClassifier.load(make_folder(without=without), device=device, precision=precision)
        assert problem in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_pickle_is_refused_unopened(make_folder: FolderMaker) -> None:
    folder = make_folder(without=("model.safetensors", "model.int8.onnx", "calibration.json"))
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(ModelError, match=r"pytorch_model\.bin is a pickle .*safetensors only"):
        EmotionClassifier.load(folder)


def test_a_tokenizer_of_another_model_is_refused(make_folder: FolderMaker) -> None:
    """Its tokens would be none of the network's, which fails on the first text that has one."""
    path = make_folder(config={"vocab_size": 50})
    with pytest.raises(ModelError, match="its network 50, so they are not of one model: copy the whole"):
        EmotionClassifier.load(path, device="cpu")


def five_labels() -> dict[str, object]:
    """The configuration of a network that has two labels less than the tiny one."""
    return {
        "id2label": dict(enumerate(EMOTIONS[:5])),
        "label2id": {name: n for n, name in enumerate(EMOTIONS[:5])},
    }


def test_a_network_of_other_labels_than_its_folder_names_is_refused(make_folder: FolderMaker) -> None:
    path = make_folder(config=five_labels())
    says = (
        r"config\.json names 5 labels and its network has 7 outputs, so they are not of one model: copy the"
    )
    with pytest.raises(ModelError, match=says):
        EmotionClassifier.load(path, device="cpu")


def test_weights_of_other_labels_than_their_folder_names_are_refused(make_folder: FolderMaker) -> None:
    path = make_folder(config=five_labels())
    says = r"model\.safetensors: classifier\.bias has the shape \(7,\), and \(5,\) by config\.json"
    with pytest.raises(ModelError, match=says) as caught:
        EmotionClassifier.load(path, device="cpu", precision="fp32")
    assert "\n" not in str(caught.value)


def test_a_count_of_labels_beside_their_names_is_believed_by_nobody(make_folder: FolderMaker) -> None:
    """``transformers`` would build seven outputs of it, of which two have no name."""
    path = make_folder(config={**five_labels(), "num_labels": 7})
    with pytest.raises(ModelError, match=r"config\.json names 5 labels and its network has 7 outputs"):
        EmotionClassifier.load(path, device="cpu", precision="fp32")
