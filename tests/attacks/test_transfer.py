"""Transfer: images are made on one network and judged by another."""

from functools import partial

import numpy as np
import pytest

import minirobust as mr


@pytest.fixture
def networks(backend):
    return [
        mr.models.mlp(T, (5, 4, 1), hidden=12, classes=3, backend=backend, dtype="float64", seed=seed)
        for T, seed in ((0.5, 1), (2, 2))
    ]


@pytest.mark.parametrize("attack", [mr.attacks.noise, mr.attacks.pgd])
def test_images_come_from_the_source_and_are_judged_by_the_target(attack, networks, rng):
    source, target = networks
    to_numpy = source.backend.to_numpy
    x, y = rng.random((30, 5, 4, 1)), rng.integers(0, 3, 30)
    made = mr.attacks.transfer(source, target, x, y, partial(attack, epsilon=0.3, seed=5))
    own = attack(source, x, y, 0.3, seed=5)
    np.testing.assert_array_equal(to_numpy(made.images), to_numpy(own.images))
    np.testing.assert_array_equal(to_numpy(made.predictions), to_numpy(target.predict(own.images)))
    np.testing.assert_array_equal(to_numpy(made.fooled), to_numpy(target.predict(own.images)) != y)
    np.testing.assert_array_equal(to_numpy(made.clean_correct), to_numpy(target.predict(x)) == y)
    assert (to_numpy(made.predictions) != to_numpy(own.predictions)).any()
    assert (made.epsilon, made.seed) == (0.3, 5)


def test_backends_and_dtypes_may_differ(networks, rng):
    source, target = networks
    to_numpy = source.backend.to_numpy
    x, y = rng.random((30, 5, 4, 1)), rng.integers(0, 3, 30)
    here = to_numpy(mr.attacks.transfer(source, target, x, y, mr.attacks.fgsm).images)
    host, single = target.to("numpy"), target.to("numpy", "float32")
    for one, other in ((source.to("numpy"), target), (source, host), (source, single)):
        made = mr.attacks.transfer(one, other, x, y, mr.attacks.fgsm)
        assert other.backend.owns(made.images)
        np.testing.assert_allclose(other.backend.to_numpy(made.images), here, atol=1e-7)
        theirs = other.backend.to_numpy
        np.testing.assert_array_equal(theirs(made.fooled), theirs(made.predictions) != y)


def test_images_made_on_an_honest_network_fool_a_masked_one(trained, digits):
    """The same weights, multiplied until the softmax is flat: FGSM has no gradient, transferred images need none."""
    x, y = digits.test.pixels(slice(200)), digits.test.labels[:200]
    masked = trained.copy()
    masked.layers[-1].weight.value *= 1e4
    masked.layers[-1].bias.value *= 1e4
    own = mr.robustness.network_robustness(mr.attacks.fgsm(masked, x, y).fooled, y)
    transferred = mr.robustness.network_robustness(
        mr.attacks.transfer(trained, masked, x, y, mr.attacks.fgsm).fooled, y
    )
    assert transferred < own - 0.2


def test_source_with_another_input_shape_raises(networks):
    source = mr.models.mlp(1.0, (4, 5, 1), hidden=12, classes=3, backend=networks[1].backend)
    message = r"transfer: source: expected the target's input_shape \(5, 4, 1\), got \(4, 5, 1\)"
    with pytest.raises(ValueError, match=message):
        mr.attacks.transfer(source, networks[1], np.zeros((1, 4, 5, 1)), [0], mr.attacks.fgsm)


def test_source_with_another_input_range_raises(networks):
    source, target = networks
    source.input_range = (-1.0, 1.0)
    message = r"transfer: source: expected the target's input_range \(0.0, 1.0\), got \(-1.0, 1.0\)"
    with pytest.raises(ValueError, match=message):
        mr.attacks.transfer(source, target, np.zeros((1, 5, 4, 1)), [0], mr.attacks.fgsm)


def test_source_with_another_number_of_classes_raises(networks):
    source = mr.models.mlp(1.0, (5, 4, 1), hidden=12, classes=4, backend=networks[1].backend)
    message = r"transfer: source: expected the target's classes 3, got 4"
    with pytest.raises(ValueError, match=message):
        mr.attacks.transfer(source, networks[1], np.zeros((1, 5, 4, 1)), [0], mr.attacks.fgsm)


def test_source_that_ends_in_softmax_raises(networks):
    source = mr.Network([mr.Flatten(), mr.Dense(3), mr.Softmax()], (5, 4, 1), backend=networks[1].backend)
    with pytest.raises(ValueError, match=r"transfer: source: layer 2, Softmax\(\): expected a network that ends in"):
        mr.attacks.transfer(source, networks[1], np.zeros((1, 5, 4, 1)), [0], mr.attacks.fgsm)


def test_source_that_is_not_a_network_raises(networks):
    with pytest.raises(TypeError, match="transfer: source: expected a Network or a model with logits, got 0.25"):
        mr.attacks.transfer(0.25, networks[1], np.zeros((1, 5, 4, 1)), [0], mr.attacks.fgsm)
