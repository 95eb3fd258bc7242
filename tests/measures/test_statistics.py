"""The statistics against SciPy, loops and hand calculations."""

import math

import numpy as np
import pytest
from scipy import stats

from minirobust.measures import statistics
from minirobust.measures.intervals import Estimate


def test_interval_of_one_seed_is_that_over_images():
    assert statistics.over_seeds([Estimate(0.5, 0.4, 0.7)]) == pytest.approx((0.5, 0.4, 0.7))


def test_interval_over_seeds_is_students_if_images_add_nothing():
    values = [0.4, 0.5, 0.9]
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert statistics.over_seeds([statistics.exact(v) for v in values]) == pytest.approx((0.6, low, high))


def test_more_seeds_do_not_reduce_the_error_from_the_test_images():
    """Ten equal seeds are as uncertain as one; unequal ones add their squares."""
    assert statistics.over_seeds([Estimate(0.5, 0.4, 0.7)] * 10) == pytest.approx((0.5, 0.4, 0.7))
    half = stats.t.ppf(0.975, 1) * 0.1  # of 0.4 and 0.6
    found = statistics.over_seeds([Estimate(0.4, 0.3, 0.5), Estimate(0.6, 0.5, 0.7)])
    assert found == pytest.approx((0.5, 0.5 - math.hypot(half, 0.1), 0.5 + math.hypot(half, 0.1)))


def test_the_difference_of_different_samples_adds_their_squares():
    found = statistics.minus(Estimate(0.8, 0.5, 0.9), Estimate(0.3, 0.1, 0.7))
    assert found == pytest.approx((0.5, 0.5 - math.hypot(0.3, 0.4), 0.5 + math.hypot(0.1, 0.2)))


def test_spearmans_correlation_is_scipys_and_0_for_a_constant(rng):
    x, y = rng.random(7), rng.random(7)
    assert statistics.spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert statistics.spearman([1, 2, 3], [7, 7, 7]) == 0


def test_auroc_counts_pairs(rng):
    scores, positive = rng.integers(0, 6, 60).astype(float), rng.random(60) < 0.3
    pairs = [(a > b) + (a == b) / 2 for a in scores[positive] for b in scores[~positive]]
    assert statistics.auroc(scores, positive).value == pytest.approx(np.mean(pairs))


def test_aurocs_interval_is_hanley_and_mcneils():
    """Area 8/9 of 3 positive and 3 negative: q1 = 4/5, q2 = 128/153, variance (8/81 + 2 q1 + 2 q2 - 4 (8/9)²) / 9."""
    found = statistics.auroc(np.array([3.0, 4, 1.5, 1, 2, 0]), np.array([True, True, True, False, False, False]))
    deviation = math.sqrt((8 / 81 + 2 * 4 / 5 + 2 * 128 / 153 - 4 * 64 / 81) / 9)
    assert found.value == pytest.approx(8 / 9)
    assert found.low == pytest.approx(8 / 9 - 1.959964 * deviation, abs=1e-6)
    assert found.high == 1


def test_equal_rates_are_tested_as_scipy_tests_the_table_of_counts():
    rates, images = np.array([0.5, 0.7, np.nan, 0.9]), np.array([40, 50, 0, 60])
    expected = stats.chi2_contingency([[20, 35, 54], [20, 15, 6]]).pvalue
    assert statistics.p_of_difference(rates, images) == pytest.approx(expected)
    assert statistics.p_of_difference(np.zeros(4), np.full(4, 50)) == 1


def test_spread_leaves_out_what_few_samples_explain():
    """Rates 0.4 and 0.6 of 24 each: variance 0.02, of which 0.24 / 24 = 0.01 is chance."""
    deviation, noise = statistics.spread(np.array([0.4, 0.6]), np.array([24, 24]))
    assert (deviation, noise) == pytest.approx((0.1, 0.5))
    assert statistics.spread(np.array([0.5, 0.5]), np.array([10, 10])) == (0, 1)
