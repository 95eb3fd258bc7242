"""The broken defences: their layers compute their formulas, and the audit flags every one of them."""

import importlib.util
import math
from functools import cache

import numpy as np
import pytest
from benchmarks.zoo import KNOWN, undefended
from honest_networks import HONEST, honest

import minirobust as mr
from minirobust.masking.zoo import (
    ZOO,
    GaussianNoise,
    KWinnersTakeAll,
    MonteCarloDropout,
    Quantize,
    Ripple,
    Scale,
    Staircase,
    Thermometer,
)
from minirobust.stack import Evaluation

FAST = "numba" if importlib.util.find_spec("numba") else "numpy"


def run(layer, x, backend, grad_y=None, amount=None):
    """Return a layer's output for `x`, or ∂L/∂x for a given ∂L/∂y, on the host."""
    network = mr.Network([layer], x.shape[1:], backend=backend, dtype="float64", seed=5)
    y = network.forward(x)
    if grad_y is not None:
        grad_y = backend.asarray(grad_y)
        y = layer.input_gradient(grad_y) if amount is None else layer.smoothed_gradient(grad_y, amount)
    return backend.to_numpy(y)


# Forward, number by number


def quantize(value):
    return min((k / 4 for k in range(5)), key=lambda level: abs(level - value))


def staircase(value):
    return sum((1 + math.tanh(6 * (value - (k + 0.5) / 4))) / 2 for k in range(4)) / 4


@pytest.mark.parametrize(
    ("layer", "formula"),
    [
        (Scale(3), lambda value: 3 * value),
        (Quantize(5), quantize),
        (Staircase(5, slope=6), staircase),
        (Ripple(0.1, 7), lambda value: value - 0.1 * math.sin(7 * value)),
    ],
    ids=["scale", "quantize", "staircase", "ripple"],
)
def test_each_pixel_follows_the_formula(layer, formula, backend, rng):
    x = rng.random((3, 4, 2))
    expected = [formula(value) for value in x.ravel()]
    np.testing.assert_allclose(run(layer.fresh(), x, backend).ravel(), expected, rtol=1e-14)


def test_a_steep_staircase_rounds(backend, rng):
    x = rng.random((3, 400))
    far = np.abs(x * 7 % 1 - 0.5) > 0.1  # from a jump
    steep, rounded = run(Staircase(8, slope=400), x, backend), run(Quantize(8), x, backend)
    np.testing.assert_allclose(steep[far], rounded[far], atol=1e-5)


def test_the_winners_keep_their_values(backend, rng):
    x = rng.standard_normal((5, 9))
    x[0] = x[0, 0]  # all equal: all win
    x[1, :3] = 9.0
    expected = [[value if value >= sorted(row)[-2] else 0 for value in row] for row in x]
    np.testing.assert_array_equal(run(KWinnersTakeAll(2), x, backend), expected)


def test_a_pixel_fills_the_thermometer_up_to_its_value(backend, rng):
    x = rng.random((3, 2, 2, 2))
    x[0, 0, 0] = 0, 1
    y = run(Thermometer(5), x, backend)
    assert y.shape == (3, 2, 2, 10)
    for n, i, j, c in np.ndindex(x.shape):
        bits = [float(x[n, i, j, c] > k / 5) for k in range(5)]
        assert y[n, i, j, 5 * c : 5 * c + 5].tolist() == bits


def test_noise_has_its_standard_deviation_and_is_normal(backend):
    x = np.full((200, 100), 0.4)
    noise = (run(GaussianNoise(0.3), x, backend) - x) / 0.3
    assert noise.mean() == pytest.approx(0, abs=0.03)
    assert noise.std() == pytest.approx(1, abs=0.03)
    assert (np.abs(noise) < 1).mean() == pytest.approx(0.683, abs=0.02)
    assert (noise > 2).mean() == pytest.approx(0.023, abs=0.005)


def test_dropout_drops_in_evaluation(backend):
    y = run(MonteCarloDropout(0.3), np.ones((100, 200)), backend)
    assert np.unique(y).tolist() == [0, 1 / (1 - 0.3)]
    assert (y == 0).mean() == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Quantize(1), "expected at least 2 levels, got 1"),
        (Staircase(1, 9), "expected at least 2 levels, got 1"),
        (KWinnersTakeAll(4), r"expected more than 4 features, got \(4,\)"),
    ],
    ids=["quantize", "staircase", "winners"],
)
def test_wrong_arguments_are_refused(layer, message):
    with pytest.raises(ValueError, match=message):
        mr.Network([layer], (4,))


