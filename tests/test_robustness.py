"""Class and network robustness, counted by hand."""

import numpy as np
import pytest

import minirobust as mr


def test_class_robustness_is_the_share_not_fooled(backend):
    y = backend.asarray(np.array([0, 0, 0, 0, 1, 1, 3]))
    fooled = backend.asarray(np.array([True, False, False, False, True, True, False]))
    np.testing.assert_array_equal(mr.robustness.by_class(fooled, y, classes=4), [0.75, 0, np.nan, 1])


def test_network_robustness_is_the_mean_over_classes_not_over_samples(backend):
    y = backend.asarray(np.array([0] * 8 + [1, 1]))
    fooled = backend.asarray(np.array([False] * 8 + [True, True]))
    assert mr.robustness.network_robustness(fooled, y, classes=2) == 0.5
    assert mr.robustness.network_robustness(fooled, y, classes=10) == 0.5


@pytest.mark.parametrize(
    ("fooled", "y", "message"),
    [
        (np.zeros(3, bool), np.zeros(2, int), r"of one shape \(N,\), got \(3,\) and \(2,\)"),
        (np.zeros(0, bool), np.zeros(0, int), "of one shape"),
        (np.zeros(2), np.zeros(2, int), "fooled to be of bool, got float64"),
        (np.zeros(2, bool), np.array([0, 10]), "expected labels 0 to 9, got 0 to 10"),
        (np.zeros(2, bool), np.array([-1, 0]), "expected labels 0 to 9, got -1 to 0"),
    ],
)
def test_wrong_arguments(fooled, y, message):
    with pytest.raises(ValueError, match=message):
        mr.robustness.by_class(fooled, y)
