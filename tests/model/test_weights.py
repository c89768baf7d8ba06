"""The weights that ship: complete, readable by transformers, and right on plain cases."""

from pathlib import Path
from statistics import mean

import pytest
from transformers import pipeline

from model import EMOTIONS, LABELS, NEUTRAL, EmotionClassifier

CASES = {
    "I can't believe how beautiful this day is!": "joy",
    "Why would you betray me like this?": "anger",
    "I miss my grandmother so much, I have been crying all evening": "sadness",
    "I'm terrified of walking home alone in the dark": "fear",
    "The invoice number is 48213 and the delivery address has not changed.": NEUTRAL,
}


ORDINARY = (
    "My order never came and I'm furious",
    "i am so angry at my brother right now",
    "You're not a burden here, stay with us as long as you like.",
    "The helpline is open day and night, and it is free.",
    "How long does the kettle take to boil?",
    "This queue is killing me, I'm dead lol",
)


@pytest.fixture(scope="module")
def classifier(shipped_folder: Path) -> EmotionClassifier:
    return EmotionClassifier.load(shipped_folder, device="cpu")


@pytest.mark.parametrize(("text", "label"), CASES.items())
def test_plain_cases_are_read_right(classifier: EmotionClassifier, text: str, label: str) -> None:
    (emotion,) = classifier.classify([text])
    assert emotion.label == label


@pytest.mark.parametrize("text", ORDINARY)
def test_anger_words_of_comfort_and_manners_of_speaking_are_no_distress(
    classifier: EmotionClassifier, text: str
) -> None:
    (emotion,) = classifier.classify([text])
    assert emotion.distress.level == "none"


@pytest.mark.parametrize(
    "text", ["I want to die", "I can't do this anymore, I just want it to be over, I have said my goodbyes"]
)
def test_despair_reaches_the_level_that_a_person_is_shown(classifier: EmotionClassifier, text: str) -> None:
    (emotion,) = classifier.classify([text])
    assert emotion.distress.level in ("elevated", "high")


def test_the_folder_runs_on_a_cpu_without_torch(classifier: EmotionClassifier) -> None:
    assert (classifier.info.precision, classifier.info.languages) == ("int8", ("en",))


def test_int8_and_fp32_differ_little_on_average(classifier: EmotionClassifier, shipped_folder: Path) -> None:
    exact = EmotionClassifier.load(shipped_folder, device="cpu", precision="fp32")
    differences = [
        abs(quantised.scores[emotion] - full.scores[emotion])
        for quantised, full in zip(classifier.classify(list(CASES)), exact.classify(list(CASES)), strict=True)
        for emotion in EMOTIONS
    ]
    assert mean(differences) < 0.03


def test_a_text_scores_the_same_alone_and_in_a_batch(classifier: EmotionClassifier) -> None:
    for text, in_batch in zip(CASES, classifier.classify(list(CASES)), strict=True):
        assert in_batch.scores == pytest.approx(classifier.classify([text])[0].scores, abs=0.05)


def test_transformers_opens_the_folder(shipped_folder: Path) -> None:
    label = pipeline("text-classification", model=str(shipped_folder), device="cpu")
    for text, answer in zip(CASES, label(list(CASES)), strict=True):
        assert answer["label"] in LABELS, text


def test_the_folder_is_small_enough_to_ship(shipped_folder: Path) -> None:
    assert sum(file.stat().st_size for file in shipped_folder.iterdir()) <= 120_000_000
