"""Losses: one method, per sample, against formulas written as loops; and what is refused."""

import math

import numpy as np
import pytest

import minirobust as mr

LOSSES = [mr.SoftmaxCrossEntropy(), mr.Margin()]


def cross_entropy(z, y):
    return math.log(sum(math.exp(v) for v in z)) - z[y]


def margin(z, y):
    return max(v for j, v in enumerate(z) if j != y) - z[y]


TWINS = [(mr.SoftmaxCrossEntropy(), cross_entropy), (mr.Margin(), margin)]


@pytest.fixture
def logits(rng):
    return rng.standard_normal((6, 4))


@pytest.fixture
def y():
    return np.array([0, 1, 2, 3, 0, 1])


@pytest.mark.parametrize(("loss", "twin"), TWINS)
def test_values_are_those_of_the_formula_sample_by_sample(loss, twin, logits, y, backend):
    value, gradient = loss.value_and_gradient(backend.asarray(logits), y)
    expected = [twin(z.tolist(), label) for z, label in zip(logits, y, strict=True)]
    np.testing.assert_allclose(backend.to_numpy(value), expected, rtol=1e-12)
    assert gradient.shape == logits.shape


@pytest.mark.parametrize(("loss", "twin"), TWINS)
def test_with_a_target_ascent_leads_to_the_target(loss, twin, logits, y, backend):
    """Targeted margin: z_t - max_{j≠t} z_j; targeted cross entropy: log p_t."""
    target = (y + 1) % 4
    on = backend.asarray(logits)
    value, gradient = loss.value_and_gradient(on, y, target)
    expected = [-twin(z.tolist(), t) for z, t in zip(logits, target, strict=True)]
    np.testing.assert_allclose(backend.to_numpy(value), expected, rtol=1e-12)
    uphill = on + 0.01 * gradient
    assert (backend.to_numpy(loss.value_and_gradient(uphill, y, target)[0]) > expected).all()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("target", [[0, 1, 2, 3, 0, 4], [0.5] * 6, [0, 1]])
def test_a_wrong_target_is_named(loss, target, logits, y):
    with pytest.raises((ValueError, TypeError), match="target: expected"):
        loss.value_and_gradient(logits, y, np.array(target))


def test_the_input_gradient_towards_a_target_is_minus_that_of_its_loss(backend, rng):
    net = mr.Network([mr.Dense(5), mr.Tanh(), mr.Dense(4)], (3,), backend=backend, dtype="float64")
    x, y = rng.random((6, 3)), rng.integers(0, 4, 6)
    target = (y + 1) % 4
    towards = backend.to_numpy(net.input_gradient(x, y, target=target))
    np.testing.assert_allclose(towards, -backend.to_numpy(net.input_gradient(x, target)), rtol=1e-12)
    with pytest.raises(ValueError, match="target: expected classes 0 to 3, got 4"):
        net.input_gradient(x, y, target=np.full(6, 4))


@pytest.mark.parametrize("loss", LOSSES)
def test_one_class_is_refused(loss, rng):
    message = r"expected at least two classes, got logits of shape \(N, 1\)"
    with pytest.raises(ValueError, match=message):
        loss.value_and_gradient(np.ones((3, 1)), np.zeros(3, int))
    net = mr.Network([mr.Dense(1)], (2,))
    x, y = rng.random((3, 2)), np.zeros(3, int)
    for call in (
        lambda: net.input_gradient(x, y, loss),
        lambda: mr.attacks.fgsm(net, x, y, loss=loss),
        lambda: mr.fit(net, mr.SGD(net), (x, y), epochs=1, loss=loss),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (mr.Margin, r"loss: expected an object, got the class Margin: write Margin\(\)"),
        (0.5, r"loss: expected an object with value_and_gradient\(logits, y, target=None\), got 0.5"),
        ("margin", "loss: expected an object with value_and_gradient"),
    ],
)
def test_what_is_no_loss_is_refused_at_every_door(loss, message, rng):
    net = mr.Network([mr.Dense(3)], (2,))
    x, y = rng.random((3, 2)), np.zeros(3, int)
    for call in (
        lambda: net.input_gradient(x, y, loss),
        lambda: mr.attacks.pgd(net, x, y, loss=loss),
        lambda: mr.attacks.pixel(net, x, y, 1, loss=loss),
        lambda: mr.robustness.epsilon_curve(net, x, y, [0.1], loss=loss),
        lambda: mr.fit(net, mr.SGD(net), (x, y), epochs=1, loss=loss),
    ):
        with pytest.raises(TypeError, match=message):
            call()


