"""PGD against the exact answer for linear models, on landscapes made for it, and against FGSM on digits."""

import numpy as np
import pytest

import minirobust as mr
from minirobust.attacks.pgd import ball
from minirobust.stack import Evaluation


class Slit(mr.Layer):
    """One feature to the logits of two classes: class 1 between two points, class 0 elsewhere.

    The gradient leads away from 0, whatever stands there.
    """

    def __init__(self, low, high):
        self.low, self.high = low, high

    def build(self, input_shape):
        return (2,)

    def forward(self, x):
        self.x = x
        inside = ((x >= self.low) & (x <= self.high)).astype(x.dtype)
        return inside * self.xp.asarray([[0.0, 1.0]]) + self.xp.asarray([[0.5, 0.0]])

    def input_gradient(self, grad_y):
        return 2 * (self.x >= 0).astype(grad_y.dtype) - 1


@pytest.fixture
def slit(backend):
    def build(low, high):
        return mr.Network([Slit(low, high)], (1,), backend=backend, dtype="float64", input_range=(-1, 1))

    return build


def test_on_a_linear_model_it_fools_exactly_beyond_the_margin(backend, rng):
    """Two classes, far from the borders of the range: fooled if and only if ε > (z_y - z_j) / ‖w_y - w_j‖₁."""
    net = mr.Network([mr.Dense(2)], (6,), backend=backend, dtype="float64", seed=3, input_range=(-100, 100))
    x = rng.standard_normal((200, 6))
    to_numpy = backend.to_numpy
    y = to_numpy(net.predict(x))
    weight, logits = to_numpy(net.layers[0].weight.value), to_numpy(net.logits(x))
    margin = abs(logits[:, 0] - logits[:, 1]) / abs(weight[:, 0] - weight[:, 1]).sum()
    for loss in (None, mr.Margin()):
        for epsilon in np.quantile(margin, [0.1, 0.5, 0.9]):
            fooled = to_numpy(mr.attacks.pgd(net, x, y, epsilon, steps=7, loss=loss).fooled)
            decided = abs(margin - epsilon) > 1e-9
            np.testing.assert_array_equal(fooled[decided], (margin < epsilon)[decided])


@pytest.mark.parametrize("loss", [mr.SoftmaxCrossEntropy(), mr.Margin()], ids=repr)
def test_iterates_equal_the_formula(loss, backend, rng):
    """A robust network, so that nothing stops early: the last iterate is that of a loop over the formula."""
    net = mr.models.mlp(0.5, (4, 3, 1), hidden=9, classes=3, backend=backend, dtype="float64", seed=2)
    net.layers[-1].bias.value[0] = 100.0
    to_numpy, x, y = backend.to_numpy, rng.random((8, 4, 3, 1)), np.zeros(8, int)
    images = x
    for _ in range(6):
        images = images + 2.5 * 0.3 / 6 * np.sign(to_numpy(net.input_gradient(images, y, loss)))
        images = np.clip(np.clip(images, x - 0.3, x + 0.3), 0, 1)
    made = mr.attacks.pgd(net, x, y, 0.3, steps=6, starts=1, loss=loss)
    np.testing.assert_allclose(to_numpy(made.images), images, atol=1e-12)
    assert not to_numpy(made.fooled).any()


def test_sample_is_fooled_if_any_iterate_fools(slit):
    """α = 0.025: 0, 0.025, 0.05 (inside), and on to 0.1, where the network is right again."""
    net = slit(0.04, 0.06)
    made = mr.attacks.pgd(net, [[0.0], [0.5]], [0, 0], 0.1, steps=10, starts=1)
    to_numpy = net.backend.to_numpy
    np.testing.assert_array_equal(to_numpy(made.fooled), [True, False])
    np.testing.assert_allclose(to_numpy(made.images), [[0.05], [0.6]], atol=1e-12)


def test_last_iterate_is_returned_without_stopping(slit):
    """The network is right there, although it was wrong on the way, which ends a sample by default."""
    net = slit(0.04, 0.06)
    made = mr.attacks.pgd(net, [[0.0], [0.5]], [0, 0], 0.1, steps=10, starts=1, stop=False)
    to_numpy = net.backend.to_numpy
    np.testing.assert_allclose(to_numpy(made.images), [[0.1], [0.6]], atol=1e-12)
    assert not to_numpy(made.fooled).any()


def test_the_first_and_the_last_iterate_count(slit):
    net = slit(0.0999, 0.1001)
    images = net.backend.to_numpy(mr.attacks.pgd(net, [[0.0], [0.1]], [0, 0], 0.1, steps=10, starts=2).images)
    np.testing.assert_allclose(images, [[0.1], [0.1]], atol=1e-12)


