"""The CUDA kernels where there is no GPU: nvcc compiles them, and the host runs them against the reference.

Where a GPU answers, the fixture `backend` runs them there too, in every other test of arithmetic.
"""

import math
import shutil
import subprocess
from operator import attrgetter

import host_cuda
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strict_backend import DeviceArray
from windows import small_examples, windows

import minirobust as mr
from minirobust.backend import NumpyBackend
from minirobust.backend.cupy_backend import DIRECT, ELEMENTWISE, KERNELS, SHARED_MEMORY, THREADS, conv2d_block
from minirobust.optimizers import adam_rates, adam_step

DTYPES = ("float32", "float64")
KIND = {"float32": "float", "float64": "double"}
reference = NumpyBackend()


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not installed: CUDA kernels are not compiled")
def test_nvcc_compiles_every_kernel_for_float_and_double_without_a_warning(tmp_path):
    text = host_cuda.source()
    program = tmp_path / "kernels.cu"
    program.write_text(text + host_cuda.instantiations(text), encoding="utf-8")
    command = ["nvcc", "-std=c++17", "-Werror", "all-warnings", "-c", "-o", str(tmp_path / "kernels.o"), str(program)]
    compiled = subprocess.run(command, capture_output=True, text=True)
    assert compiled.returncode == 0, compiled.stdout + compiled.stderr


def test_source_contains_exactly_the_kernels_that_are_launched():
    found = host_cuda.kernels(host_cuda.source())
    assert set(found) == {*KERNELS, *(f"elementwise_{name}" for name in ELEMENTWISE)}


def test_every_function_called_on_cupy_exists_in_cupy():
    cupy = pytest.importorskip("cupy")
    called = (*host_cuda.FUNCTIONS, "ElementwiseKernel", "RawModule", "random.Generator", "random.Philox4x3210")
    assert [name for name in called if not attrgetter(name)(cupy)] == []


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    if host_cuda.compiler() is None:
        pytest.skip("no C++ compiler is installed: CUDA kernels do not run on the host")
    return host_cuda.Library(tmp_path_factory.mktemp("kernels"))


@pytest.fixture(scope="module")
def cuda(library):
    """`CupyBackend`, its kernels running on the host."""
    return host_cuda.HostCudaBackend(library)


def assert_same(got, expected, ulps=0):
    """Equal to the last bit, or within that many units in the last place of the largest of its row."""
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    if not ulps or expected.dtype.kind != "f":
        np.testing.assert_array_equal(got, expected)
        return
    np.testing.assert_allclose(got, expected, rtol=ulps * np.finfo(expected.dtype).eps, atol=ulps * least(expected))


def least(array):
    return float(np.finfo(array.dtype).smallest_subnormal)


# The kernels themselves, with more threads than elements and memory around the arrays that is none of theirs


class Guarded:
    """An array with a margin on either side that is none of the kernel's, filled with a number that it must not touch.

    Around inputs that is NaN, so that reading it shows as well, around results a number that no result is.
    """

    MARGIN = 64

    def __init__(self, values, margin):
        self.whole = np.full(values.size + 2 * self.MARGIN, margin, values.dtype)
        self.whole[self.MARGIN : -self.MARGIN] = values.ravel()
        self.before = self.whole.copy()
        self.array = DeviceArray(self.whole[self.MARGIN : -self.MARGIN].reshape(values.shape))

    def assert_untouched_around(self):
        for side in (slice(None, self.MARGIN), slice(-self.MARGIN, None)):
            np.testing.assert_array_equal(self.whole[side], self.before[side])

    def assert_untouched(self):
        np.testing.assert_array_equal(self.whole, self.before)


def cross_entropy_launch(dtype, rng):
    logits, y = rng.standard_normal((5, 3)).astype(dtype), np.array([0, 1, 2, 0, 1])
    loss, gradient = reference.softmax_cross_entropy(logits, y)
    return 5, [np.int32(3), logits, y], [loss, gradient]


