"""Cross-fitted readings say of a text what others like it carry, never what was marked of it."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from model.labels import EMOTIONS, LABELS
from tests.training.runs import taught
from training.bases.sentences import SentenceEncoder
from training.data.rows import Row
from training.errors import TrainingError
from training.evaluate.predict import soft_labels
from training.fit.crossfit import CrossFit, cross_fit, first_labels
from training.runs import CROSSFIT_FILE

PRESENCE = slice(len(LABELS), None)
ANGER, JOY = EMOTIONS.index("anger"), EMOTIONS.index("joy")
MISMARKED = Row("furious shouting at night", "joy", "brighter", unknown=("love",), language="sv")


def rows() -> list[Row]:
    places = ("at night", "today", "again", "in the house", "about work", "on the train")
    told = [("furious shouting", "anger"), ("delighted laughing", "joy"), ("a table", "neutral")]
    written = [
        Row(f"{words} {place} {count}", label, "brighter", unknown=("love",), language="sv")
        for count in range(5)
        for place in places
        for words, label in told
    ]
    return [*written, MISMARKED]


@pytest.fixture
def encoder(debug_run: Path, monkeypatch: pytest.MonkeyPatch) -> SentenceEncoder:
    return SentenceEncoder(str(debug_run), "cpu", bf16=False)


@pytest.fixture
def read(encoder: SentenceEncoder) -> CrossFit:
    return cross_fit(rows(), {"a base of every language": encoder})


def test_a_text_that_is_marked_as_no_text_like_it_is_read_by_its_words(read: CrossFit) -> None:
    said = read.of([MISMARKED.text])[0]
    assert said[PRESENCE][ANGER] > 0 > said[PRESENCE][JOY]
    assert said[: len(LABELS)].argmax() == ANGER


def test_marks_that_follow_from_no_words_are_not_known_by_heart(encoder: SentenceEncoder) -> None:
    rng = random.Random(7)
    words = ["".join(rng.sample("aeioulmnrst", 5)) for _ in range(150)]
    marked = [
        Row(" ".join(rng.sample(words, 6)), rng.choice(["anger", "joy"]), "brighter", language="sv")
        for _ in range(120)
    ]
    said = cross_fit(marked, {"a base of every language": encoder}).outputs[:, PRESENCE]
    right = [(said[i, ANGER] > 0) == (row.label == "anger") for i, row in enumerate(marked)]
    assert 0.3 < np.mean(right) < 0.7


def test_of_an_emotion_that_hardly_any_text_carries_nothing_is_said(read: CrossFit) -> None:
    silent = {EMOTIONS[k] for k in np.flatnonzero(np.isnan(read.outputs[:, PRESENCE]).all(axis=0))}
    assert silent == set(EMOTIONS) - {"anger", "joy"}
    assert np.exp(read.outputs[:, : len(LABELS)]).sum(axis=1) == pytest.approx(1, abs=0.01)


def test_languages_are_read_apart(encoder: SentenceEncoder) -> None:
    swapped = {"anger": "joy", "joy": "anger", "neutral": "neutral"}
    others = [replace(row, text=f"x {row.text}", label=swapped[row.label], language="ro") for row in rows()]
    said = cross_fit([*rows(), *others], {"a base of every language": encoder}).outputs
    swedish, romanian = said[: len(said) // 2], said[len(said) // 2 :]
    assert swedish[0, PRESENCE][ANGER] > 0 > swedish[0, PRESENCE][JOY]
    assert romanian[0, PRESENCE][JOY] > 0 > romanian[0, PRESENCE][ANGER]


def test_an_english_encoder_is_asked_of_english_alone(encoder: SentenceEncoder) -> None:
    english = [replace(row, language="en") for row in rows()]
    for texts, same in ((english, False), (rows(), True)):
        with_it, without = (cross_fit(texts, encoders) for encoders in ({"mpnet": encoder}, {}))
        assert np.array_equal(with_it.outputs, without.outputs, equal_nan=True) is same


@given(arrays(np.float64, (3, len(LABELS)), elements=st.floats(-6, 6)))
@example(np.array([[-3.0, -2.0, *[-3.0] * 5]] * 3))  # nothing is likely: others stand as high
def test_the_likeliest_label_stands_first_as_surely_as_it_is_there(present: np.ndarray) -> None:
    first = first_labels(present)
    assert (first >= 0).all()
    assert first.sum(axis=1) == pytest.approx(1, abs=1e-9)
    there = 1 / (1 + np.exp(-present))
    likeliest = there.max(axis=1)
    leading = first >= first.max(axis=1, keepdims=True) - 1e-12
    assert np.where(leading, there, 0).max(axis=1) == pytest.approx(likeliest)
    sure = likeliest > 0.5
    assert there[np.arange(3), first.argmax(axis=1)][sure] == pytest.approx(likeliest[sure])
    assert first.max(axis=1)[sure] == pytest.approx(likeliest[sure])


def test_two_feelings_outweigh_a_neutral_that_is_less_likely_than_either() -> None:
    odds = {"anger": 0.5, "fear": 0.4, "neutral": 0.2}
    first = first_labels(np.array([[odds.get(label, -9.0) for label in LABELS]]))[0]
    assert LABELS[int(first.argmax())] == "anger"
    assert first[LABELS.index("fear")] > first[LABELS.index("neutral")]


def test_of_its_own_texts_no_other_teacher_is_heard(read: CrossFit, debug_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "crossfit"
    folder.mkdir()
    read.save(folder)
    by_heart = [9.0 if label == "joy" else -9.0 for label in (*LABELS, *EMOTIONS)]
    heard = {"presence": 1.0, "presence_output": True, "asked": ["brighter", "goemotions"], "languages": []}
    network = taught(debug_run, tmp_path / "network", MISMARKED, by_heart, **heard)
    elsewhere = replace(MISMARKED, source="goemotions")
    soft = soft_labels([network, folder], [MISMARKED, elsewhere], len(LABELS))
    assert soft.shares.argmax(axis=1).tolist() == [ANGER, JOY]
    assert soft.alone.tolist() == [True, False]
    assert soft.present[0, ANGER] > 0.5 > soft.present[0, JOY]
    assert soft.present[1, JOY] > 0.5 > soft.present[1, ANGER]
    # What the readings do not say, the network may.
    assert soft.present[0, EMOTIONS.index("fear")] < 0.5


def test_a_text_that_came_later_says_how_to_read_it_too(read: CrossFit) -> None:
    with pytest.raises(TrainingError, match="emotion-train crossfit makes them anew"):
        read.of(["never read"])


def test_readings_that_are_cut_say_how_to_make_them_anew(read: CrossFit, tmp_path: Path) -> None:
    read.save(tmp_path)
    file = tmp_path / CROSSFIT_FILE
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(TrainingError, match="emotion-train crossfit makes it anew"):
        CrossFit.open(tmp_path)