# Backward

DIFFERENTIABLE = [
    Scale(3),
    KWinnersTakeAll(2),
    Staircase(5, slope=6),
    Ripple(0.1, 7),
    GaussianNoise(0.3),
    MonteCarloDropout(0.3),
]


@pytest.mark.parametrize("layer", DIFFERENTIABLE, ids=repr)
def test_gradient_is_right_where_it_exists(layer, backend, rng):
    mr.gradcheck(layer.fresh(), rng.random((4, 6)), backend=backend)


@pytest.mark.parametrize("layer", [Quantize(5), Thermometer(5)], ids=repr)
def test_a_rounded_input_has_no_gradient(layer, backend, rng):
    x = rng.random((4, 6))
    grad_y = rng.standard_normal(run(layer.fresh(), x, backend).shape)
    np.testing.assert_array_equal(run(layer.fresh(), x, backend, grad_y), np.zeros_like(x))


def test_the_staircase_loses_its_gradient_to_rounding_far_from_a_step(backend):
    x = np.array([[0.0, 0.01, 0.14, 0.5, 1.0]])  # the steps are at 1/14, 3/14, ...
    gradient = run(Staircase(8, slope=400), x, backend, np.ones_like(x))
    assert (gradient != 0).tolist() == [[False, False, False, True, False]]


# The smoothed backward pass


@pytest.mark.parametrize("layer", [*DIFFERENTIABLE, Quantize(5), Thermometer(5)], ids=repr)
def test_without_smoothing_the_gradient_is_the_true_one(layer, backend, rng):
    x = rng.random((4, 6))
    grad_y = rng.standard_normal(run(layer.fresh(), x, backend).shape)
    own = run(layer.fresh(), x, backend, grad_y)
    np.testing.assert_array_equal(run(layer.fresh(), x, backend, grad_y, amount=0), own)


@pytest.mark.parametrize("layer", [Quantize(5), Staircase(5, slope=400)], ids=repr)
@pytest.mark.parametrize("amount", [0.01, 1])
def test_a_staircase_is_smoothed_to_the_identity(layer, amount, backend, rng):
    x, grad_y = rng.random((4, 6)), rng.standard_normal((4, 6))
    np.testing.assert_array_equal(run(layer.fresh(), x, backend, grad_y, amount), grad_y)


@pytest.mark.parametrize("amount", [0.05, 1, 2])
def test_a_ripple_is_smoothed_by_averaging_over_noise(amount, backend, rng):
    x, grad_y = rng.random((4, 6)), rng.standard_normal((4, 6))
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    noisy = x[..., None] + 0.1 * amount * nodes
    mean = (1 - 0.1 * 7 * np.cos(7 * noisy)) @ weights / weights.sum()
    np.testing.assert_allclose(run(Ripple(0.1, 7), x, backend, grad_y, amount), grad_y * mean, rtol=1e-10)


@pytest.mark.parametrize("amount", [0.05, 1])
def test_the_thermometers_steps_become_sigmoids(amount, backend, rng):
    x, grad_y = rng.random((4, 2, 3)), rng.standard_normal((4, 2, 15))
    expected = np.zeros_like(x)
    for n, i, c in np.ndindex(x.shape):
        for k in range(5):
            distance = (x[n, i, c] - k / 5) / amount
            slope = 1 / (amount * (2 * math.cosh(distance / 2)) ** 2)
            expected[n, i, c] += grad_y[n, i, 5 * c + k] * slope
    np.testing.assert_allclose(run(Thermometer(5), x, backend, grad_y, amount), expected, rtol=1e-12)


def test_smoothed_winners_win_by_their_distance_from_the_last_place(backend, rng):
    x, grad_y = rng.standard_normal((4, 9)), rng.standard_normal((4, 9))
    ranked = np.sort(x, axis=1)
    between = (ranked[:, -2] + ranked[:, -3])[:, None] / 2
    for amount in (0.1, 1):
        expected = grad_y / (1 + np.exp(-(x - between) / (8 * amount)))
        np.testing.assert_allclose(run(KWinnersTakeAll(2), x, backend, grad_y, amount), expected, rtol=1e-12)
    own = run(KWinnersTakeAll(2), x, backend, grad_y)
    np.testing.assert_allclose(run(KWinnersTakeAll(2), x, backend, grad_y, 1e-9), own, rtol=1e-12)


