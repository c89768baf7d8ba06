"""The classifiers without weights, and the specifications that choose them."""

from pathlib import Path

import pytest

import model
from model import LABELS, Model, ModelError
from model.fake import FakeClassifier, FakeFailureError


def classify(classifier: Model, texts: list[str]) -> list[model.Emotion]:
    batch = classifier.tokenize(texts)
    return classifier.decide(batch, classifier.forward(batch))


def test_the_same_text_gets_the_same_answer_in_any_batch() -> None:
    texts = [f"message {number}" for number in range(50)]
    together = classify(FakeClassifier(), texts)
    assert together == [classify(FakeClassifier(), [text])[0] for text in texts]
    assert {emotion.label for emotion in together} == set(LABELS)


@pytest.mark.parametrize("label", LABELS)
def test_a_text_that_names_a_label_gets_it(label: str) -> None:
    (emotion,) = classify(FakeClassifier(), [f"{label}: where is my parcel"])
    assert emotion.label == label
    assert emotion.confidence > 0.7


def test_a_long_text_has_windows(tmp_path: Path) -> None:
    (encoded,) = FakeClassifier().tokenize(["fear " * 1000])
    assert [len(window) for window in encoded.windows] == [512, 512, 226]
    (emotion,) = classify(FakeClassifier(), ["fear " * 1000])
    assert (emotion.label, emotion.windows) == ("fear", 3)


def test_a_chosen_text_makes_its_batch_fail_and_no_other() -> None:
    fake = model.load("fake?fail_on=boom&fail_on=bang")
    for texts in (["fine", "a boom"], ["bang"]):
        with pytest.raises(FakeFailureError):
            fake.forward(fake.tokenize(texts))
    assert len(classify(fake, ["fine", "also fine"])) == 2


def test_the_null_model_counts_tokens_and_goes_round_the_labels() -> None:
    null = model.load("null")
    batch = null.tokenize(["x" * 80] * 14 + ["y" * 8000])
    assert [batch[0].tokens, batch[-1].tokens, len(batch[-1].windows)] == [20, 2000, 4]
    assert null.forward(batch).shape == (18, 7)
    labels = [emotion.label for emotion in null.decide(batch, null.forward(batch))]
    assert labels == [*LABELS, *LABELS, LABELS[0]]


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("fake?slow=1", "unknown option 'slow'; there are delay_ms, fail_on"),
        ("fake?delay_ms=soon", "delay_ms must be a number, not 'soon'"),
        ("fake?delay_ms=-5", "delay_ms must be from 0 to 86400000, not -5"),
        ("fake?delay_ms=nan", "delay_ms must be from 0 to 86400000, not nan"),
        ("fake?delay_ms=1e300", "delay_ms must be from 0 to 86400000, not 1e"),
        ("no/such/folder", "no/such/folder is no folder"),
    ],
)
def test_a_wrong_specification_is_said_in_one_line(spec: str, problem: str) -> None:
    with pytest.raises(ModelError, match=problem):
        model.load(spec)


def test_a_folder_is_loaded_by_its_path(tiny_folder: Path) -> None:
    assert model.load(str(tiny_folder), device="cpu", threads=1).info.name == "tiny"
