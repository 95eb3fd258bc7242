"""Losses: one method, per sample, against formulas written as loops; and their errors."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from windows import small_examples

import minirobust as mr

DTYPES = ("float32", "float64")


def cross_entropy(z, y):
    return math.log(sum(math.exp(v) for v in z)) - z[y]


def margin(z, y):
    return max(v for j, v in enumerate(z) if j != y) - z[y]


def dlr(z, y):
    first, _, third, *_ = sorted(z, reverse=True)
    return -(z[y] - max(v for j, v in enumerate(z) if j != y)) / (first - third)


def targeted_dlr(z, y, t):
    first, _, third, fourth, *_ = sorted(z, reverse=True)
    return -(z[y] - z[t]) / (first - (third + fourth) / 2)


def scale_free(z, y):
    mean = sum(z) / len(z)
    deviation = math.sqrt(sum((v - mean) ** 2 for v in z) / len(z))
    return cross_entropy([v / deviation for v in z], y)


# Each loss with its formula as loops, and with the formula for a target t.
TWINS = [
    (mr.SoftmaxCrossEntropy(), cross_entropy, lambda z, y, t: -cross_entropy(z, t)),
    (mr.Margin(), margin, lambda z, y, t: z[t] - max(v for j, v in enumerate(z) if j != t)),
    (mr.DLR(), dlr, targeted_dlr),
    (mr.ScaleFree(), scale_free, lambda z, y, t: -scale_free(z, t)),
]
LOSSES = [loss for loss, *_ in TWINS]
SCALE_INVARIANT = [mr.DLR(), mr.ScaleFree()]


@pytest.fixture
def logits(rng):
    return rng.standard_normal((6, 4))


@pytest.fixture
def y():
    return np.array([0, 1, 2, 3, 0, 1])


def computed(loss, backend, logits, y, target=None):
    """Value and gradient on a backend, as NumPy arrays."""
    return tuple(map(backend.to_numpy, loss.value_and_gradient(backend.asarray(logits), y, target)))


@pytest.mark.parametrize(("loss", "twin", "targeted_twin"), TWINS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_values_equal_the_formula_for_each_sample(loss, twin, targeted_twin, dtype, logits, y, backend):
    logits, target = logits.astype(dtype), (y + 1) % 4
    before = logits.copy()
    exact = 40 * float(np.finfo(dtype).eps)
    value, gradient = computed(loss, backend, logits, y)
    np.testing.assert_allclose(value, [twin(*s) for s in zip(logits.tolist(), y, strict=True)], rtol=exact)
    assert (value.dtype, gradient.dtype, gradient.shape) == (dtype, dtype, logits.shape)
    value, gradient = computed(loss, backend, logits, y, target)
    expected = [targeted_twin(*s) for s in zip(logits.tolist(), y, target, strict=True)]
    np.testing.assert_allclose(value, expected, rtol=exact)
    assert (value.dtype, gradient.dtype, gradient.shape) == (dtype, dtype, logits.shape)
    np.testing.assert_array_equal(logits, before)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_with_a_target_ascent_leads_to_the_target(loss, logits, y, backend):
    target = (y + 1) % 4
    value, gradient = computed(loss, backend, logits, y, target)
    assert (computed(loss, backend, logits + 1e-4 * gradient, y, target)[0] > value).all()


class Towards:
    """A loss with targets: `gradcheck` knows labels only."""

    def __init__(self, loss, targets):
        self.loss, self.targets = loss, targets

    def value_and_gradient(self, logits, y, target=None):
        return self.loss.value_and_gradient(logits, y, (y + 1) % self.targets)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("classes", [4, 10])
def test_gradients_are_the_derivatives(loss, classes, backend, rng):
    logits, y = 3 * rng.standard_normal((5, classes)), rng.integers(0, classes, 5)
    assert np.diff(np.sort(logits)).min() > 4e-4  # no tie within reach of the differences
    mr.gradcheck(loss, logits, y, backend=backend)
    mr.gradcheck(Towards(loss, classes), logits, y, backend=backend)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
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


@pytest.mark.parametrize(
    ("loss", "least"), [(mr.SoftmaxCrossEntropy(), 2), (mr.Margin(), 2), (mr.DLR(), 3), (mr.ScaleFree(), 3)]
)
def test_too_few_classes_raise_in_every_function(loss, least, rng):
    message = rf"{type(loss).__name__}\(\): expected at least {least} classes, got logits of shape \(N, {least - 1}\)"
    x, y = rng.random((3, 2)), np.zeros(3, int)
    with pytest.raises(ValueError, match=message):
        loss.value_and_gradient(np.ones((3, least - 1)), y)
    net = mr.Network([mr.Dense(least - 1)], (2,))
    for call in (
        lambda: net.input_gradient(x, y, loss),
        lambda: mr.attacks.fgsm(net, x, y, loss=loss),
        lambda: mr.fit(net, mr.SGD(net), (x, y), epochs=1, loss=loss),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    value, gradient = loss.value_and_gradient(rng.random((3, least)), y)
    assert np.isfinite(value).all()
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(("loss", "least"), [(mr.Margin(), 2), (mr.DLR(), 4), (mr.ScaleFree(), 3)])
def test_a_targeted_loss_may_need_more_classes(loss, least, rng):
    y = np.zeros(3, int)
    message = rf"expected at least {least} classes for a target, got logits of shape \(N, {least - 1}\)"
    with pytest.raises(ValueError, match=message):
        loss.value_and_gradient(rng.random((3, least - 1)), y, y)
    assert np.isfinite(loss.value_and_gradient(rng.random((3, least)), y, y + 1)[0]).all()


# Difference of logits ratio


@pytest.mark.parametrize(
    ("y", "target", "value", "gradient"),
    [
        (0, None, -2 / 3, [-1 / 9, -2 / 9, 1 / 3, 0]),
        (1, None, 1, [0, 0, 0, 0]),  # third and wrong: (z_π1 - z_π3) / (z_π1 - z_π3)
        (3, None, 4 / 3, [-1 / 9, 4 / 9, 0, -1 / 3]),
        (0, 3, -8 / 7, [2 / 49, -8 / 49, 0, 6 / 49]),
        (0, 0, 0, [0, 0, 0, 0]),
    ],
)
def test_dlr_equals_a_computation_by_hand(y, target, value, gradient, backend):
    target = None if target is None else np.array([target])
    found = computed(mr.DLR(), backend, np.array([[4.0, 1, 2, 0]]), np.array([y]), target)
    np.testing.assert_allclose(found[0], [value], rtol=1e-14)
    np.testing.assert_allclose(found[1], [gradient], rtol=1e-14, atol=1e-16)


@pytest.mark.parametrize(
    ("z", "y", "value", "gradient"),
    [
        ([1, 3, 3, 0], 3, 3 / 2, [3 / 4, -1 / 4, 0, -1 / 2]),  # two lead: the first is π1
        ([5, 2, 1, 1], 0, -3 / 4, [-1 / 16, 1 / 4, -3 / 16, 0]),  # two are third: the first is π3
        ([5, 2, 2, 1], 0, -1, [0, 1 / 3, -1 / 3, 0]),  # the two after the label: a ratio cannot get lower
    ],
)
def test_dlr_ranks_the_first_of_equal_logits_highest(z, y, value, gradient, backend):
    found = computed(mr.DLR(), backend, np.array([z], float), np.array([y]))
    np.testing.assert_allclose(found[0], [value], rtol=1e-14)
    np.testing.assert_allclose(found[1], [gradient], rtol=1e-14, atol=1e-16)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("z", "y", "target", "value", "gradient"),
    [
        ([7, 7, 7, 7, 7], 1, None, 0, [1, -1, 0, 0, 0]),
        ([7, 7, 7, 7, 7], 1, 4, 0, [0, -1, 0, 0, 1]),
        ([6, 8, 8, 6, 8], 0, None, 2, [-1, 1, 0, 0, 0]),
        ([6, 8, 8, 6, 8], 2, None, 0, [0, 1, -1, 0, 0]),
        ([8, 8, 8, 6, 8], 0, 3, -2, [-1, 0, 0, 1, 0]),
        ([1e-30, 2e-30, 0, -1, -1], 3, None, 1, [0, 1, 0, -1, 0]),  # in float32 the derivative would overflow
    ],
)
def test_dlr_without_a_denominator_is_the_difference_alone(z, y, target, value, gradient, dtype, backend):
    if z[0] == 1e-30 and dtype == "float64":
        z = [1e-300, 2e-300, *z[2:]]
    target = None if target is None else np.array([target])
    found = computed(mr.DLR(), backend, np.array([z], dtype), np.array([y]), target)
    np.testing.assert_array_equal(found[0], [value])
    np.testing.assert_array_equal(found[1], [gradient])


# Scale-free cross entropy


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("z", [0.1, -3, 0, 1e30])
def test_equal_logits_have_the_gradient_of_cross_entropy(z, dtype, backend):
    value, gradient = computed(mr.ScaleFree(), backend, np.full((2, 10), z, dtype), np.array([0, 7]))
    np.testing.assert_allclose(value, math.log(10), rtol=1e-6)
    np.testing.assert_allclose(gradient, 0.1 - np.eye(10)[[0, 7]], rtol=1e-6)


def test_logits_that_are_almost_equal_have_a_finite_scale_free_gradient(backend):
    _, gradient = computed(mr.ScaleFree(), backend, np.array([[4e-44, 1e-44, 0]], "float32"), np.array([0]))
    assert np.isfinite(gradient).all()
    assert gradient[0].any()


def test_scale_free_cross_entropy_equals_a_computation_by_hand(backend):
    """The standard deviation of (1, 0, -1) is √(2/3)."""
    value, _ = computed(mr.ScaleFree(), backend, np.array([[9.0, 7, 5]]), np.array([2]))
    a = math.sqrt(3 / 2)
    np.testing.assert_allclose(value, [math.log(math.exp(a) + 1 + math.exp(-a)) + a], rtol=1e-14)


def test_the_scale_free_gradient_of_confident_samples_is_right_in_float32(backend, rng):
    logits, y = rng.standard_normal((200, 10)), rng.integers(0, 10, 200)
    logits[np.arange(200), y] += 30
    truth = computed(mr.ScaleFree(), backend, logits, y)[1]
    single = computed(mr.ScaleFree(), backend, logits.astype("float32"), y)[1]
    assert abs(single - truth).max() < 1e-4 * abs(truth).max(axis=1).min()


# Both do not depend on the scale


@st.composite
def distinct_logits(draw, dtype):
    """Whole numbers, so that shifting and doubling are exact, without ties; with labels and targets."""
    samples, classes = draw(st.integers(1, 3)), draw(st.integers(4, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    logits = np.array([rng.permutation(41)[:classes] - 20 for _ in range(samples)], dtype)
    labels, targets = rng.integers(0, classes, (2, samples))
    return logits, labels, draw(st.sampled_from([None, targets]))


@pytest.mark.parametrize("loss", SCALE_INVARIANT, ids=repr)
@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data(), shift=st.integers(-1000, 1000), exponent=st.integers(-30, 30))
@small_examples
def test_neither_shift_nor_scale_of_the_logits_changes_anything(loss, dtype, backend, data, shift, exponent):
    """Bit for bit at a power of two, by which only the gradient's length is divided."""
    logits, y, target = data.draw(distinct_logits(dtype))
    value, gradient = computed(loss, backend, logits, y, target)
    moved = computed(loss, backend, (logits + shift) * 2.0**exponent, y, target)
    np.testing.assert_array_equal(moved[0], value)
    np.testing.assert_array_equal(moved[1] * 2.0**exponent, gradient)


