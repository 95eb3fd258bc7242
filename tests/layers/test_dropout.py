"""Dropout, the one layer with a mode and a random stream."""

import numpy as np
import pytest

import minirobust as mr


def test_dropout_is_off_outside_training(backend, rng):
    net = mr.Network([mr.Dropout(0.5)], input_shape=(50,), backend=backend, dtype="float64")
    x = rng.standard_normal((4, 50))
    np.testing.assert_array_equal(backend.to_numpy(net.forward(x)), x)


def test_dropout_drops_at_its_rate_and_scales_the_rest(backend):
    net = mr.Network([mr.Dropout(0.3)], input_shape=(20000,), backend=backend, dtype="float64")
    net.training = True
    y = backend.to_numpy(net.forward(np.ones((1, 20000))))
    assert np.unique(y).tolist() == [0, 1 / (1 - 0.3)]
    assert (y == 0).mean() == pytest.approx(0.3, abs=0.02)


def test_dropout_draws_anew_each_time_and_the_same_from_the_same_state(backend):
    net = mr.Network([mr.Dropout(0.5), mr.Dropout(0.5)], input_shape=(100,), backend=backend, seed=2)
    net.training = True
    x = np.ones((1, 100))
    first, second = (backend.to_numpy(net.forward(x)) for _ in range(2))
    scales = [backend.to_numpy(layer.scale) for layer in net.layers]
    assert not np.array_equal(first, second)
    assert not np.array_equal(*scales)
    for layer in net.layers:
        layer.draws = 0
    np.testing.assert_array_equal(backend.to_numpy(net.forward(x)), first)
