"""The oracles that the grader computes for a student's program: right gradients, and counted images."""

import numpy as np
import pytest

from minirobust.classroom.defences import Trained
from minirobust.classroom.oracles import CountedNetwork, DigitsModel, small_digits
from minirobust.classroom.program import Wrong


def central_difference(function, x, direction, step):
    return (function(x + step * direction) - function(x - step * direction)) / (2 * step)


def test_network_counts_images_and_returns_the_gradient_of_cross_entropy():
    draw = np.random.default_rng(0)
    network = CountedNetwork(draw, (3, 4, 2), classes=3)
    x, y = network.images(draw, 5)
    assert network.shown == 0
    logits = network.logits(x)
    assert np.array_equal(logits.argmax(axis=1), y)
    assert network.shown == 5

    def loss(x):
        z = network.logits(x)
        return (np.log(np.exp(z).sum(axis=1)) - z[np.arange(5), y]).sum()

    direction = draw.standard_normal(x.shape)
    expected = central_difference(loss, x, direction, 1e-5)
    assert (network.input_gradient(x, y) * direction).sum() == pytest.approx(expected, rel=1e-7)


def test_network_answers_for_no_images_at_all():
    network = CountedNetwork(np.random.default_rng(0), (3, 4, 2), classes=3)
    assert network.logits(np.zeros((0, 3, 4, 2))).shape == (0, 3)
    assert network.input_gradient(np.zeros((0, 3, 4, 2)), np.zeros(0, int)).shape == (0, 3, 4, 2)


def test_same_draw_gives_the_same_images_and_goes_on_alike():
    def drawn():
        draw = np.random.default_rng(3)
        network = CountedNetwork(draw, (3, 4, 1), classes=2)
        return *network.images(draw, 6), draw.random()

    first = drawn()
    expected = [np.copy(array) for array in first]
    first[0][...] = first[1][...] = 0  # a script may write into its arrays
    assert all(map(np.array_equal, drawn(), expected))


def test_model_of_digits_returns_the_gradient_of_its_loss():
    draw = np.random.default_rng(0)
    x, y = (array[:7] for array in small_digits())
    value, direction = draw.standard_normal((2, 49, 10))
    model = DigitsModel()
    expected = central_difference(lambda value: model.loss_and_gradient(value, x, y)[0], value, direction, 1e-5)
    assert (model.loss_and_gradient(value, x, y)[1] * direction).sum() == pytest.approx(expected, rel=1e-7)


def test_trained_network_returns_the_gradient_of_any_combination_of_logits():
    draw = np.random.default_rng(0)
    model = Trained("none", 0, 1000)
    x, _ = model.correct_images(draw, 4)
    cotangent = draw.standard_normal((4, 10)).astype("float32")
    direction = draw.standard_normal(x.shape).astype("float32")
    expected = central_difference(lambda x: (model.logits(x) * cotangent).sum(), x, direction, 1e-2)
    assert (model.gradient(x, cotangent) * direction).sum() == pytest.approx(expected, rel=1e-2)


def test_gradient_belongs_to_its_own_images():
    model = Trained("ripple", 0, 1000)
    x, _ = model.correct_images(np.random.default_rng(0), 4)
    cotangent = np.eye(10, dtype="float32")[:4]
    for images in (x, x / 2, x[:0], x / 2, x):
        model.logits(x)
        model.logits(images)
        expected = Trained("ripple", 0, 1000).gradient(images, cotangent[: len(images)])
        assert np.array_equal(model.gradient(images, cotangent[: len(images)]), expected)


def test_trained_network_counts_images_and_stops_at_its_budget():
    model = Trained("none", 0, 10)
    x, _ = model.correct_images(np.random.default_rng(0), 4)
    model.logits(x)
    model.gradient(x, np.zeros((4, 10)))
    assert model.shown == 8
    with pytest.raises(Wrong, match="more than 10 images"):
        model.logits(x)
