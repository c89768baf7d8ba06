"""A probe learns from few labels, and says nothing of what it was not taught."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from model.labels import EMOTIONS, LABELS
from tests.training.runs import taught
from training.bases.sentences import SentenceEncoder
from training.data.rows import Row
from training.errors import TrainingError
from training.evaluate.predict import soft_labels
from training.fit.probe import Probe, fit_probe
from training.runs import PROBE_FILE

ANGRY, GLAD = "the house x again", "dinner j at night"
NOT_ASKED = ("love",)


@pytest.fixture
def encoder(debug_run: Path, monkeypatch: pytest.MonkeyPatch) -> SentenceEncoder:
    """The small network of the debug run in place of the big one, which comes from five packages."""
    monkeypatch.setattr("training.bases.sentences.mpnet_folder", lambda: debug_run)
    return SentenceEncoder("mpnet", "cpu", bf16=False)


def rows() -> list[Row]:
    told = [
        ("about work x maybe", "anger"),
        ("x today", "anger"),
        ("really j", "joy"),
        ("train j about", "joy"),
    ]
    graded = [("night v house", 3), ("v v again", 3), ("dinner at work", 0), ("maybe today", 0)]
    return [
        *(Row(text, label, "brighter_en", unknown=NOT_ASKED) for text, label in told * 20),
        *(Row(text, "neutral", "distress", unknown=LABELS, distress=grade) for text, grade in graded * 20),
    ]


@pytest.fixture
def probe(encoder: SentenceEncoder, tmp_path: Path) -> Path:
    fit_probe(rows(), "mpnet", encoder).save(tmp_path)
    return tmp_path


def test_an_embedding_has_length_one_whatever_stands_beside_its_text(encoder: SentenceEncoder) -> None:
    together = encoder.embed([ANGRY, "a much longer text about the house at night again and again", GLAD])
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(3))
    assert encoder.embed([GLAD])[0] == pytest.approx(together[2], abs=1e-5)


def test_it_tells_feelings_and_distress_apart(encoder: SentenceEncoder, probe: Path) -> None:
    said = Probe.open(probe).outputs(encoder.embed([ANGRY, GLAD, "v house", "at work"]))
    anger, joy = EMOTIONS.index("anger"), EMOTIONS.index("joy")
    assert said[0, anger] > said[1, anger]
    assert said[1, joy] > said[0, joy]
    assert said[2, -1] > said[3, -1]


def test_of_what_nobody_marked_it_says_nothing(encoder: SentenceEncoder, probe: Path) -> None:
    said = Probe.open(probe).outputs(encoder.embed([ANGRY]))
    silent = [label for label, value in zip(LABELS, said[0], strict=False) if np.isnan(value)]
    assert set(silent) >= {"love", "neutral"}
    assert not {"anger", "joy"} & set(silent)


def test_as_a_teacher_it_speaks_of_presence_and_distress_and_ranks_nothing(probe: Path) -> None:
    comments = [Row(ANGRY, "joy", "goemotions"), Row(GLAD, "joy", "goemotions")]
    soft = soft_labels([probe], comments, len(LABELS))
    assert soft.shares[0].argmax() == LABELS.index("joy")  # the row's own: nobody else was asked
    angry, glad = soft.present[:, LABELS.index("anger")]
    assert angry > glad
    assert np.isnan(soft.present[0, LABELS.index("neutral")])
    assert 0 < soft.distress[0] < 1


def test_it_is_asked_of_comments_and_messages_alone(probe: Path) -> None:
    soft = soft_labels([probe], [Row("never read", "joy", "xed")], len(LABELS))
    assert np.isnan(soft.present).all()
    assert np.isnan(soft.distress).all()


def test_where_it_knows_a_row_distress_is_for_it_alone_to_say(
    probe: Path, debug_run: Path, tmp_path: Path
) -> None:
    comment = Row(ANGRY, "joy", "goemotions")
    sure = [0.0] * len(LABELS) + [9.0]
    network = taught(debug_run, tmp_path / "network", comment, sure, distress=1.0, asked=["goemotions"])
    alone, beside = (soft_labels(teachers, [comment], 7).distress for teachers in ([probe], [probe, network]))
    assert beside[0] == alone[0] < 0.9
    assert soft_labels([network], [comment], 7).distress[0] > 0.9


def test_a_probe_whose_file_is_cut_says_how_to_make_it_anew(probe: Path, tmp_path: Path) -> None:
    cut = shutil.copytree(probe, tmp_path / "probe")
    (cut / PROBE_FILE).write_bytes((cut / PROBE_FILE).read_bytes()[:-100])
    with pytest.raises(TrainingError, match="cannot be read: emotion-train probe makes it anew"):
        Probe.open(cut)


def test_a_teacher_is_asked_again_where_what_it_said_is_cut(debug_run: Path, tmp_path: Path) -> None:
    row = Row("never read", "love", "emotion")
    teacher = taught(debug_run, tmp_path / "teacher", row, [9.0, -9, 2, -9, -9, -9, -9])
    before = soft_labels([teacher], [row], len(LABELS), device="cpu").shares
    (said,) = teacher.glob("soft-*.npz")
    said.write_bytes(said.read_bytes()[:-100])
    again = soft_labels([teacher], [row], len(LABELS), device="cpu").shares
    assert before[0, 0] > 0.9
    assert again[0].sum() == pytest.approx(1)
    assert again[0, 0] < 0.9