# The defences


@pytest.fixture(scope="session")
def barely_trained(digits):
    """Return a function that returns a defence, trained for one epoch on few digits."""
    return cache(lambda name: ZOO[name].build(digits.train[:300], 3, epochs=1))


@pytest.mark.parametrize("name", ZOO)
def test_every_defence_can_move_to_another_backend(name, barely_trained, backend, digits):
    network, x = barely_trained(name), digits.test.pixels(slice(20))
    moved = network.to(backend)
    logits = network.logits(x)
    np.testing.assert_allclose(backend.to_numpy(moved.logits(x)), logits, rtol=0, atol=1e-5 * np.abs(logits).max())


@pytest.mark.parametrize("name", ZOO)
def test_a_seed_determines_the_network(name, barely_trained, digits):
    again, other = (ZOO[name].build(digits.train[:300], seed, epochs=1) for seed in (3, 4))
    np.testing.assert_array_equal(barely_trained(name).parameters, again.parameters)
    assert not np.array_equal(again.parameters, other.parameters)


@pytest.mark.parametrize("name", ZOO)
def test_random_defences_differ_from_draw_to_draw_and_others_do_not(name, barely_trained, digits):
    model, x = Evaluation(barely_trained(name)), digits.test.pixels(slice(20))
    answers = [model.logits(x, draw=draw) for draw in (0, 1, 2, 0, 1)]
    np.testing.assert_array_equal(answers[0], answers[3])
    np.testing.assert_array_equal(answers[1], answers[4])
    different = not any(np.array_equal(a, b) for a, b in ((answers[0], answers[1]), (answers[1], answers[2])))
    assert different == ZOO[name].random


def test_draws_of_noise_are_independent(backend):
    network = mr.Network([GaussianNoise(1), mr.Dense(2)], (2000,), backend=backend)
    model, x = Evaluation(network), backend.asarray(np.zeros((1, 2000), dtype="float32"))
    noise = []
    for draw in range(4):
        model.logits(x, draw)
        noise.append(backend.to_numpy(model.layers[1].x)[0])
    correlation = np.corrcoef([*noise, *np.square(noise)]) - np.eye(8)
    assert np.abs(correlation).max() < 0.1


# How they break


@pytest.fixture(scope="session")
def source(digits):
    """Return an ordinary network, on which images that transfer are made."""
    return undefended(digits)


def flags(report):
    return {check.number for check in report.flagged}


def test_random_defence_is_flagged_after_little_training(digits):
    """It is recognized, and FGSM leaves more than the worst case."""
    network = ZOO["dropout at test time"].build(digits, backend="numpy", epochs=4)
    x, y = digits.test.pixels(slice(25)), digits.test.labels[:25]
    report = mr.audit(network, x, y, epsilon=0.1, budget="quick")
    assert (report.random, report.masked) == (True, False)
    assert report.robustness["clean"].value > 0.8
    naive = mr.attacks.fgsm(network, x, y, 0.1).fooled
    assert (~report.fooled["worst case"]).mean() < (~naive).mean()


@pytest.mark.slow
@pytest.mark.parametrize("name", ZOO)
def test_every_defence_is_flagged(name, digits, source):
    """The audit calls it masked, by the checks of the table, and leaves hardly more than any attack known."""
    network, defence = ZOO[name].build(digits, backend=FAST), ZOO[name]
    report = mr.audit(network, digits.test.pixels(slice(500)), digits.test.labels[:500], 0.1, [source], "quick")
    known = KNOWN[name][2]
    assert report.random == defence.random
    assert report.robustness["clean"].value >= 0.85
    assert (~report.fooled["worst case"]).mean() <= known + 0.02
    assert set(defence.flagged_by) <= flags(report)
    assert report.masked == (not defence.random)


@pytest.mark.slow
@pytest.mark.parametrize("name", HONEST)
def test_no_honest_network_is_called_masked(name, digits, source):
    network = honest(name, digits, backend=FAST)
    report = mr.audit(network, digits.test.pixels(slice(500)), digits.test.labels[:500], 0.1, [source], "quick")
    assert not report.masked
    assert flags(report) <= {4}
    assert report.checks[9].estimate.value <= 0.008
