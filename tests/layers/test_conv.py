"""`Conv2D` against its formula in plain loops: outputs, all three gradients, borders, chunks and errors."""

import math
from itertools import product

import numpy as np
import pytest

import minirobust as mr


def pair(size):
    return size if isinstance(size, tuple) else (size, size)


def border(size, kernel, stride, padding):
    """Zeros before and after, from the words of the documentation."""
    if padding == "valid":
        return 0, 0
    if padding == "same":
        total = 0
        while (size + total - kernel) // stride + 1 < math.ceil(size / stride):
            total += 1
        return total // 2, total - total // 2  # an odd one goes to the end
    return padding, padding


class Twin:
    """y[n, i, j, f] = b[f] + Σ x[n, i·s + u, j·s + v, c] · w[u, v, c, f], and every derivative read off that sum."""

    def __init__(self, layer, x, weight, bias):
        kernel, stride = pair(layer.kernel_size), pair(layer.stride)
        padding = (layer.padding,) * 2 if isinstance(layer.padding, str) else pair(layer.padding)
        edges = [border(*g) for g in zip(x.shape[1:3], kernel, stride, padding, strict=True)]
        self.padded = np.pad(x, [(0, 0), *edges, (0, 0)])
        self.inside = tuple(slice(low, low + n) for (low, _), n in zip(edges, x.shape[1:3], strict=True))
        self.weight, self.bias, self.stride = weight, bias, stride
        sizes = zip(self.padded.shape[1:3], kernel, stride, strict=True)
        self.out = tuple((size - k) // s + 1 for size, k, s in sizes)

    def terms(self):
        """Every (place in y, place in x, place in w) that the sum joins."""
        kernel_height, kernel_width, channels, filters = self.weight.shape
        for n, i, j in product(range(len(self.padded)), *map(range, self.out)):
            for u, v, c, f in product(*map(range, (kernel_height, kernel_width, channels, filters))):
                yield (n, i, j, f), (n, i * self.stride[0] + u, j * self.stride[1] + v, c), (u, v, c, f)

    def forward(self):
        y = np.zeros((len(self.padded), *self.out, self.weight.shape[3])) + self.bias
        for at_y, at_x, at_w in self.terms():
            y[at_y] += self.padded[at_x] * self.weight[at_w]
        return y

    def gradients(self, grad_y):
        """∂L/∂x, ∂L/∂w, ∂L/∂b."""
        grad_x, grad_w = np.zeros_like(self.padded), np.zeros_like(self.weight)
        for at_y, at_x, at_w in self.terms():
            grad_x[at_x] += grad_y[at_y] * self.weight[at_w]
            grad_w[at_w] += grad_y[at_y] * self.padded[at_x]
        grad_b = np.array([grad_y[..., f].sum() for f in range(len(self.bias))])
        return grad_x[:, self.inside[0], self.inside[1]], grad_w, grad_b


CASES = [
    (mr.Conv2D(3, 3), (2, 5, 6, 2)),
    (mr.Conv2D(1, 1), (1, 1, 1, 1)),
    (mr.Conv2D(2, (1, 3), stride=(1, 2)), (2, 3, 7, 1)),
    (mr.Conv2D(2, 3, stride=2), (3, 6, 8, 1)),
    (mr.Conv2D(2, 2, stride=3), (2, 6, 5, 2)),
    (mr.Conv2D(3, (3, 2), stride=(2, 1), padding="same"), (2, 6, 5, 2)),
    (mr.Conv2D(2, 4, padding="same"), (1, 5, 3, 1)),
    (mr.Conv2D(2, 1, stride=3, padding="same"), (2, 5, 4, 1)),
    (mr.Conv2D(2, (2, 4), stride=3, padding=(1, 2)), (1, 7, 5, 1)),
    (mr.Conv2D(2, 3, padding=2), (2, 2, 1, 3)),
]


def run(layer, backend, rng, shape):
    """The layer's output and gradients for random numbers, and its twin's."""
    # A layer belongs to one network, so each test makes a new one.
    layer = type(layer)(**layer.arguments())
    net = mr.Network([layer], shape[1:], backend=backend, dtype="float64")
    x, weight, bias = (rng.standard_normal(s) for s in (shape, layer.weight.value.shape, layer.bias.value.shape))
    layer.weight.value[...] = backend.asarray(weight)
    layer.bias.value[...] = backend.asarray(bias)
    twin = Twin(layer, x, weight, bias)
    y = net.forward(x)
    grad_y = rng.standard_normal(y.shape)
    grad_x = net.backward(backend.asarray(grad_y))
    got = [backend.to_numpy(array) for array in (y, grad_x, layer.weight.grad, layer.bias.grad)]
    return got, [twin.forward(), *twin.gradients(grad_y)]


@pytest.mark.parametrize(("layer", "shape"), CASES, ids=repr)
def test_output_and_gradients_equal_the_formulas(layer, shape, backend, rng):
    for got, expected in zip(*run(layer, backend, rng, shape), strict=True):
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


def test_second_backward_pass_gives_the_same_gradients(backend, rng):
    layer = mr.Conv2D(3, 2, padding="same")
    net = mr.Network([layer], (4, 5, 2), backend=backend, dtype="float64")
    y = net.forward(rng.standard_normal((3, 4, 5, 2)))
    grad_y = backend.asarray(rng.standard_normal(y.shape))
    first, second = (
        [backend.to_numpy(net.backward(grad_y)).copy(), backend.to_numpy(net.gradients).copy()] for _ in range(2)
    )
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


@pytest.mark.parametrize(("chunk_bytes", "samples_per_piece"), [(1, {1}), (5_000, {1, 2, 3}), (1 << 20, {7})])
def test_batch_in_chunks_equals_the_whole_batch(chunk_bytes, samples_per_piece, backend, rng, monkeypatch):
    layer, shape = mr.Conv2D(3, (3, 2), stride=(2, 1), padding="same"), (7, 6, 5, 2)
    monkeypatch.setattr(backend, "chunk_bytes", chunk_bytes)
    taken, chunks = [], backend.chunks

    def watch(rows, row_bytes):
        for piece in chunks(rows, row_bytes):
            taken.append(piece.stop - piece.start)
            yield piece

    monkeypatch.setattr(backend, "chunks", watch)
    for got, expected in zip(*run(layer, backend, rng, shape), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
    assert set(taken) <= samples_per_piece
    assert sum(taken) == 3 * 7  # forward, for the input's gradient, and for the weight's


@pytest.mark.parametrize("size", range(1, 9))
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_padding_gives_the_size_over_the_stride_rounded_up(size, kernel, stride):
    layer = mr.Conv2D(1, (kernel, 1), stride=(stride, 1), padding="same")
    assert mr.Network([layer], (size, 4, 1)).output_shape == (math.ceil(size / stride), 4, 1)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "first_row"),
    [(4, 2, 1, 0), (4, 3, 1, -1), (4, 4, 1, -1), (4, 3, 2, 0), (5, 3, 2, -1), (6, 5, 2, -1), (5, 1, 2, 0)],
)
def test_the_odd_pixel_of_same_padding_is_at_the_end(size, kernel, stride, first_row, backend):
    # A weight that is 1 in the kernel's first place only: the output shows where each patch begins.
    layer = mr.Conv2D(1, (kernel, 1), stride=(stride, 1), padding="same")
    net = mr.Network([layer], (size, 1, 1), backend=backend)
    layer.weight.value[...] = 0
    layer.weight.value[0, 0, 0, 0] = 1
    rows = np.arange(1.0, size + 1)
    y = backend.to_numpy(net.forward(rows.reshape(1, size, 1, 1))).ravel()
    starts = [first_row + stride * i for i in range(len(y))]
    np.testing.assert_array_equal(y, [rows[start] if start >= 0 else 0 for start in starts])


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (mr.Conv2D(2, 4), (3, 8, 1), r"layer 0, Conv2D\(2, 4\): expected images of at least \(4, 4\), got \(3, 8, 1\)"),
        (mr.Conv2D(2, (1, 6), padding=1), (3, 3, 1), r"expected images of at least \(1, 6\), got \(3, 3, 1\)"),
        (mr.Conv2D(2, 3), (27,), r"expected images \(height, width, channels\), got \(27,\)"),
    ],
)
def test_an_image_too_small_for_the_kernel_is_refused(layer, shape, message):
    with pytest.raises(ValueError, match=message):
        mr.Network([layer], shape)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"padding": "full"}, "Conv2D: expected padding 'valid', 'same', a whole number or a pair of them, got 'full'"),
        ({"padding": "SAME"}, "expected padding 'valid', 'same', a whole number or a pair of them, got 'SAME'"),
        ({"padding": -1}, "Conv2D: expected padding to be a whole number of at least 0 or a pair of them, got -1"),
        ({"stride": 0}, "Conv2D: expected stride to be a whole number of at least 1 or a pair of them, got 0"),
        ({"stride": (1, 2, 3)}, r"expected stride .*, got \(1, 2, 3\)"),
        ({"kernel_size": 2.5}, "expected kernel_size .*, got 2.5"),
        ({"kernel_size": "3"}, "expected kernel_size .*, got '3'"),
        ({"filters": 0}, "Conv2D: expected filters to be a whole number of at least 1, got 0"),
        ({"filters": True}, "expected filters .*, got True"),
    ],
)
def test_impossible_arguments_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        mr.Conv2D(**{"filters": 2, "kernel_size": 3, **arguments})
