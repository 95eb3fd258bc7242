"""Lines below and above the activations, against a fine grid."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minirobust as mr
from minirobust.certify.lines import best_slope, slope_range, touch

LAYERS = [mr.TemperatureSigmoid(1 / 64), mr.TemperatureSigmoid(1.0), mr.TemperatureSigmoid(16.0), mr.Tanh(), mr.ReLU()]


def built(layer):
    return mr.Network([layer.fresh()], (1,), dtype="float64").layers[0]


def scale(layer):
    return getattr(layer, "temperature", 1.0)


ends = st.floats(-40, 40).map(lambda x: x if abs(x) > 1e-3 else 0.0)


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
@given(
    ends=st.tuples(ends, ends), slope=st.one_of(st.floats(0, 1), st.floats(-3, 3)), side=st.sampled_from([1.0, -1.0])
)
def test_a_line_of_any_slope_stays_on_its_side_and_touches(layer, ends, slope, side):
    layer = built(layer)
    low, high = sorted(end * scale(layer) for end in ends)
    alpha = np.array([slope / (4 * scale(layer))])
    point, height = touch(layer, alpha, np.array([low]), np.array([high]), np.array([side]))
    x = np.linspace(low, high, 4001).clip(low, high)
    distance = side * (layer.forward(x) - (alpha * x + height))
    rounding = 1e-14 * (1 + abs(alpha[0]) * max(abs(low), abs(high)))
    assert distance.min() >= -rounding
    assert low <= point[0] <= high
    np.testing.assert_allclose(layer.forward(point), alpha * point + height, atol=rounding)


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("layer", LAYERS, ids=repr)
@given(ends=st.tuples(ends, ends))
@settings(max_examples=15)
def test_the_best_slope_is_closest_in_the_middle(layer, side, ends):
    layer = built(layer)
    low, high = (np.array([end * scale(layer)]) for end in sorted(ends))
    middle = (low + high) / 2

    def distance(alpha):
        _, height = touch(layer, alpha, 0 * alpha + low, 0 * alpha + high, 0 * alpha + side)
        return side * (layer.forward(middle) - (alpha * middle + height))

    others = np.linspace(0, 2 / (4 * scale(layer)), 1001)
    assert distance(best_slope(layer, low, high, side))[0] <= distance(others).min() + 1e-6


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
@given(ends=st.tuples(ends, ends))
def test_the_range_of_slopes_holds_every_derivative(layer, ends):
    layer = built(layer)
    low, high = (np.array([end * scale(layer)]) for end in sorted(ends))
    least, greatest = slope_range(layer, low, high)
    x = np.linspace(low[0], high[0], 1001).clip(low, high)
    layer.forward(x)
    derivatives = layer.input_gradient(np.ones_like(x))
    assert (derivatives >= least * (1 - 1e-12)).all()
    assert (derivatives <= greatest * (1 + 1e-12)).all()
