"""The power of two that scales loss gradients in the backward pass: faster at low temperatures, and exact."""

import numpy as np
import pytest

import minirobust as mr
from minirobust import training
from minirobust.backend import NumpyBackend

LARGEST = float(np.finfo("float32").max)


@pytest.fixture
def unscaled(monkeypatch):
    """Compute once with the scale and once without; returns both results."""

    def both(compute):
        assert NumpyBackend.loss_scale == 2.0**40
        scaled = compute()
        monkeypatch.setattr(NumpyBackend, "loss_scale", 1.0)
        plain = compute()
        monkeypatch.undo()
        return scaled, plain

    return both


def saturated(temperature=1 / 64, dtype="float32"):
    """A network whose backward products are subnormal in float32."""
    net = mr.models.mlp(temperature, hidden=64, dtype=dtype)
    net.layers[1].weight.value[...] *= 4
    return net


def test_cases_have_subnormal_products(digits):
    """Otherwise the tests below would show nothing."""
    x, y = digits.test.pixels(slice(200)), digits.test.labels[:200]
    net = saturated()
    slopes = net.backend.sigmoid_derivative(net.hidden(x), 1 / 64)
    tiny = np.finfo("float32").tiny
    assert ((slopes > 0) & (slopes < tiny / 1e-3)).mean() > 0.02
    assert net.input_gradient(x, y).any()


@pytest.mark.parametrize("optimizer", [mr.Adam, lambda net: mr.SGD(net, lr=1e-3), lambda net: mr.Momentum(net, 1e-3)])
@pytest.mark.parametrize("temperature", [1 / 64, 1.0])
def test_training_gives_the_same_bits(optimizer, temperature, digits, unscaled):
    data = digits.train.pixels(slice(1500)), digits.train.labels[:1500]

    def train():
        net = saturated(temperature)
        history = mr.fit(net, optimizer(net), data, epochs=2, batch_size=50, progress=False)
        return net.parameters.tobytes(), [record.loss for record in history]

    scaled, plain = unscaled(train)
    assert scaled == plain


@pytest.mark.parametrize("loss", [mr.SoftmaxCrossEntropy(), mr.Margin()])
@pytest.mark.parametrize("attack", [mr.attacks.fgsm, mr.attacks.pgd])
def test_attacks_give_the_same_images(attack, loss, digits, unscaled):
    x, y = digits.test.pixels(slice(100)), digits.test.labels[:100]
    net = saturated()
    mr.fit(net, mr.Adam(net), digits, epochs=1, progress=False)
    scaled, plain = unscaled(lambda: attack(net, x, y, 0.1, loss=loss))
    np.testing.assert_array_equal(scaled.images, plain.images)
    np.testing.assert_array_equal(scaled.fooled, plain.fooled)


def test_the_audit_gives_the_same_report(digits, unscaled, tiny_audits):
    x, y = digits.test.pixels(slice(60)), digits.test.labels[:60]
    net = saturated()
    mr.fit(net, mr.Adam(net), digits, epochs=1, progress=False)
    scaled, plain = unscaled(lambda: mr.audit(net, x, y, 0.1, budget="quick").to_dict())
    assert scaled == plain


@pytest.mark.parametrize("loss", [mr.SoftmaxCrossEntropy(), mr.Margin()])
def test_gradients_are_the_true_ones(loss, digits, unscaled):
    """Equal where no product is subnormal; where one is, nearer to float64 with the scale than without."""
    x, y = digits.test.pixels(slice(100)), digits.test.labels[:100]
    scaled, plain = unscaled(lambda: mr.models.mlp(1.0, hidden=64).input_gradient(x, y, loss))
    np.testing.assert_array_equal(scaled, plain)
    net = saturated()
    scaled, plain = unscaled(lambda: net.input_gradient(x, y, loss))
    truth = net.to("numpy", "float64").input_gradient(x.astype("float64"), y, loss)
    assert abs(scaled - truth).max() <= 1.01 * abs(plain - truth).max()
    np.testing.assert_allclose(scaled, plain, rtol=1e-3, atol=1e-37)


class Factor(mr.Layer):
    """The identity in the forward pass; multiplies the gradient in the backward pass."""

    def __init__(self, factor):
        self.factor = factor

    def forward(self, x):
        return x

    def input_gradient(self, grad_y):
        return grad_y * self.factor


def through_subnormals(dtype):
    """In the backward pass, gradients go down to 1e-43, where float32 has one or two digits, and up again."""
    layers = [mr.Dense(4), Factor(1e30), Factor(1e-13), Factor(1e-30), mr.Dense(3)]
    return mr.Network(layers, (5,), dtype=dtype)


def test_digits_that_subnormal_products_would_lose_are_kept(rng, unscaled):
    x, y = rng.random((8, 5)).astype("float32"), rng.integers(0, 3, 8)
    scaled, plain = unscaled(lambda: through_subnormals("float32").input_gradient(x, y))
    truth = through_subnormals("float64").input_gradient(x.astype("float64"), y)
    np.testing.assert_allclose(scaled, truth, rtol=1e-4, atol=1e-6 * abs(truth).max())
    assert abs(plain - truth).max() > 1e-3 * abs(truth).max()


