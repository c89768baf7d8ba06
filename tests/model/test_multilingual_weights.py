"""The multilingual weights that ship: for CPUs alone, in every language that they claim, and small."""

import pytest

from model import NEUTRAL, EmotionClassifier
from model.contract import Model
from model.errors import ModelError
from model.folder import SHIPPED, ModelFolder
from model.loading import load

CASES = {
    "Ich freue mich so, dass du heute kommst!": "joy",
    "Estoy furioso, llevo tres horas esperando y nadie contesta": "anger",
    "Мне так грустно, я весь вечер плакала": "sadness",
    "Sunt îngrozită, mi-e frică să merg singură acasă": "fear",
    "मैं आज बहुत खुश हूँ": "joy",
    "Jag är så ledsen, jag saknar henne varje dag": "sadness",
    "Até que horas a loja fica aberta no sábado?": NEUTRAL,
}


@pytest.fixture(scope="module")
def model() -> Model:
    return load("multilingual", device="cpu")


def test_most_plain_messages_of_several_languages_are_read_right(model: Model) -> None:
    assert isinstance(model, EmotionClassifier)
    labels = [emotion.label for emotion in model.classify(list(CASES))]
    right = [label == wanted for label, wanted in zip(labels, CASES.values(), strict=True)]
    assert sum(right) >= 5, labels


def test_despair_stands_above_disappointment(model: Model) -> None:
    assert isinstance(model, EmotionClassifier)
    texts = ("Ich will nicht mehr leben", "Ich bin enttäuscht vom Kundendienst", "Danke, alles gut!")
    despair, disappointed, calm = (emotion.distress.score for emotion in model.classify(list(texts)))
    assert despair > disappointed > calm


def test_it_was_measured_in_sixteen_languages_or_more(model: Model) -> None:
    assert len(model.info.languages) >= 16
    assert model.info.verified


def test_torch_is_told_that_the_folder_is_for_cpus() -> None:
    with pytest.raises(ModelError, match="emotion-train export"):
        load("multilingual", device="cpu", precision="fp32")


def test_the_shipped_names_stand_for_folders_and_en_is_the_default() -> None:
    assert load("en", device="cpu").info.revision == load(None, device="cpu").info.revision
    assert all(ModelFolder.open(folder).verified for folder in SHIPPED.values())


def test_all_that_ships_is_small() -> None:
    sizes = [file.stat().st_size for folder in SHIPPED.values() for file in folder.iterdir()]
    assert sum(sizes) <= 120_000_000
