"""Auto-PGD against Algorithm 1 in plain Python, the optimum of linear models, FGSM and PGD."""

import math
from fractions import Fraction

import numpy as np
import pytest

import minirobust as mr
from minirobust.attacks.apgd import checkpoints
from minirobust.attacks.surrogates import annealed
from minirobust.stack import Evaluation

LOSSES = [mr.SoftmaxCrossEntropy(), mr.Margin()]


def algorithm_1(f, gradient, x, epsilon, steps, bounds=(0.0, 1.0)):
    """Return x_max, f_max and the step size of every step for one image, a list of pixels.

    Croce & Hein (2020), Algorithm 1 and section 3.2, started at x itself.  As in the authors' code, x^(w_j) itself is
    replaced by x_max where the paper replaces the point after it.
    """
    low, high = ([min(max(p + side * epsilon, bounds[0]), bounds[1]) for p in x] for side in (-1, 1))

    def project(point):
        return [min(max(p, least), most) for p, least, most in zip(point, low, high, strict=True)]

    W = [math.ceil(p * steps) for p in shares()]
    eta, etas, values = 2 * epsilon, [], [f(x)]
    points, best, f_max = [x], x, values[0]
    eta_at, f_max_at, w_last = eta, f_max, 0
    for k in range(steps):
        now, etas = points[-1], [*etas, eta]
        z = project([p + eta * ((g > 0) - (g < 0)) for p, g in zip(now, gradient(now), strict=True)])
        if k > 0:
            momentum = zip(now, z, points[-2], strict=True)
            z = project([p + 0.75 * (q - p) + 0.25 * (p - before) for p, q, before in momentum])
        points.append(z)
        values.append(f(z))
        if values[-1] > f_max:
            best, f_max = z, values[-1]
        if k + 1 in W[1:] and k + 1 > w_last:
            rises = sum(values[i + 1] > values[i] for i in range(w_last, k + 1))
            condition_1 = rises < 0.75 * (k + 1 - w_last)
            condition_2 = eta == eta_at and f_max == f_max_at
            eta_at, f_max_at, w_last = eta, f_max, k + 1
            if condition_1 or condition_2:
                eta, points[-1] = eta / 2, best
    return best, f_max, etas


def shares():
    """p_0 = 0, p_1 = 0.22, p_{j+1} = p_j + max(p_j - p_{j-1} - 0.03, 0.06), up to 1, as exact fractions."""
    p = [Fraction(0), Fraction(22, 100)]
    while (after := p[-1] + max(p[-1] - p[-2] - Fraction(3, 100), Fraction(6, 100))) <= 1:
        p.append(after)
    return p


def robust(network):
    """The network, made so sure of class 0 that nothing fools it and no sample is done early."""
    network.layers[-1].bias.value[0] = 30.0
    return network


@pytest.mark.parametrize("steps", [1, 2, 5, 20, 33, 100, 1000])
def test_checkpoints_are_those_of_the_paper(steps):
    assert list(checkpoints(steps)) == sorted({math.ceil(p * steps) for p in shares()})
    assert list(checkpoints(100)) == [0, 22, 41, 57, 70, 80, 87, 93, 99]
    assert list(checkpoints(100).values()) == [0, 22, 19, 16, 13, 10, 7, 6, 6]


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("steps", [1, 2, 7, 40, 100])
def test_result_equals_algorithm_1_of_the_paper(loss, steps, backend, rng):
    net = robust(mr.models.mlp(0.2, (3, 3, 1), hidden=9, classes=3, backend=backend, dtype="float64", seed=2))
    to_numpy, x, y = backend.to_numpy, rng.random((3, 3, 3, 1)), np.zeros(3, int)

    def f(point):
        return to_numpy(loss.value_and_gradient(net.logits(np.reshape(point, (1, 3, 3, 1))), y[:1])[0]).item()

    def gradient(point):
        return to_numpy(net.input_gradient(np.reshape(point, (1, 3, 3, 1)), y[:1], loss)).ravel().tolist()

    made = mr.attacks.apgd(net, x, y, 0.3, steps=steps, loss=loss)
    assert not to_numpy(made.fooled).any()
    for image, start in zip(to_numpy(made.images), x, strict=True):
        best, _, _ = algorithm_1(f, gradient, start.ravel().tolist(), 0.3, steps)
        np.testing.assert_allclose(image.ravel(), best, rtol=0, atol=1e-12)


