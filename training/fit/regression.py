"""A logistic regression towards shares: what a probe and a row fitted anew are made by."""

from typing import Final

import numpy as np

from training.metrics import Floats

MOST_ITERATIONS: Final = 1000


def regress(inputs: Floats, shares: Floats, counted: Floats, penalty: float) -> tuple[Floats, float]:
    """Weights (width,) and bias of a logistic regression of ``inputs`` (N, width) towards shares from 0 to 1.

    Each row counts as both answers, with its share of either, as much as ``counted`` (N,) says. ``penalty``:
    inverse strength of the L2 penalty (C of scikit-learn).
    """
    from sklearn.linear_model import LogisticRegression

    answers = np.repeat([1, 0], len(inputs))
    both = np.concatenate([shares * counted, (1 - shares) * counted])
    fitted = LogisticRegression(C=penalty, max_iter=MOST_ITERATIONS).fit(
        np.tile(inputs, (2, 1)), answers, both
    )
    return fitted.coef_[0], float(fitted.intercept_[0])
