"""Other gradients for an attack: smoothed, averaged over noise or draws, estimated from differences."""

import math

import numpy as np
import pytest

import minirobust as mr
from minirobust.attacks.surrogates import annealed, averaged, differences, expectation, smoothed
from minirobust.stack import Evaluation

LOSS = mr.SoftmaxCrossEntropy()


def network(backend, *layers, shape=(5,), dtype="float64", seed=3):
    return mr.Network([*layers], shape, backend=backend, dtype=dtype, seed=seed)


def ask(model, x, y, loss=LOSS, **options):
    """The answers of a model to host arrays, on the host."""
    asarray, to_numpy = model.backend.asarray, model.backend.to_numpy
    return [to_numpy(array) for array in model.gradient(asarray(x), asarray(y), loss, **options)]


@pytest.fixture
def x(rng):
    return rng.standard_normal((7, 5))


@pytest.fixture
def y(rng):
    return rng.integers(0, 3, 7)


# Smoothed derivatives

ACTIVATIONS = [mr.TemperatureSigmoid(0.1), mr.ReLU(), mr.Tanh()]


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
def test_zero_smoothing_gives_the_true_gradient_and_smoothing_keeps_the_logits(activation, backend, x, y):
    net = network(backend, mr.Dense(6), activation.fresh(), mr.Dense(3))
    logits, losses, gradient = ask(Evaluation(net), x, y)
    for amount in (0, 0.3, 1):
        got = ask(smoothed(net, amount), x, y)
        np.testing.assert_array_equal(got[0], logits)
        np.testing.assert_array_equal(got[1], losses)
        assert np.array_equal(got[2], gradient) == (amount == 0)


def sigmoid_slope(net, T):
    e = np.exp(-np.abs(net) / T)
    return e / (T * (1 + e) ** 2)


# The derivative of each activation at `amount`, in the textbook's form.
DERIVATIVES = [
    (mr.TemperatureSigmoid(0.1), lambda net, amount: sigmoid_slope(net, 0.1 * 64**amount)),
    (mr.ReLU(), lambda net, amount: 1 / (1 + np.exp(-net / (8 * amount)))),
    (mr.Tanh(), lambda net, amount: 1 / np.cosh(net / 8**amount) ** 2),
]


@pytest.mark.parametrize(("activation", "derivative"), DERIVATIVES, ids=["sigmoid", "relu", "tanh"])
@pytest.mark.parametrize("amount", [0.25, 1, 1.5])
def test_the_smoothed_gradient_is_the_chain_rule_with_the_other_derivative(
    activation, derivative, amount, backend, x, y
):
    net = network(backend, mr.Dense(6), activation.fresh(), mr.Dense(3))
    first, _, last = net.layers
    weight1, weight2 = (net.backend.to_numpy(layer.weight.value) for layer in (first, last))
    values = x @ weight1 + net.backend.to_numpy(first.bias.value)
    logits = net.backend.to_numpy(net.logits(x))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    grad = p - np.eye(3)[y]
    expected = ((grad @ weight2.T) * derivative(values, amount)) @ weight1.T
    np.testing.assert_allclose(ask(smoothed(net, amount), x, y)[2], expected, rtol=1e-10, atol=1e-14)


def test_a_smoothed_relu_becomes_the_true_one(backend, x, y):
    net = network(backend, mr.Dense(6), mr.ReLU(), mr.Dense(3))
    np.testing.assert_allclose(ask(smoothed(net, 1e-9), x, y)[2], ask(Evaluation(net), x, y)[2], rtol=1e-12)


class Staircase(mr.Layer):
    """Rounds to eighths: no slope anywhere, so it names the identity's as its smoothed one."""

    def forward(self, x):
        return (x * 8).astype("int64").astype(x.dtype) / 8

    def input_gradient(self, grad_y):
        return self.xp.zeros_like(grad_y)

    def smoothed_gradient(self, grad_y, amount):
        return grad_y if amount > 0 else self.input_gradient(grad_y)


def test_a_custom_layer_supplies_its_own_smoothed_gradient(backend, rng):
    net = network(backend, Staircase(), mr.Dense(3))
    x = rng.random((40, 5))
    y = backend.to_numpy(net.predict(x))
    assert not backend.to_numpy(mr.attacks.pgd(net, x, y, 0.3, starts=1).fooled).any()
    assert backend.to_numpy(mr.attacks.pgd(net, x, y, 0.3, starts=1, gradients=annealed()).fooled).mean() > 0.5


@pytest.mark.parametrize("start", [64, 16, 2])
@pytest.mark.parametrize("K", [2, 5])
def test_annealing_goes_from_the_start_to_the_true_temperature(start, K, backend):
    model = Evaluation(network(backend, mr.TemperatureSigmoid(0.5), mr.Dense(3)))
    factors = [64 ** annealed(start)(model, k, K).amount for k in range(K)]
    np.testing.assert_allclose(factors, [start ** (1 - k / (K - 1)) for k in range(K)])
    assert 64 ** annealed()(model, 0, 1).amount == pytest.approx(16)


