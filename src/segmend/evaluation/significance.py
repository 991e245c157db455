"""Whether two measurements of the same cases differ by more than chance, and whether one number follows another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr, ndtr, ndtri, stdtr, stdtrit

CONFIDENCE = 0.95
NEGLIGIBLE = 1e-12  # a spread, or what a correlation lacks of 1, below this counts as 0


@dataclass(frozen=True)
class Difference:
    """The mean of paired differences, its 95 % confidence interval and the p of a two-sided paired t-test.

    With one pair there is no interval; where all differences are equal there is no p.
    """

    pairs: int
    mean: float
    low: float | None
    high: float | None
    p: float | None


def difference(these: Sequence[float], those: Sequence[float]) -> Difference:
    """Return how much these numbers exceed those, pair by pair.

    >>> found = difference([0.9, 0.8, 0.7], [0.8, 0.6, 0.4])
    >>> found.pairs, round(found.mean, 3), round(found.p, 3)
    (3, 0.2, 0.074)
    """
    apart = np.asarray(these, float) - np.asarray(those, float)
    assert apart.ndim == 1 and apart.size, "a difference needs pairs"
    count, mean = len(apart), float(apart.mean())
    if count == 1:
        return Difference(1, mean, None, None, None)
    error = float(apart.std(ddof=1)) / math.sqrt(count)
    if error < NEGLIGIBLE:
        return Difference(count, mean, mean, mean, None)
    reach = float(stdtrit(count - 1, (1 + CONFIDENCE) / 2)) * error
    p = 2 * float(stdtr(count - 1, -abs(mean) / error))
    return Difference(count, mean, mean - reach, mean + reach, p)


def holm(ps: Sequence[float]) -> list[float]:
    """Return p values corrected for their number by Holm's step-down rule, in their order.

    >>> [round(p, 3) for p in holm([0.04, 0.01, 0.03])]
    [0.06, 0.03, 0.06]
    """
    found, largest = [0.0] * len(ps), 0.0
    for rank, at in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[at]))
        found[at] = largest
    return found


@dataclass(frozen=True)
class Correlation:
    """Pearson's r of two numbers, its 95 % confidence interval, p, and how far they lie apart on average."""

    pairs: int
    r: float
    low: float | None
    high: float | None
    p: float
    error: float  # mean absolute difference


def correlation(these: Sequence[float], those: Sequence[float]) -> Correlation | None:
    """Return how these numbers follow those; None for fewer than three pairs, or when either is constant.

    >>> found = correlation([0.1, 0.5, 0.9, 0.8], [0.2, 0.4, 1.0, 0.9])
    >>> round(found.r, 3), round(found.error, 3)
    (0.967, 0.1)
    """
    first, second = np.asarray(these, float), np.asarray(those, float)
    count = len(first)
    if count < 3 or first.std() < NEGLIGIBLE or second.std() < NEGLIGIBLE:
        return None
    r = float(np.clip(np.corrcoef(first, second)[0, 1], -1, 1))
    error = float(np.abs(first - second).mean())
    if 1 - abs(r) < NEGLIGIBLE:
        return Correlation(count, r, r, r, 0.0, error)
    p = 2 * float(stdtr(count - 2, -abs(r) * math.sqrt((count - 2) / (1 - r * r))))
    if count == 3:  # Fisher's interval needs four
        return Correlation(count, r, None, None, p, error)
    middle, reach = math.atanh(r), float(ndtri((1 + CONFIDENCE) / 2)) / math.sqrt(count - 3)
    return Correlation(count, r, math.tanh(middle - reach), math.tanh(middle + reach), p, error)


def p_of_correlation(r: float, bar: float, pairs: int) -> float:
    """Return the two-sided p of a correlation that were the bar, by Fisher's transformation; 1 below four pairs.

    >>> round(p_of_correlation(0.8, 0.5, 30), 3), p_of_correlation(0.9, 0.5, 3)
    (0.004, 1.0)
    """
    if pairs < 4:
        return 1.0
    r, bar = (min(max(value, NEGLIGIBLE - 1), 1 - NEGLIGIBLE) for value in (r, bar))
    return 2 * float(ndtr(-abs(math.atanh(r) - math.atanh(bar)) * math.sqrt(pairs - 3)))


def p_of_median(values: Sequence[float], bar: float) -> float:
    """Return the two-sided p of numbers whose median were the bar, by the sign test; those that equal it tell nothing.

    >>> p_of_median([1, 2, 3, 4, 5, 6], 7), p_of_median([1, 9], 7)
    (0.03125, 1.0)
    """
    below, above = sum(value < bar for value in values), sum(value > bar for value in values)
    return min(1.0, 2 * float(bdtr(min(below, above), below + above, 0.5))) if below + above else 1.0
