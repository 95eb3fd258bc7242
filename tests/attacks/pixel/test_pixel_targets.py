"""The ranked pixel attack towards a class, against its definition in plain loops."""

from itertools import product

import numpy as np
import pytest

import minirobust as mr
from minirobust.stack import Evaluation

CLASSES = 4
COUNT = 40


@pytest.fixture(params=["dense", "convolution"])
def net(request, backend):
    first = [mr.Flatten(), mr.Dense(12)] if request.param == "dense" else [mr.Conv2D(3, 3), mr.Tanh(), mr.Flatten()]
    layers = [*first, mr.TemperatureSigmoid(0.5), mr.Dense(CLASSES)]
    net = mr.Network(layers, (4, 4, 1), backend=backend, dtype="float64", seed=4)
    net.parameters *= 2
    return net


@pytest.fixture
def samples(net, rng):
    """Images, labels of which some are wrong, and targets of which some are predicted from the start."""
    x = rng.random((COUNT, 4, 4, 1))
    predictions = net.backend.to_numpy(net.predict(x))
    y = np.where(np.arange(COUNT) % 5 == 0, (predictions + 1) % CLASSES, predictions)
    target = (y + rng.integers(1, CLASSES, COUNT)) % CLASSES
    return x, y, np.where(np.arange(COUNT) % 10 == 0, predictions, target)


def predict(net, image):
    return int(net.backend.to_numpy(net.predict(image[None]))[0])


def towards(net, image, label, target, pixels, succeeds, loss=None):
    """Return the first candidate that succeeds, or None: pixels are ranked by the gradient towards the target."""
    asarray = net.backend.asarray
    gradient = Evaluation(net).gradient(
        asarray(image[None]), asarray(np.array([label])), loss or mr.SoftmaxCrossEntropy(), asarray(np.array([target]))
    )[2]
    best = np.argsort(-abs(net.backend.to_numpy(gradient)).ravel(), kind="stable")[:pixels]
    for n in range(1, pixels + 1):
        for values in product((0.0, 1.0), repeat=n):
            candidate = image.copy()
            candidate.reshape(-1)[best[:n]] = values
            if succeeds(predict(net, candidate)):
                return candidate
    return None


def test_towards_one_class_the_first_candidate_of_that_class_is_returned(net, samples):
    x, y, target = samples
    made = mr.attacks.pixel(net, x, y, 2, target=target)
    images, reached, fooled, count = map(net.backend.to_numpy, (made.images, made.reached, made.fooled, made.count))
    for i, image in enumerate(x):
        there = predict(net, image) == target[i]
        found = None if there else towards(net, image, y[i], target[i], 2, lambda c, i=i: c == target[i])
        np.testing.assert_array_equal(images[i], image if found is None else found)
        assert reached[i] == (there or found is not None)
        assert fooled[i] == (predict(net, images[i]) != y[i])
        assert (count[i] > 0) == (found is not None)
    assert {(bool(a), bool(b)) for a, b in zip(reached, fooled, strict=True)} == {(1, 1), (0, 0), (0, 1)}


def test_towards_all_classes_the_first_that_fools_is_returned(net, samples):
    """Classes take turns, that of the largest logit first."""
    x, y, _ = samples
    made = mr.attacks.pixel(net, x, y, 1, target="all", loss=mr.Margin())
    images, reached, fooled = map(net.backend.to_numpy, (made.images, made.reached, made.fooled))
    logits = net.backend.to_numpy(net.logits(x))
    for i, image in enumerate(x):
        found = image
        if predict(net, image) == y[i]:
            order = [c for c in np.argsort(-logits[i], kind="stable") if c != y[i]]
            for target in order:
                candidate = towards(net, image, y[i], target, 1, lambda c, i=i: c != y[i], mr.Margin())
                if candidate is not None:
                    found = candidate
                    break
        np.testing.assert_array_equal(images[i], found)
        assert reached[i] == fooled[i] == (predict(net, found) != y[i])


def test_the_second_class_is_aimed_at_if_the_first_is_out_of_reach(backend):
    """Logits 1, 0.5 + 0.3 a and 1.2 b of the pixels a and b: a alone cannot make class 1 the largest."""
    net = mr.Network([mr.Flatten(), mr.Dense(3)], (1, 2, 1), backend=backend, dtype="float64")
    net.layers[1].weight.value[...] = backend.asarray(np.array([[0, 0.3, 0], [0, 0, 1.2]]))
    net.layers[1].bias.value[...] = backend.asarray(np.array([1, 0.5, 0]))
    x, y = np.zeros((1, 1, 2, 1)), np.array([0])
    first = mr.attacks.pixel(net, x, y, 1, target=np.array([1]), loss=mr.Margin())
    every = mr.attacks.pixel(net, x, y, 1, target="all", loss=mr.Margin())
    assert not backend.to_numpy(first.fooled).any()
    assert backend.to_numpy(every.pixels).tolist() == [[1]]
    assert backend.to_numpy(every.predictions).tolist() == [2]


def test_without_a_target_nothing_is_reached(net, samples):
    x, y, _ = samples
    assert mr.attacks.pixel(net, x, y).reached is None


def test_target_equal_to_the_label_raises(net, samples):
    x, y, _ = samples
    with pytest.raises(ValueError, match="attack: expected targets other than the labels, got 40 that are the same"):
        mr.attacks.pixel(net, x, y, target=y)
