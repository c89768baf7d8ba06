"""Scores agree with scikit-learn, and calibration error means what it says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from training.metrics import (
    accuracy,
    bootstrap_interval,
    ece,
    hard_label_roc_auc,
    macro_f1,
    reliability,
    roc_auc,
    six_way,
    softmax,
    weighted_f1,
)

PAIRS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=60)


@settings(deadline=None)  # scikit-learn is slow on its first call
@given(PAIRS)
def test_f1_is_that_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    predicted, labels = (np.array(column) for column in zip(*pairs, strict=True))
    assert macro_f1(predicted, labels, 7) == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert weighted_f1(predicted, labels, 7) == pytest.approx(f1_score(labels, predicted, average="weighted"))


def test_the_benchmark_ignores_the_neutral_logit() -> None:
    logits = np.array([[1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 99.0]])
    probabilities = six_way(logits)
    assert probabilities.shape == (1, 6)
    assert probabilities.sum() == pytest.approx(1.0)
    assert probabilities.argmax() == 1


def test_softmax_bears_large_logits_and_flattens_with_temperature() -> None:
    assert softmax(np.array([[1e4, 0.0]])).tolist() == [[1.0, 0.0]]
    warm, hot = (softmax(np.array([[2.0, 0.0]]), temperature)[0, 0] for temperature in (1.0, 4.0))
    assert warm > hot > 0.5


def test_a_model_that_is_as_right_as_it_is_sure_has_no_calibration_error() -> None:
    probabilities = np.tile([0.75, 0.25], (400, 1))
    labels = np.array([0] * 300 + [1] * 100)
    assert ece(probabilities, labels) == pytest.approx(0.0)
    assert ece(probabilities, np.zeros(400, dtype=int)) == pytest.approx(0.25)


def test_reliability_counts_every_row_once() -> None:
    probabilities = softmax(np.random.default_rng(0).normal(size=(500, 6)))
    measured = reliability(probabilities, np.zeros(500, dtype=int))
    assert measured.rows.sum() == 500


def test_roc_auc_from_probabilities_sees_more_than_from_hard_labels() -> None:
    scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.55, 0.45], [0.1, 0.9]])
    labels = np.array([0, 0, 1, 1])
    assert roc_auc(scores, labels, "weighted") == 1.0
    assert hard_label_roc_auc(scores.argmax(axis=1), labels, 2) < 1.0


def test_the_bootstrap_interval_holds_the_score_and_narrows_with_rows() -> None:
    def width(rows: int) -> float:
        right = np.arange(rows) % 10 > 0
        low, high = bootstrap_interval(lambda part: float(right[part].mean()), rows)
        assert low <= 0.9 <= high
        return high - low

    assert width(2_000) < width(100)


def test_accuracy_is_the_share_of_right_rows() -> None:
    assert accuracy(np.array([1, 2, 3, 4]), np.array([1, 2, 0, 0])) == 0.5