@pytest.mark.parametrize("loss", SCALE_INVARIANT, ids=repr)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("factor", [50, 1e6, 1e-6])
def test_logits_of_any_size_have_the_same_value_and_direction(loss, dtype, factor, backend, rng):
    logits, y = rng.standard_normal((20, 10)).astype(dtype), rng.integers(0, 10, 20)
    close = {"rtol": 100 * float(np.finfo(dtype).eps)}
    for target in (None, (y + 1) % 10):
        value, gradient = computed(loss, backend, logits, y, target)
        scaled = computed(loss, backend, factor * logits, y, target)
        np.testing.assert_allclose(scaled[0], value, **close)
        np.testing.assert_allclose(factor * scaled[1], gradient, atol=close["rtol"] * abs(gradient).max())


@pytest.mark.parametrize("loss", SCALE_INVARIANT, ids=repr)
@pytest.mark.parametrize("dtype", DTYPES)
def test_not_even_logits_whose_difference_overflows_change_the_value(loss, dtype, backend):
    logits, y = np.array([[1, -1, 1 / 2, 0, -1 / 4]] * 5, dtype), np.arange(5)
    for target in (None, (y + 1) % 5):
        value, _ = computed(loss, backend, logits, y, target)
        scaled, _ = computed(loss, backend, logits * np.finfo(dtype).max, y, target)
        np.testing.assert_allclose(scaled, value, rtol=1e-6)