def test_fooling_iterate_is_kept_despite_later_starts(slit):
    """Up from 0 the last iterate of the first start fools; half of the second starts lead down, where nothing does."""
    net = slit(0.0999, 0.1001)
    x, y = np.zeros((50, 1)), np.zeros(50, int)
    for starts in (1, 2, 3):
        assert net.backend.to_numpy(mr.attacks.pgd(net, x, y, 0.1, steps=1, starts=starts).fooled).all()


def test_further_starts_find_images_that_the_first_start_misses(slit):
    """Uphill from 0 leads away from this slit; every start below 0 gets there."""
    net = slit(-0.1, -0.02)
    x, y = np.zeros((300, 1)), np.zeros(300, int)
    to_numpy = net.backend.to_numpy
    found = [to_numpy(mr.attacks.pgd(net, x, y, 0.1, steps=10, starts=starts).fooled).mean() for starts in (1, 2, 20)]
    assert found[0] == 0
    assert found[1] == pytest.approx(0.5, abs=0.1)
    assert found[2] > 0.99


def test_starts_are_uniform_in_the_ball_and_differ_between_samples(blind, backend):
    """With no gradient nothing moves: the images are the starts."""
    net = mr.Network([blind, mr.Dense(2)], (30,), backend=backend, dtype="float64")
    net.layers[-1].bias.value[0] = 100.0
    x, y = np.full((50, 30), 0.5), np.zeros(50, int)
    change = backend.to_numpy(mr.attacks.pgd(net, x, y, 0.2, steps=3, starts=2).images) - x
    assert len(np.unique(change)) == change.size
    np.testing.assert_allclose(np.quantile(change, [0, 0.25, 0.5, 0.75, 1]), [-0.2, -0.1, 0, 0.1, 0.2], atol=0.02)
    third, other = (backend.to_numpy(mr.attacks.pgd(net, x, y, 0.2, steps=3, starts=3, seed=s).images) for s in (0, 1))
    assert (third - x != change).all()
    assert (third != other).all()


def test_the_ball_ends_at_epsilon_or_at_the_input_range(backend, rng):
    net = mr.Network([mr.Dense(2)], (6,), backend=backend, dtype="float64", input_range=(-1, 2))
    x = rng.uniform(-1, 2, (50, 6))
    low, high = map(backend.to_numpy, ball(net, backend.asarray(x), 0.5))
    np.testing.assert_array_equal(low, [[max(pixel - 0.5, -1) for pixel in image] for image in x])
    np.testing.assert_array_equal(high, [[min(pixel + 0.5, 2) for pixel in image] for image in x])
    assert (low == -1).any()
    assert (high == 2).any()


@pytest.mark.parametrize("loss", [mr.SoftmaxCrossEntropy(), mr.Margin()], ids=repr)
def test_pgd_is_stronger_than_fgsm_on_digits(trained, digits, loss):
    x, y = digits.test.pixels(slice(300)), digits.test.labels[:300]
    to_numpy = trained.backend.to_numpy
    for epsilon in (0.05, 0.1):
        fgsm = to_numpy(mr.attacks.fgsm(trained, x, y, epsilon).fooled)
        pgd = to_numpy(mr.attacks.pgd(trained, x, y, epsilon, steps=20, loss=loss).fooled)
        assert pgd.mean() > fgsm.mean() + 0.02
        assert (pgd >= fgsm).mean() > 0.98


def test_more_starts_never_fool_fewer(trained, digits):
    x, y = digits.test.pixels(slice(200)), digits.test.labels[:200]
    to_numpy = trained.backend.to_numpy
    one, three = (to_numpy(mr.attacks.pgd(trained, x, y, 0.05, steps=10, starts=starts).fooled) for starts in (1, 3))
    assert (three >= one).all()


def test_misclassified_samples_are_not_attacked(trained, digits, monkeypatch, pass_together):
    """What the network is asked shrinks with every step."""
    x, y = digits.test.pixels(slice(200)), digits.test.labels[:200]
    batches = []
    whole = Evaluation.gradient

    def watch(model, images, *arguments):
        batches.append(len(images))
        return whole(model, images, *arguments)

    pass_together(trained, len(x))
    monkeypatch.setattr(Evaluation, "gradient", watch)
    made = mr.attacks.pgd(trained, x, y, 0.1, steps=10, starts=2)
    assert batches == sorted(batches, reverse=True)
    assert batches[0] == 200
    assert batches[-1] < trained.backend.to_numpy(~made.fooled).sum() + 20
