"""Intervals of robustness against SciPy, hand-computed tables, and their actual coverage."""

import numpy as np
import pytest
from scipy.stats import binomtest

from minirobust.measures import intervals, robustness

Z = 1.959963984540054


def samples_of(*classes):
    """`fooled` and `y` for (standing, fooled) samples of each class."""
    y = np.repeat(np.arange(len(classes)), [sum(counts) for counts in classes])
    fooled = np.concatenate([np.arange(standing + fallen) >= standing for standing, fallen in classes])
    return fooled, y


@pytest.mark.parametrize("n", [1, 2, 7, 100, 1031])
def test_class_intervals_are_wilson_intervals(n, backend):
    rng = np.random.default_rng(n)
    standing = [0, n, *rng.integers(0, n + 1, 4)]
    fooled, y = (backend.asarray(array) for array in samples_of(*((k, n - k) for k in standing)))
    got = intervals.by_class(fooled, y, classes=6)
    expected = [binomtest(int(k), n).proportion_ci(method="wilson") for k in standing]
    np.testing.assert_allclose(got.value, np.array(standing) / n, atol=1e-15)
    np.testing.assert_allclose(got.low, [ends.low for ends in expected], atol=1e-12)
    np.testing.assert_allclose(got.high, [ends.high for ends in expected], atol=1e-12)
    assert got.low.min() >= 0
    assert got.high.max() <= 1


def test_a_class_without_a_sample_is_nan_and_no_warning():
    got = intervals.by_class(*samples_of((3, 1), (0, 0), (2, 2)), classes=4)
    for array in got:
        np.testing.assert_array_equal(np.isnan(array), [False, True, False, True])


def test_the_mean_is_that_of_network_robustness_also_if_a_class_has_no_sample(rng):
    for _ in range(50):
        y = rng.choice([0, 1, 3, 4, 6, 7, 9], 200)
        fooled = rng.random(200) < 0.3
        assert intervals.network(fooled, y).value == robustness.network_robustness(fooled, y)


def test_network_interval_for_one_class_is_agresti_coull():
    """3 of 10: two of each kind, or nearly, are added, and the plain formula is used."""
    n, p = 10 + Z**2, (3 + Z**2 / 2) / (10 + Z**2)
    half = Z * np.sqrt(p * (1 - p) / n)
    assert intervals.network(*samples_of((3, 7)), classes=1) == pytest.approx((0.3, p - half, p + half), abs=1e-12)
    assert intervals.network(*samples_of((3, 7)), classes=10) == intervals.network(*samples_of((3, 7)), classes=1)


def test_network_interval_for_many_samples_is_that_of_the_stratified_mean(backend):
    """Where nothing needs smoothing: the textbook's variance of a mean over classes, unequal ones here."""
    counts = [(60_000, 20_000), (5_000, 15_000), (1_000, 3_000)]
    rates, sizes = np.array([0.75, 0.25, 0.25]), np.array([80_000, 20_000, 4_000])
    half = Z * np.sqrt((rates * (1 - rates) / sizes).sum()) / 3
    fooled, y = (backend.asarray(array) for array in samples_of(*counts))
    value, low, high = intervals.network(fooled, y, classes=3)
    assert value == pytest.approx(5 / 12) == robustness.network_robustness(fooled, y)
    assert (low, high) == pytest.approx((value - half, value + half), abs=half / 50)
    pooled = Z * np.sqrt(value * (1 - value) / sizes.sum())
    assert half > 1.3 * pooled  # the smallest class decides, and a test of the pooled formula would see it


def test_interval_at_rate_0_has_a_width_and_stays_within_0_and_1():
    nothing, everything = samples_of(*[(0, 100)] * 10), samples_of(*[(100, 0)] * 10)
    low, high = intervals.network(*nothing)[1:]
    assert low == 0
    assert 0.003 < high < 0.006  # "rule of three": 3 of 1,000
    assert intervals.network(*everything)[1:] == pytest.approx((1 - high, 1))


def fourfold(both, only_first, only_second, neither):
    """Which samples two attacks fooled, from the four counts."""
    counts = [both, only_first, only_second, neither]
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