@pytest.mark.parametrize("loss", SCALE_INVARIANT, ids=repr)
@given(data=st.data())
@small_examples
def test_the_gradient_is_orthogonal_to_shifting_and_scaling(loss, backend, data):
    logits, y, target = data.draw(distinct_logits("float64"))
    _, gradient = computed(loss, backend, logits, y, target)
    largest = abs(gradient).max(initial=1)
    np.testing.assert_allclose(gradient.sum(axis=1), 0, atol=1e-13 * largest)
    np.testing.assert_allclose((gradient * logits).sum(axis=1), 0, atol=1e-12 * largest)


@pytest.mark.parametrize("loss", SCALE_INVARIANT, ids=repr)
@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
@small_examples
def test_losses_do_not_overflow_for_finite_logits(loss, dtype, backend, data):
    width = np.dtype(dtype).itemsize * 8
    finite = st.floats(width=width, allow_nan=False, allow_infinity=False)
    extreme = st.sampled_from([np.finfo(dtype).max, -np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal, 0])
    logits = data.draw(arrays(dtype, (3, 5), elements=finite | extreme.map(float)))
    for target in (None, np.array([1, 2, 3])):
        value, gradient = computed(loss, backend, logits, np.array([0, 1, 4]), target)
        assert np.isfinite(gradient).all()
        # Without a denominator, DLR is a difference of logits, which may be greater than any number.
        assert (abs(value) <= (math.inf if isinstance(loss, mr.DLR) else 100)).all()


