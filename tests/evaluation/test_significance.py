"""Paired differences and correlations agree with scipy.stats, and say nothing where there is nothing to say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy import stats

from segmend.evaluation.significance import correlation, difference

NUMBERS = some.lists(
    some.tuples(some.floats(0, 1, allow_subnormal=False), some.floats(0, 1, allow_subnormal=False)),
    min_size=4,
    max_size=30,
)


@given(NUMBERS)
def test_the_paired_test_is_scipys(pairs):
    these, those = np.array(pairs).T
    found = difference(these, those)
    apart = these - those
    if apart.std(ddof=1) < 1e-6:
        return

    expected = stats.ttest_rel(these, those)

    assert found.mean == pytest.approx(apart.mean())
    assert found.p == pytest.approx(expected.pvalue, abs=1e-9)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)), abs=1e-9)


@given(NUMBERS)
def test_the_correlation_is_scipys(pairs):
    these, those = np.array(pairs).T
    if min(these.std(), those.std()) < 1e-6:
        return
    expected = stats.pearsonr(these, those)
    if abs(expected.statistic) > 1 - 1e-6:
        return

    found = correlation(these, those)

    assert found.r == pytest.approx(expected.statistic, abs=1e-9)
    assert found.p == pytest.approx(expected.pvalue, abs=1e-7)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)), abs=1e-6)


def test_one_pair_has_a_mean_and_nothing_more():
    found = difference([0.75], [0.5])

    assert (found.pairs, found.mean, found.low, found.high, found.p) == (1, 0.25, None, None, None)


def test_differences_that_are_all_equal_have_no_p():
    found = difference([0.75, 0.5], [0.5, 0.25])

    assert (found.mean, found.low, found.high, found.p) == (0.25, 0.25, 0.25, None)


def test_a_constant_follows_nothing():
    assert correlation([0.5, 0.5, 0.5, 0.5], [0.1, 0.2, 0.3, 0.4]) is None
    assert correlation([0.1, 0.2], [0.1, 0.2]) is None


def test_what_follows_exactly_is_certain():
    found = correlation([0.1, 0.2, 0.4], [0.2, 0.3, 0.5])

    assert (found.r, found.p) == (pytest.approx(1), pytest.approx(0, abs=1e-6))
    assert found.error == pytest.approx(0.1)


def test_three_pairs_have_no_interval():
    found = correlation([0.1, 0.2, 0.4], [0.2, 0.1, 0.5])

    assert (found.low, found.high) == (None, None)
    assert 0 < found.p < 1