def test_difference_for_one_class_has_the_agresti_min_interval():
    """Cells of 20, 2, 9, 19, each half a sample larger: 50 samples become 52."""
    first, second = fourfold(20, 2, 9, 19)
    d = 7 / 52
    half = Z * np.sqrt((12 / 52 - d**2) / 52)
    got = intervals.difference(first, second, np.zeros(50, int), classes=1)
    assert got == pytest.approx((7 / 50, d - half, d + half), abs=1e-12)


def test_difference_for_many_samples_is_that_of_paired_means(backend):
    rng = np.random.default_rng(3)
    y = np.repeat(np.arange(3), [30_000, 9_000, 3_000])
    first = rng.random(len(y)) < np.array([0.2, 0.5, 0.9])[y]
    second = first ^ (rng.random(len(y)) < np.array([0.1, 0.3, 0.2])[y])
    d = second.astype(int) - first
    means, variances = (np.array([of(d[y == c]) for c in range(3)]) for of in (np.mean, np.var))
    half = Z * np.sqrt((variances / np.bincount(y)).sum()) / 3
    value, low, high = intervals.difference(*map(backend.asarray, (first, second, y)), classes=3)
    assert value == pytest.approx(means.mean(), abs=1e-12)
    assert (low, high) == pytest.approx((value - half, value + half), abs=half / 50)


def test_a_difference_is_of_robustness_so_it_is_positive_if_the_second_is_stronger():
    first, second = fourfold(5, 0, 30, 5)
    y = np.arange(40) % 4
    one, other = (intervals.difference(*pair, y, classes=4) for pair in ((first, second), (second, first)))
    rates = (robustness.network_robustness(fooled, y, 4) for fooled in (first, second))
    assert one.value == pytest.approx(next(rates) - next(rates)) == pytest.approx(0.75)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


def test_equal_attacks_have_an_interval_of_positive_width():
    same = np.arange(1000) % 3 == 0
    value, low, high = intervals.difference(same, same, np.arange(1000) % 10)
    assert (value, low) == (0, -high)
    assert 0.001 < high < 0.006


def test_paired_interval_is_narrower_than_two_separate_ones():
    """A tenth more of the samples, all of them beyond what the first attack fooled."""
    first, second = fourfold(50, 0, 10, 40)
    y = np.arange(100) % 2
    assert intervals.difference(first, second, y, classes=2).low > 0.03
    assert intervals.network(second, y, 2).high > intervals.network(first, y, 2).low


@pytest.mark.parametrize("size", [50, 200])
def test_the_intervals_hold_the_truth_in_95_of_100_cases(size):
    """Unequal classes, rates at and near the ends; both intervals, 2,000 draws."""
    rng = np.random.default_rng(size)
    first, more = np.array([0.0, 0.02, 0.3, 0.6]), np.array([0.01, 0.2, 0.1, 0.0])
    y = np.repeat(np.arange(4), [size, 2 * size, size // 2, 3 * size])
    held = np.zeros(2)
    for _ in range(2000):
        u = rng.random(len(y))
        one, other = u < first[y], (u < first[y]) | (u > 1 - more[y])
        _, low, high = intervals.network(one, y, 4)
        held[0] += low <= 1 - first.mean() <= high
        _, low, high = intervals.difference(one, other, y, 4)
        held[1] += low <= more.mean() <= high
    # 2,000 draws of a coverage of 0.95 lie within 0.015; small classes with rates near an end cost another 0.01.
    assert (held / 2000 > 0.925).all(), held / 2000
    assert (held / 2000 < 0.975).all(), held / 2000


@pytest.mark.parametrize("of", [intervals.by_class, intervals.network])
def test_wrong_arguments_raise(of):
    with pytest.raises(ValueError, match=r"expected fooled and y of the same shape \(N,\), got \(3,\) and \(2,\)"):
        of(np.zeros(3, bool), np.zeros(2, int))
    with pytest.raises(ValueError, match="expected labels 0 to 9, got 0 to 10"):
        of(np.zeros(2, bool), np.array([0, 10]))


def test_wrong_arguments_of_a_difference_raise():
    with pytest.raises(ValueError, match=r"expected fooled and y of the same shape \(N,\), got \(3,\) and \(2,\)"):
        intervals.difference(np.zeros(2, bool), np.zeros(3, bool), np.zeros(2, int))
