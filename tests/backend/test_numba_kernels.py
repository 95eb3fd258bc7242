"""The kernels that `NumbaBackend` computes differently, against the reference, to the last few bits.

That both are right is tested in ``test_numpy_kernels.py``, as for every backend.  Here: how far apart they may be,
which bits must be the same, and what compiling says and keeps.
"""

import logging
import math
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from windows import small_examples, windows

import minirobust as mr
from minirobust.backend import NumpyBackend
from minirobust.optimizers import adam_step

pytest.importorskip("numba")

reference, numba = NumpyBackend(), mr.backend.get("numba")
DTYPES = ("float32", "float64")
# The |x| from which exp(-|x|) rounds to 0: half of the smallest subnormal number is e^-103.97 or e^-745.13.
GONE = {"float32": 103.97, "float64": 745.13}


def ulps(got, expected):
    """Return the largest distance in units in the last place of the expected numbers."""
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    got, expected = got[~np.isnan(got)], expected[~np.isnan(expected)]
    return float((np.abs(got - expected) / np.spacing(np.abs(expected))).max(initial=0))


def net_values(dtype, temperature, rng):
    """Net values to well beyond where the derivative is 0, close together where it becomes 0, and special ones."""
    border = np.linspace(0.99, 1.01, 20_001) * GONE[dtype]
    scaled = [rng.uniform(-1.1 * GONE[dtype], 1.1 * GONE[dtype], 20_000), rng.standard_normal(20_000), border, -border]
    special = [0.0, -0.0, np.nan, np.inf, -np.inf, np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal]
    return np.concatenate([np.concatenate(scaled) * temperature, special]).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("temperature", [1 / 64, 0.3, 1, 16])
def test_sigmoid_and_its_derivative_equal_the_reference_within_ulps_with_the_same_zeros(dtype, temperature, rng):
    net = net_values(dtype, temperature, rng)
    with np.errstate(all="ignore"):
        y, slope = reference.sigmoid(net, temperature), reference.sigmoid_derivative(net, temperature)
    got_y, got_slope = numba.sigmoid(net, temperature), numba.sigmoid_derivative(net, temperature)
    assert ulps(got_y, y) <= 4
    # One unit of a subnormal exp becomes 1/T units of the derivative.
    normal = slope > np.finfo(dtype).tiny / temperature
    assert ulps(got_slope[normal], slope[normal]) <= 6
    assert ulps(got_slope, slope) <= 6 + 1 / temperature
    np.testing.assert_array_equal(got_slope == 0, slope == 0)
    np.testing.assert_array_equal(got_y == 0, y == 0)
    assert (got_slope == 0).any()
    np.testing.assert_array_equal(got_y[-7:], y[-7:])


@pytest.mark.parametrize("dtype", DTYPES)
def test_sigmoid_is_bitwise_equal_at_powers_of_two_and_at_any_position(dtype, rng):
    net = rng.standard_normal(1_001).astype(dtype) * 30
    for kernel, factor in ((numba.sigmoid, 1), (numba.sigmoid_derivative, 1 / 8)):
        whole = kernel(net, 0.5)
        np.testing.assert_array_equal(kernel(net * 8, 4.0), whole * net.dtype.type(factor))
        for start in range(1, 40):  # a compiler's vector loop and its remainder
            np.testing.assert_array_equal(kernel(net[start:-start].copy(), 0.5), whole[start:-start])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [0.1, 10, 500])
