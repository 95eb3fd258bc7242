"""Branch and bound loses no adversarial image, and decides small networks completely."""

import time

import numpy as np
import pytest
from certified_networks import DENSE, LINES, margin_of, network, samples
from hypothesis import given, settings
from hypothesis import strategies as st

import minirobust as mr
from minirobust import certify
from minirobust.certify.ascent import ascend
from minirobust.certify.backward import backward
from minirobust.certify.boxes import Twin
from minirobust.certify.branch import is_empty, shrink, split
from minirobust.certify.certificate import margins

EPSILON = 0.3


def activations(model, points):
    """Return the inputs of every activation layer."""
    return {
        layer.index: model.evaluate(points, stop=layer.index)
        for layer in model.layers
        if isinstance(layer, mr.TemperatureSigmoid | mr.Tanh | mr.ReLU)
    }


def inside(region, inputs):
    """Return which points have all inputs of activations within the region's intervals."""
    within = [
        ((low <= inputs[k]) & (inputs[k] <= high)).reshape(len(inputs[k]), -1).all(axis=1)
        for k, (low, high) in region.intervals.items()
    ]
    return np.logical_and.reduce(within)


@pytest.mark.parametrize("name", [name for name in LINES if name != "linear"])
@given(seed=st.integers(0, 10**6), temperature=st.sampled_from([1 / 64, 1.0]))
@settings(max_examples=8)
def test_no_adversarial_image_is_lost(name, seed, temperature):
    net = network(name, seed, temperature)
    model = Twin(net)
    x, y = samples(net, seed, 1)
    rng = np.random.default_rng(seed)
    offsets = rng.uniform(-1, 1, (1000, *net.input_shape)) * rng.choice([0.1, 1, 10], (1000, *[1] * (x.ndim - 1)))
    points = np.clip(x + EPSILON * offsets.clip(-1, 1), -1, 1)
    rows, relaxation = margins(model, x, y, EPSILON)
    inputs, logits = activations(model, points), net.logits(points)
    for row in range(len(rows.A)):
        adversarial = logits @ rows.A[row] <= 0
        _, region = ascend(relaxation, rows[row : row + 1], 5)
        smaller = shrink(relaxation, region, backward(relaxation, region))
        assert inside(smaller, inputs)[adversarial].all()
        if is_empty(relaxation, smaller):
            assert not adversarial.any()
            continue
        one, other = split(relaxation, smaller)
        assert (inside(one, inputs) | inside(other, inputs))[adversarial].all()
        assert inside(one, inputs).sum() + inside(other, inputs).sum() <= inside(smaller, inputs).sum() + 1


@pytest.mark.parametrize("name", DENSE)
def test_small_networks_are_decided_correctly(name, backend, rng):
    net = network(name, 23, temperature=0.5, scale=1.0, backend=backend)
    x, y = samples(net, 23, 12)
    if name == "linear":
        y = backend.to_numpy(net.predict(x))
    decision = certify.decide(net, backend.asarray(x), backend.asarray(y), 0.1, seconds=3)
    certified, fooled, images = map(backend.to_numpy, (decision.certified, decision.fooled, decision.images))
    assert not (certified & fooled).any()
    assert certified.any()
    assert fooled.any() or name == "linear"
    assert not backend.to_numpy(decision.undecided).any()
    assert (abs(images - x) <= 0.1 + 1e-12).all()
    assert ((backend.to_numpy(net.predict(images)) != y) == fooled).all()
    points = np.clip(x + 0.1 * rng.choice([-1, 0, 1], (300, *x.shape)), -1, 1)[:, certified]
    logits = net.logits(points.reshape(-1, *net.input_shape))
    assert (margin_of(backend.to_numpy(logits), np.tile(y[certified], 300)) > 0).all()


def test_the_search_proves_more_than_alpha_crown():
    net = network("tanh", 32)
    x, _ = samples(net, 32, 30)
    y = net.predict(x)
    proven = certify.alpha_crown(net, x, y, 0.1).certified
    decision = certify.decide(net, x, y, 0.1, seconds=3)
    assert (decision.certified >= proven).all()
    assert decision.certified.sum() > proven.sum()


def test_the_search_ends_in_time():
    net = mr.models.mlp(1 / 64, (12,), hidden=40, classes=3, dtype="float64")
    net.parameters *= 20
    x = np.random.default_rng(0).random((3, 12))
    begun = time.perf_counter()
    certify.decide(net, x, net.predict(x), 0.4, seconds=0.3)
    assert time.perf_counter() - begun < 30