def test_annealing_fools_a_saturated_network_that_the_true_gradient_does_not(digits, backend):
    net = mr.models.mlp(1 / 64, hidden=48, backend=backend)
    mr.fit(net, mr.Adam(net), digits, epochs=4, progress=False)
    x, y = digits.test.pixels(slice(200)), digits.test.labels[:200]
    left = [
        1 - backend.to_numpy(mr.attacks.pgd(net, x, y, 0.05, steps=20, gradients=gradients).fooled).mean()
        for gradients in (None, annealed())
    ]
    assert left[1] < left[0] - 0.1


@pytest.mark.parametrize("start", [1, 0.5, "64", math.nan])
def test_start_of_at_most_one_raises(start):
    with pytest.raises(ValueError, match="annealed: expected start"):
        annealed(start)


# Averages and estimates


def test_the_average_is_the_mean_of_the_gradients_at_noisy_images(backend, x, y):
    net = network(backend, mr.Dense(6), mr.TemperatureSigmoid(0.1), mr.Dense(3))
    model = Evaluation(net)
    seen = []
    guide = averaged(0.2, draws=5, seed=7)(model, 2, 9)
    whole = model.gradient
    model.gradient = lambda noisy, *rest: seen.append(backend.to_numpy(noisy)) or whole(noisy, *rest)
    logits, losses, gradient = ask(guide, x, y)
    del model.gradient
    assert len(seen) == 5
    np.testing.assert_allclose(gradient, np.mean([ask(model, noisy, y)[2] for noisy in seen], axis=0), rtol=1e-12)
    np.testing.assert_array_equal(logits, ask(model, x, y)[0])
    np.testing.assert_array_equal(losses, ask(model, x, y)[1])
    noise = np.array(seen) - x
    assert abs(noise.mean()) < 0.05
    assert noise.std() == pytest.approx(0.2, rel=0.15)
    np.testing.assert_array_equal(ask(averaged(0.2, 5, 7)(model, 2, 9), x, y)[2], gradient)
    assert (ask(averaged(0.2, 5, 7)(model, 3, 9), x, y)[2] != gradient).any()


def test_differences_of_a_linear_loss_estimate_its_slope(backend, x):
    net = network(backend, mr.Dense(2))
    y = np.zeros(7, int)
    truth = ask(Evaluation(net), x, y, mr.Margin())[2]
    estimate = ask(differences(0.1, draws=4_000)(Evaluation(net), 0, 1), x, y, mr.Margin())[2]
    np.testing.assert_allclose(estimate, truth, atol=0.1 * np.abs(truth).max())


def test_differences_need_no_gradient(blind, backend, rng):
    net = network(backend, blind, mr.Dense(3))
    x = rng.random((40, 5))
    y = backend.to_numpy(net.predict(x))
    made = mr.attacks.pgd(net, x, y, 0.3, steps=10, starts=1, gradients=differences(0.1, draws=20))
    assert backend.to_numpy(made.fooled).mean() > 0.5
    assert made.gradients == 0


class Jitter(mr.Layer):
    """Scales by a random number, in evaluation too."""

    def forward(self, x):
        self.scale = 0.5 + self.random((1,))
        return x * self.scale

    saved = ("scale",)

    def input_gradient(self, grad_y):
        return grad_y * self.scale


def test_draws_select_the_numbers_of_a_random_network(backend, x, y):
    net = network(backend, Jitter(), mr.Dense(3))
    model = Evaluation(net)
    there = backend.asarray(x)
    answers = [backend.to_numpy(model.logits(there, draw)) for draw in (0, 1, 2, 0, 1)]
    np.testing.assert_array_equal(answers[0], backend.to_numpy(net.logits(x)))
    for first, again in ((0, 3), (1, 4)):
        np.testing.assert_array_equal(answers[first], answers[again])
    assert len({answer.tobytes() for answer in answers}) == 3
    assert net.layers[0].draws == 0


class Twice(mr.Layer):
    """Adds two random numbers, one after the other."""

    def forward(self, x):
        self.numbers = [self.random((1,)), self.random((1,))]
        return x + self.numbers[0] + self.numbers[1]

    saved = ("numbers",)


def test_draws_of_a_layer_that_draws_twice_share_no_numbers(backend, x):
    model = Evaluation(network(backend, Twice(), mr.Dense(3)))
    seen = []
    for draw in range(5):
        model.logits(backend.asarray(x), draw)
        seen += [float(backend.to_numpy(number)[0]) for number in model.layers[0].numbers]
    assert len(set(seen)) == len(seen)


def test_the_expectation_is_the_mean_over_draws_and_other_draws_in_each_step(backend, x, y):
    model = Evaluation(network(backend, Jitter(), mr.Dense(3)))
    for k in range(3):
        expected = np.mean([ask(model, x, y, draw=draw)[2] for draw in range(1 + 4 * k, 5 + 4 * k)], axis=0)
        np.testing.assert_allclose(ask(expectation(4)(model, k, 3), x, y)[2], expected, rtol=1e-12)


@pytest.mark.parametrize("make", [averaged, differences])
def test_wrong_arguments_of_the_estimates_raise(make):
    with pytest.raises(ValueError, match=rf"{make.__name__}: expected sigma"):
        make(0)
    with pytest.raises(ValueError, match=rf"{make.__name__}: expected draws"):
        make(0.1, draws=0)
