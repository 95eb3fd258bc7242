"""The statistics against scipy, loops and hand calculations."""

import math

import numpy as np
import pytest
from scipy import stats

from minirobust.study.claims import statistics


def test_p_of_few_pairs_is_the_share_of_all_orders(rng):
    x, y = rng.random(6), rng.random(6)
    exact = stats.permutation_test(
        (y,),
        lambda y: stats.spearmanr(x, y).statistic,
        permutation_type="pairings",
        n_resamples=math.inf,
        alternative="greater",
    )
    above, below = (exact.null_distribution >= s - 1e-9 for s in (abs(exact.statistic), -abs(exact.statistic) + 2e-9))
    found = statistics.spearman(x, y)
    assert found.rho == pytest.approx(stats.spearmanr(x, y).statistic)
    assert found.p == pytest.approx(above.mean() + 1 - below.mean(), abs=1e-9)


@pytest.mark.parametrize("n", [3, 5, 7, 8])
def test_p_of_a_perfect_order_is_2_over_n_factorial(n):
    found = statistics.spearman(range(n), [-k for k in range(n)])
    assert (found.rho, found.n) == (pytest.approx(-1), n)
    assert found.p == pytest.approx(2 / math.factorial(n))


def test_p_of_more_pairs_is_scipys_but_never_below_what_all_orders_can_give(rng):
    x, y = rng.random(11), rng.random(11)
    expected = stats.spearmanr(x, y)
    assert statistics.spearman(x, y)[:2] == pytest.approx((expected.statistic, expected.pvalue))
    assert statistics.spearman(range(11), range(11)).p == 2 / math.factorial(11)


def test_a_constant_goes_along_with_nothing():
    assert statistics.spearman([1, 2, 3, 4, 5], [7, 7, 7, 7, 7]) == (0, 1, 5)


@pytest.mark.parametrize(
    ("rho", "p", "n", "expected"),
    [
        (0.9, 0.01, 7, "holds"),
        (-0.9, 0.01, 5, "does not hold"),
        (0.4, 0.3, 7, "does not hold"),
        (-0.4, 0.3, 7, "does not hold"),
        (0.4, 0.6, 6, "cannot tell here"),
        (0.7, 0.09, 7, "cannot tell here"),
    ],
)
def test_a_trend_holds_if_sure_and_fails_if_opposite_or_weak_over_seven(rho, p, n, expected):
    assert statistics.monotone(statistics.Correlation(rho, p, n), 1) == expected
    assert statistics.monotone(statistics.Correlation(-rho, p, n), -1) == expected


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
    assert statistics.differ(rates, images) == pytest.approx(expected)
    assert statistics.differ(np.zeros(4), np.full(4, 50)) == 1


def test_spread_leaves_out_what_few_samples_explain():
    """Rates 0.4 and 0.6 of 24 each: variance 0.02, of which 0.24 / 24 = 0.01 is chance."""
    deviation, noise = statistics.spread(np.array([0.4, 0.6]), np.array([24, 24]))
    assert (deviation, noise) == pytest.approx((0.1, 0.5))
    assert statistics.spread(np.array([0.5, 0.5]), np.array([10, 10])) == (0, 1)


def test_agreement_is_the_mean_over_pairs_of_rows(rng):
    rates = rng.random((4, 6))
    rows = [(a, b) for a in range(4) for b in range(a)]
    rho = [stats.spearmanr(rates[a], rates[b]).statistic for a, b in rows]
    mean, least, p = statistics.agreement(rates)
    assert (mean, least) == pytest.approx((np.mean(rho), min(rho)))
    kendall = (3 * np.mean(rho) + 1) / 4  # W, of which Friedman's statistic is 4 (6 - 1) W
    assert p == pytest.approx(stats.chi2(5).sf(20 * kendall))
