"""Far from 0, the derivatives of activations are small but not zero: a false zero looks like robustness."""

import numpy as np
import pytest

import minirobust as mr


@pytest.mark.parametrize("net", [9.5, 20.0, 40.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_tanh_has_a_gradient_in_its_tails(net, sign, backend):
    network = mr.Network([mr.Tanh()], (1,), backend=backend)
    network.forward(np.array([[sign * net]], "float32"))
    slope = float(network.backend.to_numpy(network.backward(np.ones((1, 1), "float32")))[0, 0])
    assert slope == pytest.approx(1 / np.cosh(net) ** 2, rel=1e-5)  # in float64
    assert slope > 0


@pytest.mark.parametrize("net", [17.0, 60.0, 85.0])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("temperature", [1 / 64, 1.0, 16.0])
def test_sigmoid_has_a_gradient_in_its_tails(net, sign, temperature, backend):
    network = mr.Network([mr.TemperatureSigmoid(temperature)], (1,), backend=backend)
    network.forward(np.array([[sign * net * temperature]], "float32"))
    slope = float(network.backend.to_numpy(network.backward(np.ones((1, 1), "float32")))[0, 0])
    assert slope == pytest.approx(np.exp(-net) / (1 + np.exp(-net)) ** 2 / temperature, rel=1e-4)
