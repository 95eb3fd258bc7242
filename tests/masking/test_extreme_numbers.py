"""Numbers near the limits of float32 are exact, rejected, or named by the audit; none causes a warning."""

import warnings

import numpy as np
import pytest

import minirobust as mr
from minirobust.layers.sigmoid import HIGHEST, LOWEST

BEYOND = [2.0**-127, 1e-40, 5e-324, HIGHEST, 1e38, 1e300, 10**300, 2**119]
WITHIN = [LOWEST, 1e-37, 1e-10, 1, 2**60, 10**30, 1e35, float(np.nextafter(HIGHEST, 0))]


@pytest.mark.parametrize("temperature", BEYOND)
def test_temperature_beyond_float32_is_refused(temperature):
    with pytest.raises(ValueError, match=r"TemperatureSigmoid: expected temperature from 2\*\*-126 to below 2\*\*119"):
        mr.TemperatureSigmoid(temperature)
    layer = mr.TemperatureSigmoid(1.0)
    with pytest.raises(ValueError, match="expected temperature"):
        layer.temperature = temperature
    assert layer.temperature == 1.0


@pytest.mark.parametrize("temperature", WITHIN)
def test_temperature_within_float32_is_exact(temperature, backend):
    """The same numbers as in float64, to float32's precision: those far below its range may be zero."""
    net = np.array([[0.0, 1.0, -1.0, 0.5, -3.0]]) * min(float(temperature), 1e30)
    network = mr.Network([mr.TemperatureSigmoid(temperature)], (5,), backend=backend)
    with warnings.catch_warnings(), np.errstate(all="warn"):
        warnings.simplefilter("error")
        found = network.backend.to_numpy(network.forward(net.astype("float32")))
        slope = network.backend.to_numpy(network.backward(np.ones((1, 5), "float32")))
    u = net.astype("float32").astype("float64") / float(temperature)
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-u)), rtol=1e-6)
    e = np.exp(-np.abs(u))
    expected = e / (1 + e) ** 2 / float(temperature)
    np.testing.assert_allclose(slope, expected, rtol=2e-6)
    assert (slope > 0).all()


@pytest.mark.parametrize("temperature", WITHIN)
def test_surrogate_of_an_extreme_temperature_is_finite(temperature):
    network = mr.Network([mr.TemperatureSigmoid(temperature)], (1,))
    network.forward(np.zeros((1, 1), "float32"))
    layer = network.layers[0]
    found = layer.smoothed_gradient(np.ones((1, 1), "float32"), 1.0)
    np.testing.assert_allclose(found, 1 / (256 * float(temperature)), rtol=1e-6)


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(0)
    return rng.random((6, 2, 2, 1)).astype("float32"), np.arange(6) % 2


@pytest.mark.parametrize(("depth", "temperature"), [pytest.param(250, 1.0, marks=pytest.mark.slow), (15, 1e3)])
def test_audit_names_a_gradient_that_many_layers_extinguish(samples, depth, temperature, tiny_audits):
    layers = [layer for _ in range(depth) for layer in (mr.Dense(2), mr.TemperatureSigmoid(temperature))]
    network = mr.Network([mr.Flatten(), *layers, mr.Dense(2)], (2, 2, 1))
    x, y = samples
    assert not network.input_gradient(x, y).any()
    report = mr.audit(network, x, y, epsilon=0.1, budget="quick")
    assert report.masked
    assert report.checks[0].flagged
    assert "6 zero" in report.checks[0].text


@pytest.mark.parametrize("scale", [1e20, 1e38])
def test_audit_names_logits_that_overflow(samples, scale):
    network = mr.Network([mr.Flatten(), mr.Dense(4), mr.ReLU(), mr.Dense(2)], (2, 2, 1))
    network.parameters = np.where(network.parameters < 0, -scale, scale)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = mr.audit(network, *samples, epsilon=0.1, budget="quick")
    assert report.masked
    assert report.checks[0].flagged
    assert "samples have NaN or infinite logits" in report.checks[0].text