def col2im_launch(dtype, rng):
    columns = rng.standard_normal((2 * 3 * 2, 3 * 2 * 2)).astype(dtype)
    x = reference.col2im(columns, (2, 4, 5, 2), (3, 2), (1, 3), ((1, 0), (0, 1)))
    return x.size, [*map(np.int32, (4, 5, 2, 3, 2, 3, 2, 1, 3, 1, 0)), columns], [np.ascontiguousarray(x)]


def im2col_launch(dtype, rng):
    x = rng.standard_normal((2, 4, 5, 2)).astype(dtype)
    columns = reference.im2col(x, (3, 2), (1, 3), ((1, 0), (0, 1)))
    return 2 * 3, [*map(np.int32, (4, 5, 2, 3, 2, 3, 2, 1, 3, 1, 0)), x], [columns]


def max_pool_launch(dtype, rng):
    x = rng.standard_normal((2, 4, 5, 2)).astype(dtype)
    y, index = reference.max_pool(x, (3, 2), (1, 3), ((1, 1), (1, 1)))
    border = y.dtype.type(-np.inf)
    return y.size, [*map(np.int32, (4, 5, 2, *y.shape[1:3], 3, 2, 1, 3, 1, 1)), border, x], [y, index]


def max_pool_gradient_launch(dtype, rng):
    x = rng.standard_normal((2, 4, 5, 2)).astype(dtype)
    y, index = reference.max_pool(x, (3, 2), (1, 3), ((1, 1), (1, 1)))
    grad_x = reference.max_pool_gradient(y, index, x.shape, (3, 2), (1, 3), ((1, 1), (1, 1)))
    geometry = map(np.int32, (4, 5, 2, *y.shape[1:3], 3, 2, 1, 3, 1, 1))
    return x.size, [*geometry, y, index], [np.ascontiguousarray(grad_x)]