class Peak(mr.Layer):
    """One feature to two logits: class 0 leads by 1 + |x - peak|, so the margin loss is largest at the peak."""

    def __init__(self, peak):
        self.peak = peak

    saved = ("x",)

    def build(self, input_shape):
        return (2,)

    def forward(self, x):
        self.x = x
        return (1 + abs(x - self.peak)) * self.xp.asarray([[1.0, 0.0]])

    def input_gradient(self, grad_y):
        up = (self.x > self.peak).astype(grad_y.dtype) - (self.x < self.peak).astype(grad_y.dtype)
        return grad_y[:, :1] * up


@pytest.mark.parametrize("peak", [0.31, -0.7, 0.05])
def test_halving_the_step_converges_to_a_maximum(peak, backend):
    """The first step leads to the edge of the ball, the next ones to and fro across the peak until steps are halved."""
    net = mr.Network([Peak(peak)], (1,), backend=backend, dtype="float64", input_range=(-5, 5))
    best, f_max, etas = algorithm_1(
        lambda point: -1 - abs(point[0] - peak),
        lambda point: [float(point[0] < peak) - float(point[0] > peak)],
        [0.0],
        1.0,
        100,
        (-5, 5),
    )
    image = backend.to_numpy(mr.attacks.apgd(net, [[0.0]], [0], 1.0, loss=mr.Margin()).images).item()
    assert image == pytest.approx(best[0], abs=1e-12)
    assert abs(image - peak) == pytest.approx(-1 - f_max, abs=1e-12)
    assert etas[0] == 2
    assert etas[-1] <= 2 / 2**6
    assert abs(image - peak) < 0.02


class Ripples(mr.Layer):
    """Features to two logits of which the first is larger; the gradient changes its sign from place to place."""

    saved = ("x",)

    def build(self, input_shape):
        return (2,)

    def forward(self, x):
        self.x = x
        return x[:, :1] * 0 + self.xp.asarray([[1.0, 0.0]])

    def input_gradient(self, grad_y):
        return ripples(self.x)


def ripples(x):
    """Half of every eighth points up, the other half down."""
    return ((x * 16).astype("int64") % 2) * 2.0 - 1


class Scripted:
    """A loss that has its values from a list, one for each call, wherever the attack stands."""

    def __init__(self, values, backend):
        self.values, self.asarray = iter(values), backend.asarray

    def value_and_gradient(self, logits, y, target=None):
        return self.asarray(np.array([next(self.values)])), logits * 0 + 1


def script(rng, steps):
    """Losses that rise in about three quarters of the steps, at times below an earlier peak; the last is largest."""
    jumps = np.where(rng.random(steps) < rng.choice([0.7, 0.8, 0.95]), rng.random(steps), -8 * rng.random(steps))
    return [*np.cumsum([0, *jumps]), 1e6]


def test_steps_are_halved_for_the_reasons_of_algorithm_1(backend):
    """Each script of losses leads to its own step sizes, all of which determine the last iterate, which is the best."""
    net = mr.Network([Ripples()], (4,), backend=backend, dtype="float64", input_range=(0, 8))
    lengths = set()
    for seed in range(15):
        rng = np.random.default_rng(seed)
        values, x = script(rng, 99), rng.uniform(2, 6, (1, 4))
        told = iter(values)
        last, _, etas = algorithm_1(
            lambda _, told=told: next(told),
            lambda point: ripples(np.array(point)).tolist(),
            x[0].tolist(),
            1.0,
            100,
            (0, 8),
        )
        image = mr.attacks.apgd(net, x, [0], 1.0, loss=Scripted(values, backend)).images
        np.testing.assert_allclose(backend.to_numpy(image)[0], last, rtol=0, atol=1e-9)
        lengths.add(etas[-1])
    assert len(lengths) > 4


def test_without_a_gradient_it_returns_the_start_of_largest_loss(blind, backend):
    net = robust(mr.Network([blind, mr.Dense(2)], (30,), backend=backend, dtype="float64"))
    x, y = np.full((5, 30), 0.5), np.zeros(5, int)
    np.testing.assert_array_equal(backend.to_numpy(mr.attacks.apgd(net, x, y, 0.2, steps=9).images), x)
    made = [mr.attacks.apgd(net, x, y, 0.2, steps=2, starts=4, seed=seed) for seed in (5, 5, 6)]
    first, again, other = (backend.to_numpy(attack.images) for attack in made)
    assert (first != x).any()  # the random start with the largest loss
    assert abs(first - x).max() <= 0.2
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert made[0].seed == 5


