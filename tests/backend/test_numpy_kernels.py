"""The kernels of `NumpyBackend`, and of every other backend, against closed forms and plain loops written out here."""

import math
from decimal import Decimal, localcontext
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from windows import Windows, small_examples, windows

DTYPES = ("float32", "float64")
# From here on f rounds to 1 and the textbook's f (1 - f) / T to 0.
FALSE_ZERO = {"float32": 17.5, "float64": 37.5}


def eps(dtype):
    return float(np.finfo(dtype).eps)


def last(backend, dtype):
    """Just below the |net/T| from which exp(-|net|/T) itself is zero in that dtype: 103 and 744 on the CPU."""
    return float(math.floor(-math.log(backend.smallest(dtype))))


def on(backend, *values, dtype=None):
    moved = [backend.asarray(np.array(value, dtype=dtype)) for value in values]
    return moved[0] if len(moved) == 1 else moved


# The temperature sigmoid


@cache
def textbook(net, temperature):
    """f = 1 / (1 + exp(-net/T)) and f (1 - f) / T, in 400 digits, where the textbook's formula loses nothing."""
    with localcontext() as context:
        context.prec = 400
        f = 1 / (1 + (-Decimal(float(net)) / Decimal(temperature)).exp())
        return f, f * (1 - f) / Decimal(temperature)


def net_values(backend, dtype, temperature, rng):
    """Net values of all sizes, both signs and both zeros, up to where the derivative underflows."""
    end = last(backend, dtype)
    scaled = [*rng.uniform(-end, end, 20), *rng.uniform(-3, 3, 20), *(0.0, -0.0, 1e-30)]
    return (np.array(scaled) * temperature).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("temperature", [1 / 64, 0.3, 1, 16])
def test_sigmoid_and_its_derivative_equal_the_formulas_in_high_precision(backend, dtype, temperature, rng):
    net = net_values(backend, dtype, temperature, rng)
    y = backend.to_numpy(backend.sigmoid(on(backend, net), temperature))
    slope = backend.to_numpy(backend.sigmoid_derivative(on(backend, net), temperature))
    assert (y.dtype, slope.dtype) == (dtype, dtype)
    for got_y, got_slope, value in zip(y, slope, net, strict=True):
        exact_y, exact_slope = map(float, textbook(value, temperature))
        # The quotient net/T is rounded before exp: its error grows with its size.
        relative, least = (8 + abs(float(value)) / temperature) * eps(dtype), backend.smallest(dtype)
        assert got_y == pytest.approx(exact_y, rel=relative, abs=2 * least)
        assert got_slope == pytest.approx(exact_slope, rel=relative, abs=2 * least * max(1, 1 / temperature))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("temperature", [1 / 64, 1 / 4, 1])
def test_derivative_is_positive_where_the_textbook_formula_is_zero(backend, dtype, temperature):
    scaled = np.linspace(FALSE_ZERO[dtype], last(backend, dtype), 200)
    net = (scaled * temperature).astype(dtype)
    f = backend.to_numpy(backend.sigmoid(on(backend, net), temperature))
    assert (f * (1 - f) / temperature == 0).all()
    for side in (net, -net):
        assert (backend.to_numpy(backend.sigmoid_derivative(on(backend, side), temperature)) > 0).all()


@pytest.mark.parametrize("temperature", [1 / 4, 3])
def test_the_derivative_is_symmetric_to_the_last_bit(backend, temperature, rng):
    net = rng.standard_normal(500).astype("float32") * 20
    slope, mirrored = (backend.to_numpy(backend.sigmoid_derivative(on(backend, v), temperature)) for v in (net, -net))
    np.testing.assert_array_equal(slope, mirrored)


def test_sigmoid_accepts_any_magnitude_without_a_warning_and_propagates_nan(backend):
    net = on(backend, [-1e30, -1e4, 1e4, 1e30, np.nan], dtype="float32")
    np.testing.assert_array_equal(backend.to_numpy(backend.sigmoid(net, 0.5)), [0, 0, 1, 1, np.nan])
    np.testing.assert_array_equal(backend.to_numpy(backend.sigmoid_derivative(net, 0.5)), [0, 0, 0, 0, np.nan])


