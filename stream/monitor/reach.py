"""How far the measures of author rules can go, so that a rule which can never fire is refused. Pure.

Scores lie between 0 and 1, and each mean moves by its weight of the way to the next score. So a mean can do
no more than that of an author who turns from all calm to all distress, or back again.
"""

import math
from typing import Final

_ROUNDING: Final = 1e-9
"""More than what a sum of scores can be wrong by."""


def weight(span: int) -> float:
    """Weight of the newest message in an exponentially weighted mean over about ``span`` messages."""
    return 2.0 / (span + 1.0)


def highest_rise(span: int, messages: int) -> float:
    """How far the mean over about ``span`` messages can rise within so many messages at most."""
    return 1.0 - (1.0 - weight(span)) ** messages + _ROUNDING


def furthest_above(span: int, baseline_span: int, level: float) -> float:
    """How far the mean over about ``span`` messages, once at ``level``, can lie above its baseline at most.

    After messages of distress that leave the share x of a mean as it was, the share x^c is left of another:
    of an author who was calm, the means are 1 - x and 1 - x^c. Where the baseline is the shorter mean it
    falls first, and of an author who was not calm they are x and x^c.
    """
    rate, baseline_rate = _rate(span), _rate(baseline_span)
    if rate == baseline_rate:
        return _ROUNDING
    c = baseline_rate / rate
    x = math.pow(c, 1.0 / (1.0 - c))
    if c < 1.0:
        x = min(x, max(1.0 - level, _ROUNDING))
        return math.pow(x, c) - x + _ROUNDING
    x = max(x, level)
    return x - math.pow(x, c) + _ROUNDING


def _rate(span: int) -> float:
    """By how much one message lowers the logarithm of what a mean was before."""
    return -math.log1p(-weight(span)) if span > 1 else 1e3