@pytest.mark.parametrize("starts", [1, 3])
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_on_a_linear_model_it_reaches_the_optimum_exactly(loss, starts, backend, rng):
    net = robust(mr.Network([mr.Dense(2)], (6,), backend=backend, dtype="float64", seed=3))
    x, y = rng.random((50, 6)), np.zeros(50, int)
    weight = backend.to_numpy(net.layers[0].weight.value)
    optimum = np.clip(x + 0.2 * np.sign(weight[:, 1] - weight[:, 0]), 0, 1)
    images = backend.to_numpy(mr.attacks.apgd(net, x, y, 0.2, steps=10, starts=starts, loss=loss).images)
    np.testing.assert_array_equal(images, optimum)


def test_on_a_linear_model_it_fools_exactly_beyond_the_margin(backend, rng):
    """Two classes, far from the borders of the range: fooled if and only if ε > (z_y - z_j) / ‖w_y - w_j‖₁."""
    net = mr.Network([mr.Dense(2)], (6,), backend=backend, dtype="float64", seed=3, input_range=(-100, 100))
    x = rng.standard_normal((200, 6))
    to_numpy = backend.to_numpy
    y = to_numpy(net.predict(x))
    weight, logits = to_numpy(net.layers[0].weight.value), to_numpy(net.logits(x))
    margin = abs(logits[:, 0] - logits[:, 1]) / abs(weight[:, 0] - weight[:, 1]).sum()
    for epsilon in np.quantile(margin, [0.1, 0.5, 0.9]):
        fooled = to_numpy(mr.attacks.apgd(net, x, y, epsilon, steps=3).fooled)
        decided = abs(margin - epsilon) > 1e-9
        np.testing.assert_array_equal(fooled[decided], (margin < epsilon)[decided])


def test_first_step_is_fgsm_so_it_fools_every_image_that_fgsm_fools(trained, digits):
    x, y = digits.test.pixels(slice(300)), digits.test.labels[:300]
    to_numpy = trained.backend.to_numpy
    fgsm, one, ten = (
        attack(trained, x, y, 0.05)
        for attack in (
            mr.attacks.fgsm,
            lambda *a: mr.attacks.apgd(*a, steps=1),
            lambda *a: mr.attacks.apgd(*a, steps=10),
        )
    )
    stepped = to_numpy(one.images) != x
    np.testing.assert_array_equal(to_numpy(one.images)[stepped], to_numpy(fgsm.images)[stepped])
    assert (to_numpy(one.fooled) >= to_numpy(fgsm.fooled)).all()
    assert (to_numpy(ten.fooled) >= to_numpy(fgsm.fooled)).all()
    assert to_numpy(ten.fooled).mean() > to_numpy(fgsm.fooled).mean() + 0.02


@pytest.fixture(scope="module")
def saturated_on_the_host(digits):
    net = mr.models.mlp(1 / 64)
    mr.fit(net, mr.Adam(net), digits, epochs=3, progress=False)
    return net


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_on_saturated_digits_it_is_no_weaker_than_pgd_with_as_many_steps(loss, saturated_on_the_host, digits, backend):
    net, x, y = saturated_on_the_host.to(backend), digits.test.pixels(slice(50)), digits.test.labels[:50]
    pgd, apgd = (
        backend.to_numpy(attack(net, x, y, steps=100, starts=1, loss=loss).fooled).mean()
        for attack in (mr.attacks.pgd, mr.attacks.apgd)
    )
    assert apgd >= pgd > 0.5


def test_it_stops_at_the_first_iterate_that_fools_and_returns_it(backend, rng, monkeypatch):
    net = mr.models.mlp(0.2, (3, 3, 1), hidden=9, classes=3, backend=backend, dtype="float64", seed=2)
    to_numpy, x = backend.to_numpy, rng.random((20, 1, 3, 3, 1))
    asked, whole = [], Evaluation.gradient

    def watch(model, images, *arguments):
        asked.append(to_numpy(images))
        return whole(model, images, *arguments)

    monkeypatch.setattr(Evaluation, "gradient", watch)
    lengths = set()
    for image in x:
        asked.clear()
        y = net.predict(image)
        made = mr.attacks.apgd(net, image, y, 0.3, steps=20)
        failures = to_numpy(net.predict(np.concatenate(asked))) != to_numpy(y)
        if to_numpy(made.fooled).all():
            assert failures.tolist() == [False] * (len(asked) - 1) + [True]
            np.testing.assert_array_equal(to_numpy(made.images), asked[-1])
        else:
            assert failures.tolist() == [False] * 21
        lengths.add(len(asked))
    assert len(lengths) > 3