@pytest.mark.parametrize("temperature", [1 / 8, 2])
def test_halving_the_temperature_doubles_the_slope(backend, temperature):
    assert backend.to_numpy(backend.sigmoid_derivative(on(backend, [0.0]), temperature)) == [0.25 / temperature]


# Softmax and cross entropy


def exact_softmax(row):
    with localcontext() as context:
        context.prec = 60
        e = [Decimal(float(z)).exp() for z in row]
        return [value / sum(e) for value in e]


def exact_cross_entropy(row, y):
    """-ln p_y = ln(1 + others), others being what exp(z) of the other classes is in terms of the label's."""
    with localcontext() as context:
        context.prec = 100
        others = sum((Decimal(float(z)) - Decimal(float(row[y]))).exp() for j, z in enumerate(row) if j != y)
        return others if others < Decimal("1e-40") else (1 + others).ln()


@st.composite
def labelled_logits(draw, dtype):
    """Logits up to ±500, so margins from -1000 to 1000, and a label for each row."""
    samples, classes = draw(st.integers(1, 3)), draw(st.integers(2, 5))
    scale = draw(st.sampled_from([1.0, 20.0, 500.0]))
    numbers = st.floats(-scale, scale, width=32)
    logits = draw(arrays(dtype, (samples, classes), elements=numbers))
    return logits, np.array(draw(st.lists(st.integers(0, classes - 1), min_size=samples, max_size=samples)))


@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
@small_examples
def test_softmax_equals_its_definition_and_does_not_change_its_argument(backend, dtype, data):
    logits, _ = data.draw(labelled_logits(dtype))
    moved = on(backend, logits)
    p = backend.to_numpy(backend.softmax(moved))
    assert p.dtype == dtype
    exact = np.array([exact_softmax(row) for row in logits], dtype="float64")
    relative = (16 + float(np.ptp(logits))) * eps(dtype)
    np.testing.assert_allclose(p, exact, rtol=relative, atol=2 * backend.smallest(dtype))
    np.testing.assert_array_equal(backend.to_numpy(moved), logits)


@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
@small_examples
def test_cross_entropy_and_its_gradient_equal_their_definitions_at_any_margin(backend, dtype, data):
    logits, y = data.draw(labelled_logits(dtype))
    moved = on(backend, logits)
    loss, gradient = map(backend.to_numpy, backend.softmax_cross_entropy(moved, on(backend, y)))
    assert (loss.dtype, gradient.dtype) == (dtype, dtype)
    np.testing.assert_array_equal(backend.to_numpy(moved), logits)
    relative, least = (16 + float(np.ptp(logits))) * eps(dtype), backend.smallest(dtype)
    for row, label, got_loss, got in zip(logits, y, loss, gradient, strict=True):
        assert got_loss == pytest.approx(float(exact_cross_entropy(row, label)), rel=relative, abs=4 * least)
        p = exact_softmax(row)
        exact = [-sum(p[:j] + p[j + 1 :]) if j == label else p[j] for j in range(len(p))]
        np.testing.assert_allclose(got, np.array(exact, "float64"), rtol=relative, atol=8 * least)
        assert abs(float(got.astype("float64").sum())) <= 8 * eps(dtype) * np.abs(got).max() + 8 * least


@pytest.mark.parametrize("margin", [-1000, -40, 0, 17, 40, 87, 1000])
def test_the_labels_gradient_is_minus_the_sum_of_the_others(backend, margin):
    logits = np.array([[margin, 0.0, -1.0]], "float32")
    _, gradient = backend.softmax_cross_entropy(on(backend, logits), on(backend, [0]))
    label, *others = backend.to_numpy(gradient)[0]
    assert label == pytest.approx(-sum(others), rel=1e-6, abs=2 * backend.smallest("float32"))


def test_a_confident_sample_keeps_its_gradient_and_loss_in_float32_where_p_minus_one_is_zero(backend):
    logits = np.array([[40.0, 0.0, 0.0]], "float32")
    assert backend.to_numpy(backend.softmax(on(backend, logits)))[0, 0] - 1 == 0
    loss, gradient = map(backend.to_numpy, backend.softmax_cross_entropy(on(backend, logits), on(backend, [0])))
    assert loss[0] == pytest.approx(2 * math.exp(-40), rel=1e-5)
    np.testing.assert_allclose(gradient[0], np.array([-2, 1, 1]) * math.exp(-40), rtol=1e-5)