# By the kernel's name: (how many elements, the arguments that it reads, the results that it must write).
LAUNCHES = {
    "softmax_cross_entropy": cross_entropy_launch,
    "im2col": im2col_launch,
    "col2im": col2im_launch,
    "max_pool": max_pool_launch,
    "max_pool_gradient": max_pool_gradient_launch,
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("threads", [1, 7, THREADS])
@pytest.mark.parametrize("name", LAUNCHES)
def test_a_kernel_stays_inside_its_arrays_however_many_threads_there_are(library, name, dtype, threads, rng):
    size, inputs, results = LAUNCHES[name](dtype, rng)
    sources = [guarded_input(value) if isinstance(value, np.ndarray) else value for value in inputs]
    targets = [Guarded(np.zeros_like(value), margin=-77) for value in results]
    arguments = [value.array if isinstance(value, Guarded) else value for value in (*sources, *targets)]
    blocks = size + 3  # im2col's work is done by the block
    library.launch(name, KIND[dtype], (blocks,), (threads,), (np.int64(size), *arguments))
    for target, expected in zip(targets, results, strict=True):
        assert_same(target.array._host, expected, ulps=16)
        target.assert_untouched_around()
    for value in sources:
        if isinstance(value, Guarded):
            value.assert_untouched()


@pytest.mark.parametrize("dtype", DTYPES)
def test_conv2d_stays_inside_its_arrays_and_reads_no_shared_memory_that_nobody_wrote(library, dtype, rng):
    x, weight, bias = (rng.standard_normal(shape).astype(dtype) for shape in ((2, 10, 6, 11), (3, 2, 11, 5), 5))
    padding = (1, 0), (2, 1)
    expected = reference.conv2d(x, weight, bias, (3, 2), (1, 1), padding)
    rows, threads, memory = conv2d_block(weight.shape, expected.shape[1:3], x.itemsize)
    sources, target = [*map(guarded_input, (x, weight, bias))], Guarded(np.zeros_like(expected), margin=-77)
    geometry = map(np.int32, (rows, *x.shape[1:], *expected.shape[1:], 3, 2, 1, 2))
    blocks = len(x) * -(-expected.shape[1] // rows)
    arrays = [each.array for each in (*sources, target)]
    library.launch("conv2d", KIND[dtype], (blocks,), (threads,), [*geometry, *arrays], shared_mem=memory)
    assert_close_sums(target.array._host, expected)
    target.assert_untouched_around()
    for source in sources:
        source.assert_untouched()


def test_every_kernel_is_run_between_guards():
    assert {*LAUNCHES, "conv2d"} == set(KERNELS)


def assert_close_sums(got, expected):
    """Equal but for the order in which at most some hundred numbers of size 1 were added."""
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, rtol=0, atol=300 * np.finfo(expected.dtype).eps)


def guarded_input(values):
    return Guarded(values, margin=np.nan if values.dtype.kind == "f" else -77)


@pytest.mark.parametrize(
    ("position", "wrong"),
    [
        (0, 5),  # Python's int has 8 bytes where it is lucky
        (0, np.int32(5)),
        (1, np.int64(3)),
        (2, DeviceArray(np.zeros((5, 3), "float64"))),
        (2, DeviceArray(np.zeros((3, 5), "float32").T)),
        (3, DeviceArray(np.zeros(5, "int32"))),
    ],
)
def test_stand_in_raises_where_a_gpu_would_misread_memory(library, position, wrong):
    arrays = [np.zeros((5, 3), "float32"), np.zeros(5, "int64"), np.zeros(5, "float32"), np.zeros((5, 3), "float32")]
    arguments = [np.int64(5), np.int32(3), *map(DeviceArray, arrays)]
    library.launch("softmax_cross_entropy", "float", (1,), (8,), arguments)
    arguments[position] = wrong
    with pytest.raises(TypeError, match="expected"):
        library.launch("softmax_cross_entropy", "float", (1,), (8,), arguments)
    with pytest.raises(TypeError, match="expected 6 arguments, got 5"):
        library.launch("softmax_cross_entropy", "float", (1,), (8,), arguments[:5])


# CupyBackend's own methods, from their arguments to their results


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("temperature", [1 / 64, 0.3, 1, 16, np.float64(0.3)])
@pytest.mark.parametrize("kernel", ["sigmoid", "sigmoid_derivative"])
def test_elementwise_kernels_equal_the_reference(cuda, dtype, temperature, kernel, rng):
    limit = {"float32": 85, "float64": 700}[dtype]  # beyond, results have fewer digits: see the tails below
    scaled = np.append(rng.uniform(-limit, limit, (19, 30)), rng.standard_normal((19, 30)), axis=1)
    scaled[0, :5] = [0.0, -0.0, np.inf, -np.inf, np.nan]
    net = (scaled * float(temperature)).astype(dtype)
    got = cuda.to_numpy(getattr(cuda, kernel)(cuda.asarray(net), temperature))
    assert_same(got, getattr(reference, kernel)(net, float(temperature)), ulps=8)


@pytest.mark.parametrize("dtype", DTYPES)
def test_tails_of_the_derivative_are_not_zero(cuda, dtype):
    net = np.array([103.0, -103.0] if dtype == "float32" else [744.0, -744.0], dtype)
    assert (cuda.to_numpy(cuda.sigmoid_derivative(cuda.asarray(net), 1.0)) > 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("per_parameter", [False, True], ids=["numbers", "arrays"])
def test_adam_equals_the_reference_over_many_steps(cuda, dtype, per_parameter, rng):
    size = 2 * THREADS + 3
    start = rng.standard_normal(size).astype(dtype)
    rates = [rng.uniform(0.01, 0.1, size).astype(dtype), rng.uniform(1e-8, 1e-3, size).astype(dtype)]
    rates = rates if per_parameter else [0.05, 1e-6]
    states = [
        [backend.asarray(array.copy()) for array in (start, 0 * start, 0 * start)] for backend in (cuda, reference)
    ]
    for t in range(1, 21):
        grad = rng.standard_normal(size).astype(dtype)
        for backend, (value, m, v) in zip((cuda, reference), states, strict=True):
            rate, epsilon = (backend.asarray(np.asarray(rate, dtype) / t) for rate in rates)
            step = backend.adam_step or adam_step
            step((value, backend.asarray(grad), m, v), rate, epsilon, 0.8, 0.95, 4.0)
    tolerance = 200 * np.finfo(dtype).eps
    for got, expected in zip(*states, strict=True):
        np.testing.assert_allclose(cuda.to_numpy(got), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (5,)], ids=["numbers", "arrays"])
@pytest.mark.parametrize("t", [1, 2, 1_000, 10**9])
def test_adam_corrections_equal_the_reference(cuda, dtype, shape, t):
    lr, epsilon = np.full(shape, 1e-3, dtype), np.full(shape, 1e-8, dtype)
    results = cuda.adam_rates(*map(cuda.asarray, (lr, epsilon, np.array(t))), 0.9, 0.999)
    for got, expected in zip(results, adam_rates(lr, epsilon, np.array(t), 0.9, 0.999), strict=True):
        assert_same(cuda.to_numpy(got), expected, ulps=2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("label", ["int64", "int32", "uint8"])
@pytest.mark.parametrize("spread", [0, 1, 30, 1000])
def test_softmax_cross_entropy_equals_the_reference_at_any_margin(cuda, dtype, label, spread, rng):
    samples = THREADS + 44  # more than a block
    logits = (rng.uniform(-0.5, 0.5, (samples, 7)) * spread).astype(dtype)
    y = rng.integers(0, 7, samples).astype(label)
    results = cuda.softmax_cross_entropy(cuda.asarray(logits), cuda.asarray(y))
    for got, expected in zip(results, reference.softmax_cross_entropy(logits, y), strict=True):
        assert_same(cuda.to_numpy(got), expected, ulps=16)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sign_step_equals_the_reference_bit_for_bit(cuda, dtype, rng):
    x, gradient = rng.random((4, 5, 5, 1)).astype(dtype), rng.standard_normal((4, 5, 5, 1)).astype(dtype)
    gradient.reshape(-1)[:6] = 0.0, -0.0, np.nan, np.inf, -np.inf, np.finfo(dtype).smallest_subnormal
    ball = x - x.dtype.type(0.1), x + x.dtype.type(0.05)
    each = rng.random((4, 1, 1, 1)).astype(dtype)
    for size, *bounds in ((0.07, 0, 1), (each, *ball), (each, ball[0], 1)):
        moved = (cuda.asarray(part) if isinstance(part, np.ndarray) else part for part in (x, gradient, size, *bounds))
        assert_same(cuda.to_numpy(cuda.sign_step(*moved)), reference.sign_step(x, gradient, size, *bounds))


def test_softmax_cross_entropy_accepts_logits_that_are_not_contiguous(cuda, rng):
    logits, y = rng.standard_normal((4, 6)), np.array([0, 1, 2, 3, 0, 1])
    results = cuda.softmax_cross_entropy(cuda.asarray(logits).T, cuda.asarray(y))
    for got, expected in zip(results, reference.softmax_cross_entropy(logits.T, y), strict=True):
        assert_same(cuda.to_numpy(got), expected, ulps=16)


@pytest.mark.parametrize("label", [-1, 3, 2**40])
def test_invalid_label_gives_nan_and_reads_no_other_memory(cuda, label):
    # Labels on a device are not checked; `fit` finds the NaN when it next reads the loss.
    logits = np.zeros((3, 3))
    loss, gradient = map(
        cuda.to_numpy, cuda.softmax_cross_entropy(cuda.asarray(logits), cuda.asarray(np.array([1, label, 2])))
    )
    np.testing.assert_array_equal(np.isnan(loss), [False, True, False])
    np.testing.assert_array_equal(np.isnan(gradient), [[False] * 3, [True] * 3, [False] * 3])


@pytest.mark.parametrize("dtype", DTYPES)
@given(at=windows())
@small_examples
def test_col2im_equals_the_reference_bit_for_bit(cuda, dtype, at):
    shape = (at.shape[0] * math.prod(at.out), math.prod(at.window) * at.shape[3])
    columns = np.random.default_rng(1).standard_normal(shape).astype(dtype)
    got = cuda.col2im(cuda.asarray(columns), at.shape, *at.arguments)
    assert_same(cuda.to_numpy(got), reference.col2im(columns, at.shape, *at.arguments))


@pytest.mark.parametrize("dtype", DTYPES)
@given(at=windows(), filters=st.integers(1, 6))
@small_examples
def test_convolution_and_its_input_gradient_equal_the_reference(cuda, dtype, at, filters):
    rng = np.random.default_rng(3)
    x, weight = (rng.standard_normal(shape).astype(dtype) for shape in (at.shape, (*at.window, at.shape[3], filters)))
    bias = rng.standard_normal(filters).astype(dtype)
    expected = reference.conv2d(x, weight, bias, *at.arguments)
    got = cuda.conv2d(*map(cuda.asarray, (x, weight, bias)), *at.arguments)
    assert_close_sums(cuda.to_numpy(got), expected)
    grad_y = rng.standard_normal(expected.shape).astype(dtype)
    grad_x = cuda.conv2d_input_gradient(*map(cuda.asarray, (grad_y, weight)), at.shape, *at.arguments)
    assert_close_sums(cuda.to_numpy(grad_x), reference.conv2d_input_gradient(grad_y, weight, at.shape, *at.arguments))


@pytest.mark.parametrize("padding", [((0, 0), (0, 0)), ((2, 2), (2, 2)), ((5, 3), (0, 6))], ids=str)
@pytest.mark.parametrize("size", [(12, 14, 3, 16), (9, 30, 17, 4), (30, 9, 8, 9)], ids=str)
def test_convolution_without_unrolling_equals_the_reference_in_layers_of_usual_size(cuda, size, padding, rng):
    # Several blocks of a sample, several chunks of channels, and filters past a multiple of 4.
    height, width, channels, filters = size
    shapes = (2, height, width, channels), (5, 4, channels, filters), filters
    x, weight, bias = (rng.standard_normal(shape) for shape in shapes)
    arguments = (5, 4), (1, 1), padding
    expected = reference.conv2d(x, weight, bias, *arguments)
    assert conv2d_block(weight.shape, expected.shape[1:3], 8) is not None
    got = cuda.conv2d(*map(cuda.asarray, (x, weight, bias)), *arguments)
    np.testing.assert_allclose(cuda.to_numpy(got), expected, rtol=0, atol=1e-11)
    grad_y = rng.standard_normal(expected.shape)
    grad_x = cuda.conv2d_input_gradient(*map(cuda.asarray, (grad_y, weight)), x.shape, *arguments)
    exact = reference.conv2d_input_gradient(grad_y, weight, x.shape, *arguments)
    np.testing.assert_allclose(cuda.to_numpy(grad_x), exact, rtol=0, atol=1e-11)


def test_convolution_of_no_samples_launches_nothing(cuda):
    weight, bias, geometry = np.zeros((3, 3, 2, 5)), np.zeros(5), ((3, 3), (1, 1), ((0, 0), (0, 0)))
    assert cuda.conv2d(*map(cuda.asarray, (np.zeros((0, 6, 6, 2)), weight, bias)), *geometry).shape == (0, 4, 4, 5)
    grad_y = cuda.asarray(np.zeros((0, 4, 4, 5)))
    grad_x = cuda.conv2d_input_gradient(grad_y, cuda.asarray(weight), (0, 6, 6, 2), *geometry)
    assert grad_x.shape == (0, 6, 6, 2)


@pytest.mark.parametrize("out", [(1, 1), (28, 28), (9, 64)], ids=str)
@pytest.mark.parametrize("weight", [(5, 5, 3, 16), (5, 5, 16, 3), (3, 3, 1, 1)], ids=str)
@pytest.mark.parametrize("itemsize", [4, 8])
def test_a_block_of_conv2d_fits_every_device(itemsize, weight, out):
    rows, threads, memory = conv2d_block(weight, out, itemsize)
    assert rows % 4 == 0
    assert 0 < threads <= THREADS
    assert memory <= SHARED_MEMORY


@pytest.mark.parametrize(("weight", "out"), [((3, 3, 1, 1), (8, 300)), ((31, 31, 8, 8), (8, 8))], ids=str)
def test_layers_whose_tiles_fit_no_block_are_unrolled(weight, out):
    assert conv2d_block(weight, out, 8) is None


def test_layers_of_many_filters_are_unrolled():
    assert conv2d_block((3, 3, DIRECT, 1), (8, 8), 4) is not None
    assert conv2d_block((3, 3, DIRECT + 1, 1), (8, 8), 4) is None


@pytest.mark.parametrize("dtype", DTYPES)
@given(at=windows(pooling=True), kind=st.sampled_from(["any numbers", "many equals", "all negative", "some NaN"]))
@small_examples
def test_max_pool_and_its_gradient_equal_the_reference_bit_for_bit(cuda, dtype, at, kind):
    rng = np.random.default_rng(2)
    x = rng.standard_normal(at.shape).astype(dtype)
    if kind == "many equals":
        x = np.round(x)
    elif kind == "all negative":
        x = -np.abs(x) - 1
    elif kind == "some NaN":
        x[rng.random(at.shape) < 0.2] = np.nan
    results = cuda.max_pool(cuda.asarray(x), *at.arguments)
    expected = reference.max_pool(x, *at.arguments)
    for got, exact in zip(results, expected, strict=True):
        assert_same(cuda.to_numpy(got), exact)
    grad_y = rng.standard_normal(expected[0].shape).astype(dtype)
    grad_x = cuda.max_pool_gradient(cuda.asarray(grad_y), results[1], at.shape, *at.arguments)
    assert_same(cuda.to_numpy(grad_x), reference.max_pool_gradient(grad_y, expected[1], at.shape, *at.arguments))


def test_col2im_accepts_columns_that_are_not_contiguous(cuda, rng):
    columns = rng.standard_normal((2 * 2 * 3, 2 * 3 * 2)).T
    geometry = (2, 3, 4, 2), (2, 3), (1, 2), ((0, 0), (1, 2))
    got = cuda.col2im(cuda.asarray(columns), *geometry)
    assert_same(cuda.to_numpy(got), reference.col2im(columns, *geometry))


def test_pooling_accepts_images_that_are_not_contiguous(cuda, rng):
    x = rng.standard_normal((2, 5, 4, 3)).transpose(0, 2, 1, 3)
    geometry = (2, 2), (1, 2), ((1, 1), (0, 0))
    got, index = cuda.max_pool(cuda.asarray(x), *geometry)
    expected, places = reference.max_pool(x, *geometry)
    assert_same(cuda.to_numpy(got), expected)
    grad_y = rng.standard_normal(expected.shape[::-1]).transpose()
    grad_x = cuda.max_pool_gradient(cuda.asarray(grad_y), index, x.shape, *geometry)
    assert_same(cuda.to_numpy(grad_x), reference.max_pool_gradient(grad_y, places, x.shape, *geometry))


# A whole network


@pytest.fixture
def on_host(cuda, monkeypatch):
    """The only backend in use besides NumPy is `cuda`, so that losses find it by its arrays."""
    monkeypatch.setattr(mr.backend, "_made", {"host-cuda": cuda})
    return cuda


@pytest.mark.parametrize("dtype", DTYPES)
def test_convolutional_network_trains_like_on_the_reference(on_host, dtype, rng):
    x = rng.random((24, 16, 16, 1)).astype(dtype)
    y = rng.integers(0, 10, 24)
    trained = []
    for backend in (on_host, reference):
        net = mr.models.cnn(0.5, (16, 16, 1), backend=backend, dtype=dtype, seed=3)
        # A large epsilon: Adam would make a step of full length out of a gradient that is rounding noise alone.
        adam = mr.Adam(net, lr=1e-2, epsilon=1e-3)
        losses = [record.loss for record in mr.fit(net, adam, (x, y), epochs=3, batch_size=8)]
        trained.append((backend.to_numpy(net.parameters), losses))
    (got, got_losses), (expected, expected_losses) = trained
    tolerance = {"float32": 2e-3, "float64": 1e-10}[dtype]
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance)
    np.testing.assert_allclose(got_losses, expected_losses, rtol=tolerance)
    assert expected_losses[-1] < expected_losses[0]
