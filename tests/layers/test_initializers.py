"""Initializers: the published limits and variances."""

import numpy as np
import pytest

import minirobust as mr


def test_glorot_limits_and_zero_biases():
    net = mr.Network([mr.Conv2D(8, (3, 2)), mr.Flatten(), mr.Dense(50)], input_shape=(9, 9, 4), seed=1)
    conv, _, dense = net.layers
    for weight, fan_in, fan_out in ((conv.weight, 3 * 2 * 4, 3 * 2 * 8), (dense.weight, 7 * 8 * 8, 50)):
        limit = np.sqrt(6 / (fan_in + fan_out))
        assert 0.9 * limit < abs(weight.value).max() <= limit
    assert not conv.bias.value.any()
    assert not dense.bias.value.any()


@pytest.mark.parametrize(("name", "variance"), [("he_normal", 2 / 400), ("lecun_normal", 1 / 400)])
def test_normal_initializers_have_the_published_variance(name, variance):
    net = mr.Network([mr.Dense(500, initializer=name)], input_shape=(400,))
    assert net.layers[0].weight.value.var() == pytest.approx(variance, rel=0.02)


def test_an_unknown_initializer_is_named():
    with pytest.raises(ValueError, match="expected one of zeros, ones, glorot_uniform, .* or a callable, got 'xavier'"):
        mr.Network([mr.Dense(2, initializer="xavier")], input_shape=(3,))


def test_an_initializer_of_another_shape_is_refused_and_the_layer_stays_free():
    dense = mr.Dense(2, initializer=lambda generator, shape: np.zeros(shape[::-1]))
    with pytest.raises(ValueError, match=r"initializer: expected values of shape \(3, 2\), got \(2, 3\)"):
        mr.Network([dense], input_shape=(3,))
    mr.Network([dense], input_shape=(2,))
