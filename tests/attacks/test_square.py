"""Square Attack against a twin written as loops, and against the exact answer for a linear model without gradient."""

from itertools import pairwise

import numpy as np
import pytest

import minirobust as mr
from minirobust.attacks.attack import uniform
from minirobust.attacks.square import side


def published_share(query, queries):
    """p of a square, counted from 0, as the authors' code has it."""
    it = int(query / queries * 10000)
    borders = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000, 10000)
    for power, (low, high) in enumerate(pairwise(borders), start=1):
        if low < it <= high:
            return 0.8 / 2**power
    return 0.8


def one_sample(net, x, y, epsilon, queries, seed, position):
    """The paper's loop for one image and the random numbers that belong to its position."""
    height, width, channels = x.shape
    place = slice(position, position + 1)

    def shown(image):
        logits = net.backend.to_numpy(net.logits(image[None]))[0]
        return np.delete(logits, y).max() - logits[y], logits.argmax() != y

    best, image = -np.inf, x
    _, fooled = shown(x)
    for query in range(queries):
        if fooled:
            break
        if query == 0:
            sign = np.where(uniform((seed, 0), place, (1, width, channels))[0] < 0.5, 1, -1)
            candidate = np.clip(x + epsilon * sign, 0, 1)
        else:
            u = uniform((seed, query), place, (2 + channels,))[0]
            size = max(round(np.sqrt(published_share(query - 1, queries) * height * width)), 1)
            size = min(size, height, width)
            top, left = int(u[0] * (height - size + 1)), int(u[1] * (width - size + 1))
            for flip in (1, -1):
                candidate = image.copy()
                for i in range(top, top + size):
                    for j in range(left, left + size):
                        sign = flip * np.where(u[2:] < 0.5, 1, -1)
                        candidate[i, j] = np.clip(x[i, j] + epsilon * sign, 0, 1)
                if (candidate != image).any():
                    break
        margin, fooled = shown(candidate)
        if margin > best or fooled:
            best, image = margin, candidate
    return image


@pytest.mark.parametrize("shape", [(6, 5, 1), (4, 7, 3), (1, 1, 1)])
@pytest.mark.parametrize("epsilon", [0.05, 0.3])
def test_square_equals_a_loop_over_samples(shape, epsilon, backend, rng):
    net = mr.models.mlp(0.5, shape, hidden=8, classes=3, backend=backend, dtype="float64", seed=4)
    x = rng.random((12, *shape))
    y = backend.to_numpy(net.predict(x)).copy()
    y[0] = (y[0] + 1) % 3
    images = backend.to_numpy(mr.attacks.square(net, x, y, epsilon, queries=60, seed=9).images)
    twins = [one_sample(net, x[i], y[i], epsilon, 60, 9, i) for i in range(len(x))]
    np.testing.assert_allclose(images, twins, atol=1e-12)
    np.testing.assert_array_equal(images[0], x[0])


def test_a_tie_with_a_lower_class_fools(backend, rng):
    """The logits of this network are its pixels, and clipping makes several of them 1."""
    net = mr.Network([mr.Flatten()], (1, 1, 3), backend=backend, dtype="float64")
    x = rng.random((30, 1, 1, 3))
    y = x.reshape(30, 3).argmax(axis=1)
    images = backend.to_numpy(mr.attacks.square(net, x, y, 0.2, queries=10, seed=2).images)
    np.testing.assert_allclose(images, [one_sample(net, x[i], y[i], 0.2, 10, 2, i) for i in range(30)], atol=1e-12)


class NaNAboveNineTenths(mr.Layer):
    def forward(self, x):
        return self.xp.where(x > 0.9, float("nan"), x)


def test_an_image_whose_logits_are_nan_is_kept(backend):
    net = mr.Network([NaNAboveNineTenths(), mr.Flatten()], (1, 1, 2), backend=backend)
    x = np.tile([0.85, 0.2], (10, 1, 1, 1))
    result = mr.attacks.square(net, x, np.zeros(10, int), 0.1, queries=20)
    np.testing.assert_array_equal(backend.to_numpy(result.predictions), -1)


@pytest.fixture
def masked(blind, backend):
    """A linear model of two classes whose gradient does not come through."""
    layers = [blind, mr.Flatten(), mr.Dense(2)]
    return mr.Network(layers, (4, 3, 1), backend=backend, dtype="float64", seed=3, input_range=(-100, 100))


def test_square_finds_the_optimum_of_a_linear_model_without_a_gradient(masked, rng):
    """Fooled if and only if ε > (z_y - z_j) / ‖w_y - w_j‖₁, where attacks with a gradient stand still."""
    net, to_numpy = masked, masked.backend.to_numpy
    x = rng.standard_normal((60, 4, 3, 1))
    y = to_numpy(net.predict(x))
    weight, logits = to_numpy(net.layers[-1].weight.value), to_numpy(net.logits(x))
    margin = abs(logits[:, 0] - logits[:, 1]) / abs(weight[:, 0] - weight[:, 1]).sum()
    epsilon = np.median(margin)
    assert not to_numpy(mr.attacks.fgsm(net, x, y, epsilon).fooled).any()
    fooled = to_numpy(mr.attacks.square(net, x, y, epsilon, queries=600).fooled)
    decided = abs(margin - epsilon) > 1e-3
    np.testing.assert_array_equal(fooled[decided], (margin < epsilon)[decided])


def test_more_queries_never_leave_a_smaller_loss(masked, rng):
    """Improvements alone are kept; one query is the stripes, constant down every column."""
    net, to_numpy, loss = masked, masked.backend.to_numpy, mr.Margin()
    net.layers[-1].bias.value[0] = 1000.0
    x, y = rng.standard_normal((10, 4, 3, 1)), np.zeros(10, int)
    stripes = to_numpy(mr.attacks.square(net, x, y, 0.1, queries=1).images)
    np.testing.assert_allclose(abs(stripes - x), 0.1)
    assert (np.ptp(np.sign(stripes - x), axis=1) == 0).all()
    assert len(np.unique(np.sign(stripes - x), axis=0)) > 4
    improved = to_numpy(mr.attacks.square(net, x, y, 0.1, queries=300).images)
    assert (
        to_numpy(loss.value_and_gradient(net.logits(improved), y)[0])
        > to_numpy(loss.value_and_gradient(net.logits(stripes), y)[0])
    ).all()


@pytest.mark.parametrize("queries", [2, 300, 1000, 10_000])
def test_the_schedule_is_the_published_one(queries):
    for query in range(1, queries):
        expected = max(round(np.sqrt(published_share(query - 1, queries) * 28 * 28)), 1)
        assert side(query, queries, 28, 28) == expected


def test_the_square_fits_into_a_narrow_image():
    assert side(1, 1000, 40, 3) == 3
    assert side(999, 1000, 2, 2) == 1


def test_square_is_stronger_on_digits_than_equally_many_draws_of_noise(trained, digits):
    x, y = digits.test.pixels(slice(100)), digits.test.labels[:100]
    to_numpy = trained.backend.to_numpy
    square = to_numpy(mr.attacks.square(trained, x, y, 0.1, queries=150).fooled)
    noise = to_numpy(mr.attacks.noise(trained, x, y, 0.1, draws=150).fooled)
    assert square.mean() > noise.mean() + 0.1


def test_inputs_that_are_not_images_raise(backend):
    net = mr.Network([mr.Dense(2)], (6,), backend=backend)
    message = r"square: expected a model of images \(H, W, C\), got inputs of shape \(6,\)"
    with pytest.raises(ValueError, match=message):
        mr.attacks.square(net, np.zeros((1, 6)), [0])