def test_training_keeps_digits_that_subnormal_products_would_lose(rng, unscaled):
    x, y = rng.random((8, 5)).astype("float32"), rng.integers(0, 3, 8)

    def gradients(dtype):
        net = through_subnormals(dtype)
        mr.fit(net, mr.SGD(net, lr=0), (x.astype(dtype), y), epochs=1, batch_size=8, progress=False)
        return net.layers[0].weight.grad.copy()

    scaled, plain = unscaled(lambda: gradients("float32"))
    truth = gradients("float64")
    np.testing.assert_allclose(scaled, truth, rtol=1e-4, atol=1e-6 * abs(truth).max())
    assert abs(plain - truth).max() > 1e-3 * abs(truth).max()


def linear(slope):
    """A network whose input gradient is `slope` in size."""
    net = mr.Network([mr.Dense(2)], (1,))
    net.layers[0].weight.value[...] = [[slope, -slope]]
    return net


@pytest.mark.parametrize("slope", [1e30, LARGEST / 4])
def test_no_gradient_overflows_that_did_not_without_the_scale(slope, unscaled):
    x, y = np.zeros((3, 1), "float32"), np.zeros(3, int)
    scaled, plain = unscaled(lambda: linear(slope).input_gradient(x, y))
    assert np.isfinite(plain).all()
    np.testing.assert_array_equal(scaled, plain)


def test_what_is_infinite_anyway_stays_infinite(unscaled):
    class Explodes(mr.Tanh):
        def input_gradient(self, grad_y):
            return super().input_gradient(grad_y) * np.float32(np.inf)

    x, y = np.full((3, 4), 0.5, "float32"), np.zeros(3, int)
    scaled, plain = unscaled(lambda: mr.Network([Explodes(), mr.Dense(3)], (4,)).input_gradient(x, y))
    assert np.isinf(plain).any()
    np.testing.assert_array_equal(scaled, plain)


def test_training_whose_scaled_gradient_overflows_continues_without_the_scale(unscaled, monkeypatch):
    """The steps since the last look are repeated once, from the parameters, averages and random streams of then."""
    repeats, whole = [], training.repeat
    rng = np.random.default_rng(0)
    x, y = rng.random((350, 4)).astype("float32"), rng.integers(0, 2, 350)

    def train():
        layers = [mr.Dense(6), mr.Dropout(0.25), Factor(1e32), mr.Tanh(), mr.Dense(2)]
        net = mr.Network(layers, (4,))
        history = mr.fit(net, mr.SGD(net, lr=1e-34), (x, y), epochs=2, batch_size=1, progress=False)
        return net.parameters.tobytes(), [record.loss for record in history], net.layers[1].draws

    def watched():
        with monkeypatch.context() as patch:
            patch.setattr(training, "repeat", lambda *args: repeats.append(1) or whole(*args))
            return train()

    scaled, plain = unscaled(watched)
    assert scaled == plain
    assert len(repeats) == 1


@pytest.mark.parametrize("gradient", [1e9, 1e15])
def test_adam_whose_squared_gradient_overflows_continues_without_the_scale(gradient, unscaled):
    """The gradient itself stays finite: only the average of its square, and an infinite one would stop all learning."""
    rng = np.random.default_rng(0)
    x, y = rng.random((120, 4)).astype("float32"), rng.integers(0, 2, 120)

    def train():
        net = mr.Network([mr.Dense(6), Factor(gradient), mr.Tanh(), mr.Dense(2)], (4,))
        before = net.parameters.copy()
        mr.fit(net, mr.Adam(net), (x, y), epochs=2, batch_size=1, progress=False)
        assert (net.parameters != before).all()
        return net.parameters.tobytes()

    scaled, plain = unscaled(train)
    assert scaled == plain


@pytest.mark.parametrize("optimizer", [mr.SGD, mr.Momentum, lambda net, lr: mr.Adam(net, lr, weight_decay=0.01)])
def test_a_step_along_scaled_gradients_is_the_step_along_the_true_ones(optimizer, backend, rng):
    steps = []
    for scale in (1.0, 2.0**40):
        net = mr.Network([mr.Dense(3)], (4,), backend=backend)
        step = optimizer(net, lr=0.01)
        for gradient in np.random.default_rng(0).standard_normal((5, 15)).astype("float32"):
            net.gradients = gradient * np.float32(scale)
            step.step(scale)
        steps.append(backend.to_numpy(net.parameters))
    np.testing.assert_array_equal(*steps)


@pytest.mark.parametrize("kind", [mr.Adam, mr.SGD])
def test_gradients_between_epochs_are_the_true_ones(kind, digits):
    x, y = digits.train.pixels(slice(50)), digits.train.labels[:50]
    net = mr.models.mlp(1.0, hidden=16, dtype="float64")
    before = net.copy()
    mr.fit(net, kind(net), (x, y), epochs=1, batch_size=50, progress=False)
    order = np.random.default_rng((0, 1)).permutation(50)
    _, gradient = mr.SoftmaxCrossEntropy().value_and_gradient(before.forward(x[order]), y[order])
    before.backward(gradient / 50)
    np.testing.assert_allclose(net.gradients, before.gradients, rtol=1e-12)
