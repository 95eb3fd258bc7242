"""The smallest ε that fools each image: exact for linear models, and larger ε only for images not fooled yet."""

from functools import partial

import numpy as np
import pytest

import minirobust as mr

EPSILONS = [0.02, 0.05, 0.1, 0.2, 0.4]


@pytest.fixture
def net(backend):
    return mr.Network([mr.Dense(2)], (6,), backend=backend, dtype="float64", seed=3, input_range=(-100, 100))


@pytest.fixture
def x(rng):
    return rng.standard_normal((200, 6))


@pytest.fixture
def y(net, x):
    """The network's own classes, but for the first ten samples, which are wrong without an attack."""
    y = net.backend.to_numpy(net.predict(x)).copy()
    y[:10] = 1 - y[:10]
    return y


@pytest.mark.parametrize("attack", [mr.attacks.fgsm, mr.attacks.pgd, partial(mr.attacks.apgd, steps=5)])
@pytest.mark.parametrize("order", [EPSILONS, EPSILONS[::-1]])
def test_on_a_linear_model_it_is_the_smallest_one_above_the_margin(attack, order, net, x, y):
    """Fooled if and only if ε > (z_y - z_j) / ‖w_y - w_j‖₁."""
    to_numpy = net.backend.to_numpy
    weight, logits = to_numpy(net.layers[0].weight.value), to_numpy(net.logits(x))
    margins = abs(logits[:, 0] - logits[:, 1]) / abs(weight[:, 0] - weight[:, 1]).sum()
    expected = [min((e for e in EPSILONS if e > margin), default=np.inf) for margin in margins]
    expected[:10] = [0] * 10
    found = mr.attacks.minimal_epsilon(net, x, y, order, attack)
    np.testing.assert_array_equal(to_numpy(found.epsilon), expected)
    assert set(expected) == {0, *EPSILONS, np.inf}


def test_images_fool_within_their_epsilon_and_are_unchanged_where_nothing_fools(net, x, y):
    to_numpy = net.backend.to_numpy
    found = mr.attacks.minimal_epsilon(net, x, y, EPSILONS)
    epsilon, images = to_numpy(found.epsilon), to_numpy(found.images)
    fooled = epsilon < np.inf
    np.testing.assert_array_equal(to_numpy(net.predict(found.images)) != y, fooled)
    change = abs(images - x).max(axis=1)
    assert (change[fooled] <= epsilon[fooled] + 1e-12).all()
    assert change[epsilon > 0].max() > 0.1
    np.testing.assert_array_equal(images[~fooled | (epsilon == 0)], x[~fooled | (epsilon == 0)])


def test_every_epsilon_is_tried_on_the_samples_that_no_smaller_one_fooled(net, x, y):
    to_numpy, asked = net.backend.to_numpy, []

    def attack(model, images, labels, epsilon):
        asked.append((epsilon, to_numpy(images)))
        return mr.attacks.pgd(model, images, labels, epsilon)

    found = to_numpy(mr.attacks.minimal_epsilon(net, x, y, [0.4, 0.05, 0.1], attack).epsilon)
    assert [epsilon for epsilon, _ in asked] == [0.05, 0.1, 0.4]
    for epsilon, images in asked:
        np.testing.assert_array_equal(images, x[found >= epsilon])


def test_search_stops_when_every_sample_is_fooled(net, x, y):
    asked = []

    def attack(model, images, labels, epsilon):
        asked.append(epsilon)
        return mr.attacks.fgsm(model, images, labels, epsilon)

    assert net.backend.to_numpy(mr.attacks.minimal_epsilon(net, x, y, [90, 100], attack).epsilon).max() == 90
    assert asked == [90]
    mr.attacks.minimal_epsilon(net, x[:10], y[:10], [0.1], attack)
    assert asked == [90]


def test_repr_gives_the_number_of_samples_that_withstood(net, x, y):
    found = mr.attacks.minimal_epsilon(net, x, y, [0.02, 0.4])
    withstood = int((net.backend.to_numpy(found.epsilon) == np.inf).sum())
    assert repr(found) == f"<MinimalEpsilon of 200 images, {withstood} not fooled up to epsilon=0.4>"


@pytest.mark.parametrize(
    ("epsilons", "message"),
    [
        ([], "minimal_epsilon: expected at least one epsilon, got none"),
        ([0.1, 201.0], r"attack: expected epsilon in \[0, 200\], got 201.0"),
        ([0.1, -0.1], r"attack: expected epsilon in \[0, 200\], got -0.1"),
    ],
)
def test_wrong_epsilons_raise_before_the_attack(epsilons, message, net, x, y):
    with pytest.raises(ValueError, match=message):
        mr.attacks.minimal_epsilon(net, x, y, epsilons, attack=None)
