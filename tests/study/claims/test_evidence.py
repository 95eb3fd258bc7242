"""The statistics against scipy, loops and hand calculations, and which networks count."""

import math

import numpy as np
import pytest
from scipy import stats

from minirobust.study.claims import evidence
from minirobust.study.claims.verdict import CannotTellError


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
    found = evidence.spearman(x, y)
    assert found.rho == pytest.approx(stats.spearmanr(x, y).statistic)
    assert found.p == pytest.approx(above.mean() + 1 - below.mean(), abs=1e-9)


@pytest.mark.parametrize("n", [3, 5, 7, 8])
def test_p_of_a_perfect_order_is_2_over_n_factorial(n):
    found = evidence.spearman(range(n), [-k for k in range(n)])
    assert (found.rho, found.n) == (pytest.approx(-1), n)
    assert found.p == pytest.approx(2 / math.factorial(n))


def test_p_of_more_pairs_is_scipys_but_never_below_what_all_orders_can_give(rng):
    x, y = rng.random(11), rng.random(11)
    expected = stats.spearmanr(x, y)
    assert evidence.spearman(x, y)[:2] == pytest.approx((expected.statistic, expected.pvalue))
    assert evidence.spearman(range(11), range(11)).p == 2 / math.factorial(11)


def test_a_constant_goes_along_with_nothing():
    assert evidence.spearman([1, 2, 3, 4, 5], [7, 7, 7, 7, 7]) == (0, 1, 5)


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
    assert evidence.monotone(evidence.Correlation(rho, p, n), 1) == expected
    assert evidence.monotone(evidence.Correlation(-rho, p, n), -1) == expected


def test_auroc_counts_pairs(rng):
    scores, positive = rng.integers(0, 6, 60).astype(float), rng.random(60) < 0.3
    pairs = [(a > b) + (a == b) / 2 for a in scores[positive] for b in scores[~positive]]
    assert evidence.auroc(scores, positive).value == pytest.approx(np.mean(pairs))


def test_aurocs_interval_is_hanley_and_mcneils():
    """Area 8/9 of 3 positive and 3 negative: q1 = 4/5, q2 = 128/153, variance (8/81 + 2 q1 + 2 q2 - 4 (8/9)²) / 9."""
    found = evidence.auroc(np.array([3.0, 4, 1.5, 1, 2, 0]), np.array([True, True, True, False, False, False]))
    deviation = math.sqrt((8 / 81 + 2 * 4 / 5 + 2 * 128 / 153 - 4 * 64 / 81) / 9)
    assert found.value == pytest.approx(8 / 9)
    assert found.low == pytest.approx(8 / 9 - 1.959964 * deviation, abs=1e-6)
    assert found.high == 1


def test_equal_rates_are_tested_as_scipy_tests_the_table_of_counts():
    rates, images = np.array([0.5, 0.7, np.nan, 0.9]), np.array([40, 50, 0, 60])
    expected = stats.chi2_contingency([[20, 35, 54], [20, 15, 6]]).pvalue
    assert evidence.differ(rates, images) == pytest.approx(expected)
    assert evidence.differ(np.zeros(4), np.full(4, 50)) == 1


def test_spread_leaves_out_what_few_samples_explain():
    """Rates 0.4 and 0.6 of 24 each: variance 0.02, of which 0.24 / 24 = 0.01 is chance."""
    deviation, noise = evidence.spread(np.array([0.4, 0.6]), np.array([24, 24]))
    assert (deviation, noise) == pytest.approx((0.1, 0.5))
    assert evidence.spread(np.array([0.5, 0.5]), np.array([10, 10])) == (0, 1)


def test_agreement_is_the_mean_over_pairs_of_rows(rng):
    rates = rng.random((4, 6))
    rows = [(a, b) for a in range(4) for b in range(a)]
    rho = [stats.spearmanr(rates[a], rates[b]).statistic for a, b in rows]
    mean, least, p = evidence.agreement(rates)
    assert (mean, least) == pytest.approx((np.mean(rho), min(rho)))
    kendall = (3 * np.mean(rho) + 1) / 4  # W, of which Friedman's statistic is 4 (6 - 1) W
    assert p == pytest.approx(stats.chi2(5).sf(20 * kendall))


def test_a_network_near_chance_does_not_count_and_its_neighbours_become_the_ends(make):
    swept = evidence.sweep(make(accuracy=[0.1, 0.19, 0.21, 0.9, 0.9, 0.9, 0.9]))
    np.testing.assert_array_equal(swept.temperatures, [0.5, 1, 2, 4, 8])
    assert swept.note == " T = 1/8, 1/4 left out: with an accuracy below 0.2, twice chance, nothing was learned."
    with pytest.raises(CannotTellError, match="This takes 5 temperatures, and there are 4."):
        evidence.sweep(make(accuracy=[0.1, 0.1, 0.1, 0.9, 0.9, 0.9, 0.9]))


def test_temperatures_count_from_low_to_high_whatever_order_they_were_given_in(make):
    swept = evidence.sweep(make(temperatures=(4.0, 1.0, 8.0, 2.0, 0.5), accuracy=[0.4, 0.31, 0.8, 0.5, 0.3]))
    np.testing.assert_array_equal(swept.temperatures, [0.5, 1, 2, 4, 8])
    np.testing.assert_allclose(swept.last("test_accuracy"), [0.3, 0.31, 0.5, 0.4, 0.8])


def test_what_is_not_finished_does_not_count(make):
    some = (0.125, 0.5, 1.0, 2.0, 8.0)
    swept = evidence.sweep(make(done=some, begun=(0.25,)))
    np.testing.assert_array_equal(swept.temperatures, some)
    assert swept.note == " 5 of 7 temperatures are finished."
    with pytest.raises(CannotTellError, match="T = 8, an end of the range, is not finished: 6 of 7"):
        evidence.sweep(make(done=(0.125, 0.25, 0.5, 1.0, 2.0, 4.0)))
    low = (0.125, 0.25, 0.5, 1.0)
    with pytest.raises(CannotTellError, match="T = 8, an end of the range, is not finished: 4 of 7"):
        evidence.sweep(make(done=low), extent="most")
    assert len(evidence.sweep(make(done=low), extent="any").rows) == 4
    with pytest.raises(CannotTellError, match="Too few are finished: 3 of 7"):
        evidence.sweep(make(done=(0.125, 0.25, 0.5)), extent="most")
    with pytest.raises(CannotTellError, match="Too few are finished: 0 of 7"):
        evidence.sweep(make(done=()), extent="any")


def test_trained_but_not_yet_attacked_is_not_finished(make):
    study = make()
    study.records[0].final = {}
    with pytest.raises(CannotTellError, match="T = 1/8, an end of the range, is not finished"):
        evidence.sweep(study)


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ("mnist", "mnist"),
        ("fashion-mnist", "fashion-mnist"),
        ("/data/cifar10-25k.h5", "cifar10"),
        ("svhn-1083.h5", "svhn"),
        ("digits", None),
        ("colour-digits", None),
    ],
)
def test_a_part_of_a_data_set_is_told_by_its_name(make, dataset, expected):
    assert evidence.paper_dataset(make(dataset=dataset)) == expected