def test_of_several_starts_it_returns_the_point_of_largest_loss(backend, rng):
    net = robust(mr.models.mlp(0.05, (3, 3, 1), hidden=20, classes=3, backend=backend, dtype="float64", seed=2))
    to_numpy, x, y = backend.to_numpy, rng.random((30, 3, 3, 1)), np.zeros(30, int)

    def reached(starts):
        made = mr.attacks.apgd(net, x, y, 0.3, steps=10, starts=starts)
        return to_numpy(mr.SoftmaxCrossEntropy().value_and_gradient(net.logits(made.images), y)[0])

    one, two, six = map(reached, (1, 2, 6))
    assert (two >= one).all()
    assert (six >= two).all()
    assert (six > one).mean() > 0.2


def test_a_sample_that_withstands_keeps_its_best_point_when_a_later_start_fools_others(backend, rng):
    net = mr.models.mlp(0.02, (3, 3, 1), hidden=20, classes=3, backend=backend, dtype="float64", seed=2)
    to_numpy, x = backend.to_numpy, rng.random((60, 3, 3, 1))
    y = to_numpy(net.predict(x))
    one, six = (mr.attacks.apgd(net, x, y, 0.1, steps=5, starts=starts) for starts in (1, 6))
    before, after = (
        to_numpy(mr.SoftmaxCrossEntropy().value_and_gradient(net.logits(made.images), y)[0]) for made in (one, six)
    )
    withstand = ~to_numpy(six.fooled)
    assert to_numpy(six.fooled).sum() > to_numpy(one.fooled).sum()
    assert withstand.sum() > 10
    assert (after >= before)[withstand].all()


def test_targeted_attack_stops_at_the_target_or_returns_the_closest_image(backend, rng):
    net = mr.models.mlp(0.2, (3, 3, 1), hidden=9, classes=4, backend=backend, dtype="float64", seed=2)
    to_numpy, x = backend.to_numpy, rng.random((60, 3, 3, 1))
    y = to_numpy(net.predict(x))
    target = (y + 1) % 4
    made = mr.attacks.apgd(net, x, y, 0.4, steps=30, target=target)
    reached = to_numpy(made.reached)
    assert 0.1 < reached.mean() < 0.9
    before, after = (
        to_numpy(mr.SoftmaxCrossEntropy().value_and_gradient(net.logits(images), y, target)[0])
        for images in (x, made.images)
    )
    assert (after > before).all()


def test_an_epsilon_for_each_image_sets_its_own_step_sizes(backend, rng):
    net = mr.models.mlp(0.05, (3, 3, 1), hidden=20, classes=3, backend=backend, dtype="float64", seed=2)
    to_numpy, x = backend.to_numpy, rng.random((30, 3, 3, 1))
    y, epsilon = to_numpy(net.predict(x)), np.array([0.02, 0.1, 0.3])[np.arange(30) % 3]
    made = to_numpy(mr.attacks.apgd(net, x, y, epsilon.reshape(-1, 1, 1, 1), steps=30, starts=2).images)
    for value in np.unique(epsilon):
        alone = to_numpy(mr.attacks.apgd(net, x, y, float(value), steps=30, starts=2).images)
        np.testing.assert_allclose(made[epsilon == value], alone[epsilon == value], rtol=0, atol=1e-12)


def test_every_step_uses_the_gradient_model_for_that_step(trained, digits):
    asked = []

    def gradients(model, k, K):
        asked.append((k, K))
        return annealed()(model, k, K)

    x, y = digits.test.pixels(slice(50)), digits.test.labels[:50]
    to_numpy = trained.backend.to_numpy
    true, guided = (mr.attacks.apgd(trained, x, y, 0.03, steps=6, gradients=g) for g in (None, gradients))
    assert asked == [(k, 6) for k in range(6)]
    assert (to_numpy(true.images) != to_numpy(guided.images)).any()


def test_misclassified_samples_are_not_attacked(trained, digits, monkeypatch, pass_together):
    x, y = digits.test.pixels(slice(200)), digits.test.labels[:200]
    batches = []
    whole = Evaluation.gradient

    def watch(model, images, *arguments):
        batches.append(len(images))
        return whole(model, images, *arguments)

    pass_together(trained, len(x))
    monkeypatch.setattr(Evaluation, "gradient", watch)
    made = mr.attacks.apgd(trained, x, y, 0.1, steps=10, starts=2)
    assert batches == sorted(batches, reverse=True)
    assert batches[0] == 200
    assert batches[-1] < trained.backend.to_numpy(~made.fooled).sum() + 20
