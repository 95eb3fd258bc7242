"""`MaxPool2D` and `AvgPool2D` against plain loops, with borders, overlaps, remainders and errors."""

from itertools import product

import numpy as np
import pytest

import minirobust as mr


def pair(size):
    return size if isinstance(size, tuple) else (size, size)


def windows(layer, shape):
    """For every window (n, oh, ow, c), the pixels of the image inside it, row by row."""
    window, stride = pair(layer.window), pair(layer.stride or layer.window)
    padding = pair(getattr(layer, "padding", 0))
    samples, height, width, channels = shape
    starts = [
        range(-p, size + p - w + 1, s) for size, w, s, p in zip((height, width), window, stride, padding, strict=True)
    ]
    for n, (oh, top), (ow, left), c in product(range(samples), *map(enumerate, starts), range(channels)):
        rows = [row for row in range(top, top + window[0]) if 0 <= row < height]
        columns = [column for column in range(left, left + window[1]) if 0 <= column < width]
        yield (n, oh, ow, c), [(n, row, column, c) for row in rows for column in columns]


def max_pool_twin(layer, x, grad_y):
    """y and ∂L/∂x: the maximum of each window, whose first place gets the whole gradient."""
    y, grad_x = np.empty_like(grad_y), np.zeros_like(x)
    for at, pixels in windows(layer, x.shape):
        best = max(pixels, key=lambda pixel: x[pixel])  # the first of equals
        y[at] = x[best]
        grad_x[best] += grad_y[at]
    return y, grad_x


def avg_pool_twin(layer, x, grad_y):
    """y and ∂L/∂x: the mean of each window, all of whose pixels share its gradient."""
    y, grad_x = np.empty_like(grad_y), np.zeros_like(x)
    for at, pixels in windows(layer, x.shape):
        y[at] = sum(x[pixel] for pixel in pixels) / len(pixels)
        for pixel in pixels:
            grad_x[pixel] += grad_y[at] / len(pixels)
    return y, grad_x


MAX_CASES = [
    (mr.MaxPool2D(2), (2, 5, 7, 3), (2, 3)),
    (mr.MaxPool2D(1), (1, 2, 3, 1), (2, 3)),
    (mr.MaxPool2D(3, stride=2, padding=1), (2, 6, 7, 2), (3, 4)),
    (mr.MaxPool2D((3, 2), stride=1, padding=(1, 0)), (1, 4, 5, 1), (4, 4)),
    (mr.MaxPool2D(2, stride=(3, 1)), (2, 7, 4, 2), (2, 3)),
    (mr.MaxPool2D(2, stride=2, padding=1), (1, 1, 1, 2), (1, 1)),
]
AVG_CASES = [
    (mr.AvgPool2D(2), (2, 5, 7, 3), (2, 3)),
    (mr.AvgPool2D((3, 2), stride=(1, 2)), (1, 4, 5, 1), (2, 2)),
    (mr.AvgPool2D(2, stride=3), (2, 6, 5, 2), (2, 2)),
    (mr.AvgPool2D((2, 3)), (1, 2, 3, 2), (1, 1)),
]
TWINS = {mr.MaxPool2D: max_pool_twin, mr.AvgPool2D: avg_pool_twin}


def run(layer, x, grad_y, backend):
    net = mr.Network([type(layer)(**layer.arguments())], x.shape[1:], backend=backend, dtype="float64")
    y = net.forward(x)
    return backend.to_numpy(y), backend.to_numpy(net.backward(backend.asarray(grad_y)))


@pytest.mark.parametrize(("layer", "shape", "out"), MAX_CASES + AVG_CASES, ids=repr)
@pytest.mark.parametrize("kind", ["any numbers", "many equals", "all negative"])
def test_output_and_gradient_equal_loops(layer, shape, out, kind, backend, rng):
    x = rng.standard_normal(shape)
    x = {"any numbers": x, "many equals": np.round(x), "all negative": -np.abs(x) - 1}[kind]
    grad_y = rng.standard_normal((shape[0], *out, shape[3]))
    for got, expected in zip(run(layer, x, grad_y, backend), TWINS[type(layer)](layer, x, grad_y), strict=True):
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=1e-14, atol=1e-14)


def test_first_of_equal_values_gets_the_whole_gradient(backend):
    y, grad_x = run(mr.MaxPool2D(2), np.ones((1, 2, 2, 1)), np.full((1, 1, 1, 1), 3.0), backend)
    assert y.item() == 1
    np.testing.assert_array_equal(grad_x.ravel(), [3, 0, 0, 0])


def test_remaining_rows_and_columns_are_dropped_and_get_no_gradient(backend):
    x = np.zeros((1, 3, 3, 1))
    x[0, 2], x[0, :, 2] = 9, 9
    y, grad_x = run(mr.MaxPool2D(2), x, np.ones((1, 1, 1, 1)), backend)
    assert y.item() == 0
    assert not grad_x[0, 2].any()
    assert not grad_x[0, :, 2].any()


def test_nan_is_propagated(backend):
    layer = mr.MaxPool2D(2)
    mr.Network([layer], (2, 4, 1), backend=backend, dtype="float64")
    x = np.array([[1.0, np.nan, 3, 4], [5, 6, 7, 8]]).reshape(1, 2, 4, 1)
    np.testing.assert_array_equal(backend.to_numpy(layer.forward(backend.asarray(x))).ravel(), [np.nan, 8])


@pytest.mark.parametrize(
    ("layer", "arguments", "message"),
    [
        (mr.MaxPool2D, {"window": 3, "padding": 2}, "MaxPool2D: expected padding of at most half the window 3, got 2"),
        (mr.MaxPool2D, {"window": (4, 1), "padding": 1}, r"at most half the window \(4, 1\), got 1"),
        (mr.MaxPool2D, {"window": 2, "padding": "same"}, "MaxPool2D: expected padding .*, got 'same'"),
        (mr.MaxPool2D, {"window": 0}, "MaxPool2D: expected window to be a whole number of at least 1.*, got 0"),
        (mr.MaxPool2D, {"window": 2, "stride": 0}, "MaxPool2D: expected stride .*, got 0"),
        (mr.MaxPool2D, {"window": 2, "padding": -1}, "MaxPool2D: expected padding .*, got -1"),
        (mr.AvgPool2D, {"window": (2, 2, 2)}, r"AvgPool2D: expected window .*, got \(2, 2, 2\)"),
        (mr.AvgPool2D, {"window": 2, "stride": 1.5}, r"AvgPool2D: expected stride .*, got 1\.5"),
    ],
)
def test_impossible_arguments_are_refused_by_name(layer, arguments, message):
    with pytest.raises(ValueError, match=message):
        layer(**arguments)


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (mr.MaxPool2D(3), (2, 9, 1), r"layer 0, MaxPool2D\(3\): expected images of at least \(3, 3\), got \(2, 9, 1\)"),
        (mr.MaxPool2D((1, 5), padding=(0, 1)), (2, 2, 1), r"expected images of at least \(1, 5\), got \(2, 2, 1\)"),
        (mr.AvgPool2D((1, 4)), (9, 3, 1), r"AvgPool2D\(\(1, 4\)\): expected images of at least \(1, 4\)"),
        (mr.MaxPool2D(2), (16,), r"expected images \(height, width, channels\), got \(16,\)"),
        (mr.AvgPool2D(2), (16,), r"expected images \(height, width, channels\), got \(16,\)"),
    ],
)
def test_an_image_smaller_than_the_window_is_refused(layer, shape, message):
    with pytest.raises(ValueError, match=message):
        mr.Network([layer], shape)
