"""No point of a box crosses a certificate: networks with every kind of layer, random points, corners and attacks."""

import numpy as np
import pytest
from certified_networks import EVERY, LINES, least_margin, margin_of, network, samples
from hypothesis import given, settings
from hypothesis import strategies as st

import minirobust as mr
from minirobust import certify

METHODS = {
    "ibp": certify.ibp,
    "crown": certify.crown,
    "alpha_crown": lambda *args: certify.alpha_crown(*args, steps=8),
}
TEMPERATURES = (1 / 64, 1 / 4, 1.0, 16.0)
seeds, epsilons = st.integers(0, 10**6), st.sampled_from([0.0, 1e-6, 0.01, 0.1, 0.5, 2.0])


@pytest.mark.parametrize(("name", "method"), [(n, m) for n in EVERY for m in METHODS if m == "ibp" or n in LINES])
@given(seed=seeds, temperature=st.sampled_from(TEMPERATURES), epsilon=epsilons, scale=st.sampled_from([0.3, 2.0, 20.0]))
@settings(max_examples=6)
def test_no_point_crosses_a_bound(name, method, seed, temperature, epsilon, scale):
    net = network(name, seed, temperature, scale)
    x, y = samples(net, seed)
    certificate = METHODS[method](net, x, y, epsilon)
    assert (certificate.margin <= least_margin(net, x, y, epsilon, seed)).all()
    assert (certificate.certified == (certificate.margin > 0)).all()
    # At ε = 0 little more than rounding is left: the bounds are not merely low.
    if epsilon == 0 and scale < 10 and temperature > 0.1:
        np.testing.assert_allclose(certificate.margin, margin_of(net.logits(x), y), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("method", METHODS)
@given(seed=seeds, temperature=st.sampled_from(TEMPERATURES), epsilon=epsilons)
@settings(max_examples=8)
def test_no_image_of_a_float32_network_crosses_a_bound(method, seed, temperature, epsilon):
    net = network("sigmoid", seed, temperature, dtype="float32")
    x, y = samples(net, seed)
    certificate = METHODS[method](net, x, y, epsilon)
    assert (certificate.margin <= least_margin(net, x, y, np.float32(epsilon), seed)).all()


@pytest.mark.parametrize("name", LINES)
def test_more_work_gives_a_higher_bound(name, rng):
    net = network(name, seed=3, temperature=0.5)
    x, y = samples(net, 3, 20)
    crown = certify.crown(net, x, y, 0.1).margin
    assert (certify.alpha_crown(net, x, y, 0.1).margin >= crown).all()


def test_every_method_is_exact_on_a_linear_network():
    net = network("linear", seed=5)
    x, y = samples(net, 5, 8)
    w = net.layers[0].weight.value
    epsilon = 0.2
    low, high = np.clip(x - epsilon, -1, 1), np.clip(x + epsilon, -1, 1)
    expected = []
    for k in range(len(x)):
        margins = []
        for j in set(range(3)) - {y[k]}:
            d = w[:, y[k]] - w[:, j]
            bias = net.layers[0].bias.value
            margins.append(bias[y[k]] - bias[j] + np.where(d > 0, d * low[k], d * high[k]).sum())
        expected.append(min(margins))
    for method in METHODS.values():
        np.testing.assert_allclose(method(net, x, y, epsilon).margin, expected, rtol=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", LINES)
def test_backends_agree(name, method, backend):
    reference, net = (network(name, 7, 0.5, backend=b) for b in ("numpy", backend))
    x, y = samples(net, 7, 4)
    here = METHODS[method](net, net.backend.asarray(x), net.backend.asarray(y), 0.05)
    there = METHODS[method](reference, x, y, 0.05)
    np.testing.assert_allclose(backend.to_numpy(here.margin), there.margin, rtol=1e-6)
    assert backend.to_numpy(here.certified).tolist() == there.certified.tolist()


@pytest.mark.parametrize("method", METHODS)
def test_bounds_do_not_depend_on_the_chunk_size(method, monkeypatch):
    net = network("two sigmoids", 11)
    x, y = samples(net, 11, 7)
    whole = METHODS[method](net, x, y, 0.05)
    monkeypatch.setattr(net.backend, "chunk_bytes", 1)
    np.testing.assert_allclose(METHODS[method](net, x, y, 0.05).margin, whole.margin, rtol=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_an_epsilon_for_each_image_gives_each_its_own_bound(method):
    net = network("sigmoid", 13)
    x, y = samples(net, 13, 4)
    epsilon = np.array([0.0, 0.01, 0.1, 0.5])
    together = METHODS[method](net, x, y, epsilon[:, None]).margin
    alone = [METHODS[method](net, x[k : k + 1], y[k : k + 1], float(e)).margin[0] for k, e in enumerate(epsilon)]
    np.testing.assert_allclose(together, alone, rtol=1e-10)


def test_certificates_leave_the_network_unchanged():
    net = network("convolution", 17)
    x, y = samples(net, 17)
    before = net.parameters.copy()
    for method in METHODS.values():
        method(net, x, y, 0.1)
    assert np.array_equal(net.parameters, before)
    assert net.passed is None
    assert not any(hasattr(layer, name) for layer in net.layers for name in layer.saved)


def test_network_with_nan_weights_is_not_certified():
    net = network("sigmoid")
    net.parameters[...] = np.nan
    x, y = samples(net, 0)
    for method in METHODS.values():
        assert not method(net, x, y, 0.1).certified.any()


# Custom layers, and refusals


class Double(mr.Layer):
    """y = 2 x."""

    def forward(self, x):
        return 2 * x

    def input_gradient(self, grad_y):
        return 2 * grad_y


class Bounded(Double):
    def interval_bounds(self, low, high):
        return 2 * low, 2 * high


class Squared(mr.Dense):
    """A subclass whose formula is another: the bounds of `Dense` are wrong for it."""

    def forward(self, x):
        return super().forward(x) ** 2


def test_a_custom_layer_supplies_its_own_bounds():
    net = mr.Network([Bounded(), mr.Dense(3)], (5,), dtype="float64")
    twin = mr.Network([mr.Dense(3)], (5,), dtype="float64")
    twin.parameters = net.parameters
    twin.layers[0].weight.value[...] *= 2
    x, y = np.full((2, 5), 0.5), np.array([0, 1])
    np.testing.assert_allclose(certify.ibp(net, x, y, 0.1).margin, certify.ibp(twin, x, y, 0.1).margin, rtol=1e-12)
    with pytest.raises(
        TypeError, match=r"layer 0, Bounded\(\): expected one of Dense, .*: use certify.ibp for other layers"
    ):
        certify.crown(net, x, y, 0.1)


@pytest.mark.parametrize("layer", [Double(), Squared(3)], ids=["custom", "subclass"])
def test_layer_without_bounds_raises(layer):
    net = mr.Network([layer, mr.Dense(3)], (5,))
    with pytest.raises(TypeError, match=r"layer 0, .*: expected a layer with interval bounds, got none"):
        certify.ibp(net, np.zeros((1, 5), "float32"), np.array([0]), 0.1)


def test_wrong_arguments_raise_and_are_named():
    net = network("sigmoid")
    x, y = samples(net, 0)
    with pytest.raises(TypeError, match="certify: expected a Network"):
        certify.ibp(object(), x, y, 0.1)
    with pytest.raises(ValueError, match="epsilon in"):
        certify.crown(net, x, y, -0.1)
    with pytest.raises(ValueError, match="steps"):
        certify.alpha_crown(net, x, y, 0.1, steps=0)
    with pytest.raises(ValueError, match="seconds"):
        certify.decide(net, x, y, 0.1, seconds=0)
    with pytest.raises(ValueError, match="at least 2 classes, got logits of shape"):
        certify.ibp(mr.Network([mr.Dense(1)], (5,)), x.astype("float32").clip(0, 1), 0 * y, 0.1)
    net = network("max pooling")
    with pytest.raises(TypeError, match=r"MaxPool2D.*expected one of Dense"):
        certify.crown(net, *samples(net, 0), 0.1)


def test_repr_gives_the_number_of_certified_samples():
    net = network("linear")
    x, y = samples(net, 0)
    assert repr(certify.ibp(net, x, y, 2.0)) == "<Certificate of 3 images, epsilon=2, 0 certified>"