def test_logits_times_a_million_hide_the_gradient_of_cross_entropy_only(digits):
    """As defensive distillation does (Carlini & Wagner, 2016)."""
    x, y = digits.test.pixels(slice(200)), digits.test.labels[:200]
    net = mr.models.mlp(1.0, hidden=32)
    mr.fit(net, mr.Adam(net, lr=0.01), digits, epochs=2, progress=False)
    distilled = net.copy()
    for parameter in distilled.layers[-1].parameters:
        parameter.value[...] *= 2.0**20
    right = net.predict(x) == y
    x, y = x[right], y[right]
    assert distilled.input_gradient(x, y).any(axis=(1, 2, 3)).mean() < 0.1
    for loss in SCALE_INVARIANT:
        gradient = net.input_gradient(x, y, loss)
        assert gradient.any(axis=(1, 2, 3)).all()
        np.testing.assert_array_equal(distilled.input_gradient(x, y, loss), gradient)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("place", [0, 1, 3])
def test_nan_stays_in_its_sample(loss, place, logits, y, backend):
    target = (y + 1) % 4
    broken = logits.copy()
    broken[2, place] = math.nan
    others = np.arange(6) != 2
    for aim in (None, target):
        value, gradient = computed(loss, backend, broken, y, aim)
        expected = computed(loss, backend, logits, y, aim)
        assert math.isnan(value[2])
        np.testing.assert_array_equal(value[others], expected[0][others])
        np.testing.assert_array_equal(gradient[others], expected[1][others])


# What is no loss


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (mr.Margin, r"loss: expected an object, got the class Margin: write Margin\(\)"),
        (0.5, r"loss: expected an object with value_and_gradient\(logits, y, target=None\), got 0.5"),
        ("margin", "loss: expected an object with value_and_gradient"),
    ],
)
def test_object_that_is_not_a_loss_raises_in_every_function(loss, message, rng):
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


def test_loss_may_use_the_network_that_is_trained(rng):
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


def test_overridden_method_of_a_subclass_is_called(rng):
    class Doubled(mr.SoftmaxCrossEntropy):
        def value_and_gradient(self, logits, y, target=None):
            value, gradient = super().value_and_gradient(logits, y)
            return 2 * value, 2 * gradient

    net = mr.Network([mr.Dense(3)], (2,), dtype="float64")
    x, y = rng.random((6, 2)), rng.integers(0, 3, 6)
    np.testing.assert_array_equal(net.input_gradient(x, y, Doubled()), 2 * net.input_gradient(x, y))