def test_a_single_class_has_neither_loss_nor_gradient(backend):
    logits = on(backend, [[3.0], [-7.0]])
    loss, gradient = map(backend.to_numpy, backend.softmax_cross_entropy(logits, on(backend, [0, 0])))
    assert not loss.any()
    assert not gradient.any()


def test_nan_in_the_logits_affects_only_its_own_sample(backend):
    logits = on(backend, [[0.0, np.nan, 1.0], [0.0, 1.0, 2.0]])
    loss, gradient = map(backend.to_numpy, backend.softmax_cross_entropy(logits, on(backend, [0, 1])))
    np.testing.assert_array_equal(np.isnan(loss), [True, False])
    np.testing.assert_array_equal(np.isnan(gradient), [[True] * 3, [False] * 3])


# Patches of an image.  Small whole numbers: every sum is exact, so loops and kernels agree to the last bit.


def whole_numbers(shape, seed):
    return np.random.default_rng(seed).integers(-9, 10, shape).astype("float64")


def patch_twin(x, at: Windows):
    rows = []
    for (n, _, _), (top, left) in at.corners():
        patch = []
        for i, j in at.places():
            row, column = top + i, left + j
            patch += [x[n, row, column, c] if at.inside(row, column) else 0.0 for c in range(at.shape[3])]
        rows.append(patch)
    return np.array(rows, dtype=x.dtype)


def image_twin(columns, at: Windows):
    """Add every number of every patch to its pixel; drop those of the border."""
    x = np.zeros(at.shape, columns.dtype)
    for patch, ((n, _, _), (top, left)) in zip(columns, at.corners(), strict=True):
        numbers = iter(patch)
        for i, j in at.places():
            for c in range(at.shape[3]):
                number = next(numbers)
                if at.inside(top + i, left + j):
                    x[n, top + i, left + j, c] += number
    return x


@given(at=windows())
@small_examples
def test_im2col_lays_out_every_patch_as_a_row(backend, at):
    x = whole_numbers(at.shape, 1)
    columns = backend.im2col(on(backend, x), *at.arguments)
    np.testing.assert_array_equal(backend.to_numpy(columns), patch_twin(x, at))


@given(at=windows())
@small_examples
def test_col2im_adds_every_row_back_at_the_position_of_its_patch(backend, at):
    columns = whole_numbers((at.shape[0] * math.prod(at.out), math.prod(at.window) * at.shape[3]), 2)
    x = backend.col2im(on(backend, columns), at.shape, *at.arguments)
    np.testing.assert_array_equal(backend.to_numpy(x), image_twin(columns, at))


@given(at=windows())
@small_examples
def test_col2im_is_the_adjoint_of_im2col(backend, at):
    x = whole_numbers(at.shape, 3)
    columns = backend.to_numpy(backend.im2col(on(backend, x), *at.arguments))
    other = whole_numbers(columns.shape, 4)
    image = backend.to_numpy(backend.col2im(on(backend, other), at.shape, *at.arguments))
    assert (columns * other).sum() == (x * image).sum()


@pytest.mark.parametrize("dtype", DTYPES)
def test_padding_is_a_border_of_one_value_in_the_images_own_dtype(backend, dtype):
    x = whole_numbers((2, 2, 3, 2), 5).astype(dtype)
    padded = backend.to_numpy(backend.pad(on(backend, x), ((1, 0), (2, 3)), -math.inf))
    assert padded.dtype == dtype
    assert padded.shape == (2, 3, 8, 2)
    for index, value in np.ndenumerate(padded):
        n, row, column, c = index
        inside = row >= 1 and 2 <= column < 5
        assert value == (x[n, row - 1, column - 2, c] if inside else -math.inf)


def test_no_padding_returns_the_same_array(backend):
    x = on(backend, np.ones((1, 2, 2, 1)))
    assert backend.pad(x, ((0, 0), (0, 0)), 0) is x


# Pooling