class Brier:
    """Squared distance from the one-hot label, returned in a way of its own."""

    def __init__(self, returns):
        self.returns = returns

    def __repr__(self):
        return "Brier()"

    def value_and_gradient(self, logits, y, target=None):
        distance = logits - np.eye(3, dtype=logits.dtype)[y]
        value, gradient = (distance**2).sum(axis=1), 2 * distance
        return self.returns(value, gradient)


@pytest.mark.parametrize(
    ("returns", "message"),
    [
        (lambda v, g: (v.mean(), g), r"expected losses of shape \(\d,\), one for each sample, got shape \(\)"),
        (lambda v, g: (float(v.mean()), g), r"expected losses of shape \(\d,\), .* got float"),
        (lambda v, g: (v[:, None], g), r"expected losses of shape \(\d,\), .* got shape \(\d, 1\)"),
        (lambda v, g: (v, g.mean(axis=0)), r"expected gradients of shape \(\d, 3\), .* got shape \(3,\)"),
        (lambda v, g: v, r"expected \(losses, gradients\), got ndarray"),
    ],
)
def test_a_custom_loss_that_returns_other_shapes_is_refused(returns, message, rng):
    net = mr.Network([mr.Dense(3)], (2,))
    x, y = rng.random((6, 2)), rng.integers(0, 3, 6)
    for call in (
        lambda: net.input_gradient(x, y, Brier(returns)),
        lambda: mr.fit(net, mr.SGD(net), (x, y), epochs=1, loss=Brier(returns), progress=False),
    ):
        with pytest.raises(ValueError, match=r"Brier\(\): " + message):
            call()


def test_a_custom_loss_trains_and_attacks(rng):
    net = mr.Network([mr.Dense(3)], (2,))
    x, y = rng.random((6, 2)), rng.integers(0, 3, 6)
    loss = Brier(lambda value, gradient: (value, gradient))
    history = mr.fit(net, mr.SGD(net, lr=0.1), (x, y), epochs=5, loss=loss, progress=False)
    assert history[-1].loss < history[0].loss
    mr.attacks.pgd(net, x, y, loss=loss)


def test_a_custom_loss_in_float64_does_not_widen_a_float32_network(rng):
    class Wide(mr.SoftmaxCrossEntropy):
        def value_and_gradient(self, logits, y, target=None):
            return tuple(array.astype("float64") for array in super().value_and_gradient(logits, y))

    dtypes = set()

    class Watch(mr.Tanh):
        def input_gradient(self, grad_y):
            dtypes.add(str(grad_y.dtype))
            return super().input_gradient(grad_y)

    net = mr.Network([mr.Dense(4), Watch(), mr.Dense(3)], (2,))
    x, y = rng.random((6, 2)), rng.integers(0, 3, 6)
    assert net.input_gradient(x, y, Wide()).dtype == "float32"
    mr.fit(net, mr.Adam(net), (x, y), epochs=1, loss=Wide(), progress=False)
    assert dtypes == {"float32"}


def test_a_loss_may_ask_the_network_that_is_trained(rng):
    """As TRADES does: predictions run on their own activations."""
    net = mr.Network([mr.Dense(5), mr.Tanh(), mr.Dense(3)], (2,))
    x, y = rng.random((6, 2)).astype("float32"), rng.integers(0, 3, 6)

    class Anchored:
        def value_and_gradient(self, logits, y, target=None):
            net.predict(rng.random((4, 2)))
            return mr.SoftmaxCrossEntropy().value_and_gradient(logits, y)

    twin = net.copy()
    mr.fit(net, mr.SGD(net), (x, y), epochs=3, loss=Anchored(), progress=False)
    mr.fit(twin, mr.SGD(twin), (x, y), epochs=3, progress=False)
    np.testing.assert_array_equal(net.parameters, twin.parameters)


def test_a_subclass_that_overrides_the_method_is_asked(rng):
    class Doubled(mr.SoftmaxCrossEntropy):
        def value_and_gradient(self, logits, y, target=None):
            value, gradient = super().value_and_gradient(logits, y)
            return 2 * value, 2 * gradient

    net = mr.Network([mr.Dense(3)], (2,), dtype="float64")
    x, y = rng.random((6, 2)), rng.integers(0, 3, 6)
    np.testing.assert_array_equal(net.input_gradient(x, y, Doubled()), 2 * net.input_gradient(x, y))