def test_cross_entropy_equals_the_reference_within_ulps(dtype, scale, rng):
    logits, y = (scale * rng.standard_normal((500, 7))).astype(dtype), rng.integers(0, 7, 500)
    logits[0, 3], logits[1, 2], logits[2, 5], logits[3] = np.nan, np.inf, -np.inf, -np.inf
    with np.errstate(all="ignore"):
        expected = reference.softmax_cross_entropy(logits, y)
    got = numba.softmax_cross_entropy(logits, y)
    for values, others, limit in zip(got, expected, (8, 12), strict=True):
        normal = ~(np.abs(others) <= np.finfo(dtype).tiny)
        assert ulps(values[normal], others[normal]) <= limit
    np.testing.assert_array_equal(np.isnan(got[1]), np.isnan(expected[1]))
    np.testing.assert_array_equal(got[1] == 0, expected[1] == 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("one_rate_each", [False, True], ids=["one rate", "a rate for each"])
def test_adam_equals_the_reference_bit_for_bit(dtype, one_rate_each, rng):
    size = 1_003
    arrays = [rng.standard_normal(size).astype(dtype) for _ in range(3)] + [rng.random(size).astype(dtype)]
    arrays[1][:4] = 0, np.nan, np.inf, 1e-30
    rate, epsilon = (np.array(value, dtype) for value in (1e-3, 1e-8))
    if one_rate_each:
        rate, epsilon = rate * rng.random(size).astype(dtype), epsilon * rng.random(size).astype(dtype)
    twin = [array.copy() for array in arrays]
    with np.errstate(all="ignore"):
        for scale in (1.0, 2.0**40, 1.0):
            adam_step(twin, rate, epsilon, 0.9, 0.999, scale)
            numba.adam_step(arrays, rate, epsilon, 0.9, 0.999, scale)
    for got, expected in zip(arrays, twin, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sign_step_equals_the_reference_bit_for_bit(dtype, rng):
    x, gradient = rng.random((40, 5, 5, 1)).astype(dtype), rng.standard_normal((40, 5, 5, 1)).astype(dtype)
    gradient.reshape(-1)[:6] = 0.0, -0.0, np.nan, np.inf, -np.inf, np.finfo(dtype).smallest_subnormal
    ball = x - x.dtype.type(0.1), x + x.dtype.type(0.05)
    for bounds in ((0, 1), ball, (ball[0], 1), (0, ball[1])):
        got, expected = (backend.sign_step(x, gradient, 0.07, *bounds) for backend in (numba, reference))
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, expected)
        for out in (np.empty((80, 5, 5, 1), dtype)[:40], np.empty((80, 5, 5, 1), dtype)[::2]):
            for backend in (numba, reference):
                out[...] = np.nan
                backend.sign_step(x, gradient, 0.07, *bounds, out=out)
                np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(got.reshape(-1)[:3], np.clip(x, 0, ball[1]).reshape(-1)[:3])


@pytest.mark.parametrize("dtype", DTYPES)
@given(at=windows(pooling=True), seed=st.integers(0, 99))
@small_examples
def test_max_pool_equals_the_reference_with_nan_infinity_and_ties(dtype, at, seed):
    x = np.random.default_rng(seed).choice([-np.inf, -1, 0, 1, 2, np.nan, np.inf], at.shape).astype(dtype)
    (y, winner), (expected, position) = (backend.max_pool(x, *at.arguments) for backend in (numba, reference))
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(winner, position)
    grad_y = np.random.default_rng(seed).standard_normal(y.shape).astype(dtype)
    got, expected = (b.max_pool_gradient(grad_y, winner, at.shape, *at.arguments) for b in (numba, reference))
    np.testing.assert_allclose(got, expected, rtol=4 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("chunk_bytes", [1, 2_000, 1 << 20])
@given(at=windows(), filters=st.integers(1, 4))
@small_examples
def test_convolution_by_strips_equals_convolution_by_im2col(at, filters, chunk_bytes):
    """On small whole numbers, where every sum is exact: so every number is in its place."""
    rng = np.random.default_rng(1)
    x = rng.integers(-9, 10, at.shape).astype("float64")
    weight = rng.integers(-9, 10, (*at.window, at.shape[3], filters)).astype("float64")
    bias = rng.integers(-9, 10, filters).astype("float64")
    grad_y = rng.integers(-9, 10, (at.shape[0], *at.out, filters)).astype("float64")
    small = mr.backend.numba_backend.NumbaBackend()
    small.chunk_bytes = chunk_bytes
    results = []
    for backend in (small, reference):
        gradients = np.full_like(weight, np.nan), np.full_like(bias, np.nan)
        backend.conv2d_parameter_gradients(x, grad_y, *gradients, *at.arguments)
        y = backend.conv2d(x, weight, bias, *at.arguments)
        grad_x = backend.conv2d_input_gradient(grad_y, weight, at.shape, *at.arguments)
        results.append((y, grad_x, *gradients))
    for got, expected in zip(*results, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("special", [0.0, np.inf, -np.inf, np.nan])
def test_the_scale_is_divided_out_and_overflow_reported_as_by_the_reference(dtype, special, rng):
    gradient = rng.standard_normal((5, 7)).astype(dtype)
    gradient[3, 2] = special
    for scale, out in (
        (2.0**40, None),
        (2.0**40, np.empty((5, 7), dtype)),
        (2.0**40, np.empty((7, 5), dtype).T),
        (1, None),
    ):
        with np.errstate(all="ignore"):
            (got, finite), (expected, also_finite) = (b.unscaled(gradient, scale, out) for b in (numba, reference))
        np.testing.assert_array_equal(got, gradient / np.array(scale, dtype))
        np.testing.assert_array_equal(got, expected)
        assert finite is also_finite is (scale == 1 or bool(np.isfinite(special)))
        assert out is None or got is out


@pytest.mark.parametrize("broken", [np.inf, np.nan])
def test_non_finite_value_affects_only_the_outputs_that_depend_on_it(broken, rng):
    x, weight, geometry = rng.random((2, 7, 8, 2)), rng.random((3, 3, 2, 2)), ((3, 3), (1, 1), ((1, 0), (2, 1)))
    grad_y = rng.random((2, 6, 9, 2))
    x[0, 3, 4, 1] = grad_y[1, 2, 8, 0] = broken
    results = []
    for backend in (numba, reference):
        gradients = np.empty_like(weight), np.empty(2)
        with np.errstate(all="ignore"):
            y = backend.conv2d(x, weight, np.zeros(2), *geometry)
            grad_x = backend.conv2d_input_gradient(grad_y, weight, x.shape, *geometry)
            backend.conv2d_parameter_gradients(x, grad_y, *gradients, *geometry)
        results.append([np.isfinite(array) for array in (y, grad_x, *gradients)])
    for got, expected in zip(*results, strict=True):
        np.testing.assert_array_equal(got, expected)
        assert not got.all()


def test_arrays_in_any_layout_and_read_only_arrays_are_accepted(rng):
    x = rng.standard_normal((3, 6, 6, 2))
    frozen = x.copy()
    frozen.flags.writeable = False
    for same in (np.asfortranarray(x), x[:, ::-1][:, ::-1], frozen):
        np.testing.assert_array_equal(numba.sigmoid(same, 0.5), numba.sigmoid(x, 0.5))
        for got, expected in zip(numba.max_pool(same, *POOL), numba.max_pool(x, *POOL), strict=True):
            np.testing.assert_array_equal(got, expected)


POOL = ((2, 2), (2, 2), ((0, 0), (0, 0)))


def trained(backend, seed=0):
    rng = np.random.default_rng(3)
    data = rng.random((200, 10, 10, 2), dtype="float32"), rng.integers(0, 3, 200)
    layers = [mr.Conv2D(4, 3), mr.TemperatureSigmoid(0.5), mr.MaxPool2D(2), mr.Flatten(), mr.Dense(3)]
    net = mr.Network(layers, (10, 10, 2), backend=backend, seed=seed)
    mr.fit(net, mr.Adam(net), data, epochs=3, progress=False)
    return net, mr.attacks.pgd(net, *data, 0.1, steps=5)


def test_two_runs_with_one_seed_are_bitwise_equal():
    (one, attack), (other, again) = trained("numba"), trained("numba")
    np.testing.assert_array_equal(one.parameters, other.parameters)
    np.testing.assert_array_equal(attack.images, again.images)


def test_training_stays_close_to_the_reference():
    (one, _), (other, _) = trained("numba"), trained("numpy")
    np.testing.assert_allclose(one.parameters, other.parameters, atol=2e-4)


COMPILE = textwrap.dedent("""
    import numpy as np, minirobust as mr
    backend = mr.backend.get("numba")
    for temperature in (0.5, 2.0):
        backend.sigmoid(np.zeros(3, "float32"), temperature)
        backend.sigmoid_derivative(np.zeros(3, "float32"), temperature)
""")


def test_first_use_logs_one_line_about_compilation_and_the_next_process_logs_nothing(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    said = [
        subprocess.run([sys.executable, "-c", COMPILE], env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert said[0].stderr == "Numba compiles kernels for this machine, which takes some seconds, once\n"
    assert (said[1].stderr, said[1].stdout, said[0].stdout) == ("", "", "")


def test_another_packages_compilation_is_not_announced(caplog):
    from numba import njit

    with caplog.at_level(logging.DEBUG, "minirobust"):
        assert njit(lambda x: x + 1)(1) == 2
    assert caplog.messages == []


def test_exp_is_accurate_down_to_the_smallest_subnormal():
    """Against the C library's exp in float64: for float32 that is exact but for the last rounding."""
    from minirobust.backend.numba_kernels import exp_negative_float32, exp_negative_float64

    for x in np.linspace(-104.5, 0, 5_000, dtype="float32"):
        exact = math.exp(float(x))
        assert abs(float(exp_negative_float32(x)) - exact) <= 1.5 * float(np.spacing(np.float32(exact)))
    for x in np.linspace(-746, 0, 5_000):
        assert abs(exp_negative_float64(x) - math.exp(x)) <= 1.5 * np.spacing(math.exp(x))