def max_pool_twin(x, at: Windows):
    y = np.empty((at.shape[0], *at.out, at.shape[3]), x.dtype)
    index = np.zeros(y.shape, "int32")
    for (n, oh, ow), (top, left) in at.corners():
        for c in range(at.shape[3]):
            inside = [
                (x[n, top + i, left + j, c], i * at.window[1] + j)
                for i, j in at.places()
                if at.inside(top + i, left + j)
            ]
            best, place = inside[0]
            for value, where in inside[1:]:
                if value > best:
                    best, place = value, where
            y[n, oh, ow, c], index[n, oh, ow, c] = best, place
    return y, index


def max_pool_gradient_twin(grad_y, index, at: Windows):
    grad_x = np.zeros(at.shape, grad_y.dtype)
    for (n, oh, ow), (top, left) in at.corners():
        for c in range(at.shape[3]):
            i, j = divmod(int(index[n, oh, ow, c]), at.window[1])
            grad_x[n, top + i, left + j, c] += grad_y[n, oh, ow, c]
    return grad_x


@given(at=windows(pooling=True), highest=st.sampled_from([9, 1, -1]))
@small_examples
def test_max_pool_and_its_gradient_equal_loops_with_ties_and_negative_images(backend, at, highest):
    # Of nineteen, eleven or nine whole numbers: most windows hold equals, and with -1 all of the image is negative.
    x = np.random.default_rng(6).integers(-9, highest + 1, at.shape).astype("float64")
    y, index = backend.max_pool(on(backend, x), *at.arguments)
    expected_y, expected_index = max_pool_twin(x, at)
    np.testing.assert_array_equal(backend.to_numpy(y), expected_y)
    np.testing.assert_array_equal(backend.to_numpy(index), expected_index)
    grad_y = whole_numbers(expected_y.shape, 7)
    grad_x = backend.max_pool_gradient(on(backend, grad_y), index, at.shape, *at.arguments)
    np.testing.assert_array_equal(backend.to_numpy(grad_x), max_pool_gradient_twin(grad_y, expected_index, at))


def test_first_of_equal_values_row_by_row_is_the_maximum(backend):
    x = on(backend, np.zeros((1, 4, 4, 1)))
    _, index = backend.max_pool(x, (2, 2), (2, 2), ((0, 0), (0, 0)))
    assert not backend.to_numpy(index).any()
    x = on(backend, np.array([[1.0, 5, 5], [5, 5, 0], [0, 0, 0]]).reshape(1, 3, 3, 1))
    _, index = backend.max_pool(x, (3, 3), (3, 3), ((0, 0), (0, 0)))
    assert backend.to_numpy(index).item() == 1


def test_the_border_of_max_pool_never_wins_even_over_the_most_negative_number(backend):
    lowest = np.finfo("float32").min
    x = on(backend, np.full((1, 3, 3, 1), lowest, "float32"))
    y, _ = backend.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
    np.testing.assert_array_equal(backend.to_numpy(y), np.full((1, 2, 2, 1), lowest))


@pytest.mark.parametrize("place", range(4))
def test_max_pool_propagates_nan_from_any_position(backend, place):
    window = np.array([3.0, 1.0, 2.0, 4.0])
    window[place] = np.nan
    x = on(backend, window.reshape(1, 2, 2, 1))
    y, _ = backend.max_pool(x, (2, 2), (2, 2), ((0, 0), (0, 0)))
    assert np.isnan(backend.to_numpy(y)).all()


# Random numbers


@pytest.mark.parametrize("dtype", DTYPES)
def test_random_numbers_are_uniform_between_zero_and_one_in_the_requested_dtype(backend, dtype):
    numbers = backend.to_numpy(backend.random((50, 40, 10), (1, 2, 3), dtype))
    assert numbers.shape == (50, 40, 10)
    assert numbers.dtype == dtype
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts = np.histogram(numbers, bins=10, range=(0, 1))[0]
    np.testing.assert_allclose(counts, 2000, atol=5 * math.sqrt(2000))


def test_random_numbers_depend_only_on_their_key(backend):
    first = backend.to_numpy(backend.random((100,), (3, 1, 4), "float32"))
    others = [backend.to_numpy(backend.random((100,), key, "float32")) for key in [(3, 1, 5), (3, 2, 4), (4, 1, 4)]]
    again = backend.to_numpy(backend.random((100,), (3, 1, 4), "float32"))
    np.testing.assert_array_equal(first, again)
    for other in others:
        assert (first != other).mean() > 0.9
