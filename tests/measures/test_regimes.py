"""The bounds of the regimes against the published table, the definition itself, and each other."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minirobust as mr

# T, r1, r2 at delta1 = 0.05 and delta2 = 0.0005, computed independently.
TABLE = [
    (1 / 64, 0.080999, 0.183746),
    (1 / 32, 0.109206, 0.345831),
    (1 / 16, 0.158082, 0.648339),
    (1 / 8, 0.243528, 1.210027),
    (1 / 4, 0.406126, 2.246737),
    (1 / 2, 0.742391, 4.146775),
    (1, 1.439931, 7.599902),
    (2, 2.855545, 13.811505),
    (4, 5.698660, 24.842384),
    (8, 11.391071, 44.107300),
    (16, 22.779013, 76.993892),
]


def slope(net, T):
    e = math.exp(-abs(net) / T)
    return e / (T * (1 + e) ** 2)


@pytest.mark.parametrize(("T", "r1", "r2"), TABLE)
def test_bounds_equal_the_published_table(T, r1, r2):
    assert mr.regimes.bounds(T) == pytest.approx((r1, r2), abs=6e-7)


@given(st.floats(0.005, 300))
def test_r1_is_delta1_away_from_the_tangent_measured_perpendicularly(T):
    r1, _ = mr.regimes.bounds(T)
    # Distance from a point to the line y = 1/2 + x/(4T), by the foot of the perpendicular.
    direction = np.array([1, 1 / (4 * T)]) / math.hypot(1, 1 / (4 * T))
    point = np.array([r1, 1 / (1 + math.exp(-r1 / T)) - 0.5])
    assert np.linalg.norm(point - (point @ direction) * direction) == pytest.approx(0.05, rel=1e-9)


@given(st.floats(0.005, 300))
def test_r2_has_the_slope_delta2_found_numerically_too(T):
    _, r2 = mr.regimes.bounds(T)
    low, high = 0.0, 800 * T
    for _ in range(200):  # bisection: the slope falls from 0 outwards
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle, T) > 0.0005 else (low, middle)
    assert r2 == pytest.approx(low, rel=1e-9)


def test_bounds_depend_on_the_deltas():
    assert mr.regimes.bounds(1, delta1=0.1).r1 > mr.regimes.bounds(1).r1
    assert mr.regimes.bounds(1, delta2=0.001).r2 < mr.regimes.bounds(1).r2


@pytest.mark.parametrize("T", [0.0045487, 312.844, 400])
def test_regimes_that_overlap_are_refused(T):
    with pytest.raises(ValueError, match=rf"at T = {T:g}, delta1 = 0.05, delta2 = 0.0005 the saturated regime begins"):
        mr.regimes.bounds(T)


@pytest.mark.parametrize("T", [0.0045489, 312.842])
def test_regimes_that_barely_do_not_overlap_are_accepted(T):
    r1, r2 = mr.regimes.bounds(T)
    assert 0 < r1 < r2


@pytest.mark.parametrize("T", [500, 1000])
def test_slope_that_is_never_reached_raises(T):
    with pytest.raises(ValueError, match="never delta2"):
        mr.regimes.bounds(T)


@pytest.mark.parametrize(
    "arguments", [{"temperature": 0}, {"temperature": 1, "delta1": 0}, {"temperature": 1, "delta2": -1}]
)
def test_wrong_arguments_raise(arguments):
    with pytest.raises(ValueError, match=r"bounds: expected (temperature|delta1|delta2) in \(0, inf\)"):
        mr.regimes.bounds(**arguments)


def test_fractions_count_both_signs_and_both_ends(backend):
    r1, r2 = mr.regimes.bounds(1.0)
    net = np.array([[0, r1, -r1, r1 + 1e-6], [-r2 + 1e-6, r2, -r2, 100.0]])
    linear, nonlinear, saturated = mr.regimes.fractions(backend.asarray(net), 1.0)
    assert (linear, nonlinear, saturated) == (3 / 8, 2 / 8, 3 / 8)


def test_empty_array_raises():
    with pytest.raises(ValueError, match="expected net values"):
        mr.regimes.fractions(np.ones((0, 3)), 1.0)
