"""The CPU at speed: the kernels of `NumpyBackend`, with those replaced that take less time in another form.

Chains of elementwise operations become one loop each, compiled by Numba (``numba_kernels.py``).  Convolution multiplies
fewer and larger matrices.  Numba is imported when the backend is made, not before.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minirobust.backend.errors import BackendError
from minirobust.backend.numpy_backend import Array, NumpyBackend, Padding, Pair, output_size


class NumbaBackend(NumpyBackend):
    """NumPy arrays, and loops that Numba compiles.

    Raises
    ------
    BackendError
        If Numba is not installed, or does not work here.
    """

    name = "numba"
    # The loops between two matrix products take so little time that larger products gain more than the cache does.
    chunk_bytes = 8 << 20

    def __init__(self) -> None:
        super().__init__()
        try:
            import numba

            from minirobust.backend import numba_kernels
        except ModuleNotFoundError:
            raise BackendError("backend 'numba': Numba is not installed (pip install 'minirobust[fast]')") from None
        except (ImportError, RuntimeError) as error:  # it does not fit NumPy, or finds no folder for compiled kernels
            raise BackendError(f"backend 'numba': Numba does not work here ({str(error).splitlines()[0]})") from None
        self.kernels, self.version = numba_kernels, numba.__version__

    def describe(self) -> str:
        """Return the libraries and the device in a few words."""
        return f"Numba {self.version} with {super().describe()}"

    # The kernels: see `NumpyBackend` for what each of them computes.

    def sigmoid(self, net: Array, temperature: float) -> Array:
        """f(net) = 1 / (1 + exp(-net/T))."""
        return _elementwise(self.kernels.sigmoid, net, temperature)

    def sigmoid_derivative(self, net: Array, temperature: float) -> Array:
        """f'(net) = e / (T (1 + e)²) with e = exp(-|net|/T)."""
        return _elementwise(self.kernels.sigmoid_derivative, net, temperature)

    def softmax_cross_entropy(self, logits: Array, y: Array) -> tuple[Array, Array]:
        """Per-sample loss (N,) and its gradient with respect to the logits (N, K)."""
        logits = np.ascontiguousarray(logits)
        loss, gradient = np.empty(len(logits), logits.dtype), np.empty_like(logits)
        self.kernels.softmax_cross_entropy(logits, np.ascontiguousarray(y, "int64"), loss, gradient)
        return loss, gradient

    def sign_step(
        self,
        x: Array,
        gradient: Array,
        size: Array | float,
        low: Array | float,
        high: Array | float,
        out: Array | None = None,
    ) -> Array:
        """Return clip(x + size · sign(gradient), low, high), with sign(0) = sign(NaN) = 0."""
        x, number = np.ascontiguousarray(x), x.dtype.type
        if out is None:
            out = np.empty_like(x)
        if not out.flags.c_contiguous:
            return super().sign_step(x, gradient, size, low, high, out)
        bounds = (b.reshape(-1) if isinstance(b, np.ndarray) else number(b) for b in (size, low, high))
        self.kernels.sign_step(x.reshape(-1), gradient.reshape(-1), *bounds, out.reshape(-1))
        return out

    def unscaled(self, gradient: Array, scale: float, out: Array | None = None) -> tuple[Array, bool]:
        """Return gradient / scale, in `out` if given, and whether the gradient was finite, or the scale is 1."""
        gradient = np.ascontiguousarray(gradient)
        if out is None:
            out = np.empty_like(gradient)
        if not out.flags.c_contiguous:
            return super().unscaled(gradient, scale, out)
        odd = self.kernels.unscaled(gradient.reshape(-1), gradient.dtype.type(1 / scale), out.reshape(-1))
        return out, scale == 1 or not odd

    def max_pool(self, x: Array, window: Pair, stride: Pair, padding: Padding) -> tuple[Array, Array]:
        """Return the maximum of every window, and its position there."""
        (top, _), (left, _) = padding
        y = np.empty((len(x), *_windows(x.shape, window, stride, padding), x.shape[3]), x.dtype)
        winner = np.empty(y.shape, "int32")
        self.kernels.max_pool(np.ascontiguousarray(x), *window, *stride, top, left, y, winner)
        return y, winner

    def max_pool_gradient(
        self,
        grad_y: Array,
        winner: Array,
        shape: Sequence[int],
        window: Pair,
        stride: Pair,
        padding: Padding,
    ) -> Array:
        """Return an image with each window's gradient at the position of its maximum."""
        (top, _), (left, _) = padding
        grad_x = np.empty(shape, grad_y.dtype)
        self.kernels.max_pool_gradient(np.ascontiguousarray(grad_y), winner, *window, *stride, top, left, grad_x)
        return grad_x

    def adam_step(
        self, arrays: Sequence[Array], rate: Array, epsilon: Array, beta1: float, beta2: float, scale: float
    ) -> None:
        """Update θ, m and v of (θ, g, m, v) in place as `minirobust.optimizers.adam_step` does, in one pass."""
        rates = rate[()], epsilon[()]  # of an array without axes, its number
        numbers = beta1, beta2, (1 - beta1) / scale, (1 - beta2) / scale**2
        self.kernels.adam_step(*arrays, *rates, *map(arrays[0].dtype.type, numbers))

    def logits_after(
        self,
        before: Array,
        images: Array,
        inputs: Array,
        change: Array,
        weight1: Array,
        temperature: float,
        weight2: Array,
        bias2: Array,
    ) -> Array:
        """Return what `PixelChange.logits_after` does, for Dense, TemperatureSigmoid, Dense: see the kernel."""
        arrays = map(np.ascontiguousarray, (before, images, inputs, change.reshape(inputs.shape)))
        weights = weight1, before.dtype.type(temperature), np.ascontiguousarray(weight2.T), bias2
        logits = np.empty((len(images), len(bias2)), before.dtype)
        self.kernels.logits_after(*arrays, *weights, logits)
        return logits

    def first_to_succeed(
        self,
        before: Array,
        own: Array,
        images: Array,
        pixels: Array,
        values: Array,
        goal: tuple[Array, Array],
        start: Array,
        weight1: Array,
        temperature: float,
        weight2: Array,
        bias2: Array,
    ) -> tuple[Array, int]:
        """Return what `PixelChange.first_to_succeed` does, and how many candidates were tried: see the kernel."""
        tasks = *map(np.ascontiguousarray, (before, own)), images, pixels, np.ascontiguousarray(values), *goal, start
        weights = weight1, before.dtype.type(temperature), np.ascontiguousarray(weight2.T), bias2
        first = np.empty(len(images), "int64")
        return first, self.kernels.first_to_succeed(*tasks, *weights, first)

    # Convolution, by strips that are unrolled across only: the patches of all rows of outputs are parts of one strip,
    # a quarter of what im2col copies (Cho & Brand, 2017).  Two neighbouring outputs share a strip.  Its patches
    # are a little wider, with zeros among the weights, but half as many: BLAS multiplies them twice as fast.

    def conv2d(self, x: Array, weight: Array, bias: Array, kernel: Pair, stride: Pair, padding: Padding) -> Array:
        """y[n, i, j, f] = b[f] + Σ_{u, v, c} x[n, i·s + u, j·s + v, c] · w[u, v, c, f]."""
        if not _finite(x):  # times the zeros in `pairs`, infinity would make NaN of a neighbour
            return super().conv2d(x, weight, bias, kernel, stride, padding)
        down, across = _windows(x.shape, kernel, stride, padding)
        filters = weight.shape[3]
        y = np.empty((len(x), down, across * filters), x.dtype)
        pairs, biases = _for_pairs(weight, stride[1]), np.tile(bias, across)
        for chunk, i, patches in self._strips(x, down, across, kernel, stride, padding, y):
            outputs = (patches @ pairs).reshape(-1, (across + across % 2) * filters)
            np.add(outputs[:, : across * filters], biases, out=y[chunk, i])
        return y.reshape(len(x), down, across, filters)

    def conv2d_input_gradient(
        self, grad_y: Array, weight: Array, shape: Sequence[int], kernel: Pair, stride: Pair, padding: Padding
    ) -> Array:
        """Return ∂L/∂x, of `shape`."""
        if not _finite(grad_y):
            return super().conv2d_input_gradient(grad_y, weight, shape, kernel, stride, padding)
        (top, bottom), (left, right) = padding
        samples, height, width, channels = shape
        grad_y = self._even(grad_y)
        _, down, across, filters = grad_y.shape
        pairs = _for_pairs(weight, stride[1]).T
        # Wide enough for the second of a pair that only makes their number even.
        grad_x = np.zeros((samples, top + height + bottom, left + width + right + stride[1], channels), grad_y.dtype)
        rows = grad_x.reshape(samples, len(grad_x[0]), -1)
        for chunk in self.chunks(samples, down * across // 2 * pairs.nbytes // (2 * filters)):
            patches = grad_y[chunk].reshape(-1, 2 * filters) @ pairs
            patches = patches.reshape(-1, down, across // 2, pairs.shape[1])
            self.kernels.add_patches(patches, kernel[0], stride[0], 2 * stride[1] * channels, rows[chunk])
        return grad_x[:, top : top + height, left : left + width]

    def conv2d_parameter_gradients(
        self,
        x: Array,
        grad_y: Array,
        grad_weight: Array,
        grad_bias: Array,
        kernel: Pair,
        stride: Pair,
        padding: Padding,
    ) -> None:
        """Overwrite `grad_weight` with ∂L/∂w and `grad_bias` with ∂L/∂b."""
        if not (_finite(x) and _finite(grad_y)):
            super().conv2d_parameter_gradients(x, grad_y, grad_weight, grad_bias, kernel, stride, padding)
            return
        _, down, across, filters = grad_y.shape
        pairs = np.zeros_like(_for_pairs(grad_weight, stride[1]))
        even = self._even(grad_y)
        for chunk, i, patches in self._strips(x, down, across, kernel, stride, padding, grad_y):
            pairs += patches.T @ even[chunk, i].reshape(-1, 2 * filters)
        pairs = pairs.reshape(kernel[0], -1, x.shape[3], 2, filters)
        np.add(pairs[:, : kernel[1], :, 0], pairs[:, stride[1] :, :, 1], out=grad_weight)
        grad_bias[...] = grad_y.sum(axis=0).sum(axis=(0, 1))  # the first sum's innermost loop is a long one

    def _strips(
        self, x: Array, down: int, across: int, kernel: Pair, stride: Pair, padding: Padding, y: Array
    ) -> Iterator[tuple[slice, int, Array]]:
        """Yield for each chunk, and each row i of outputs in it, a matrix whose rows are the patches of its pairs."""
        top_bottom, (left, right) = padding
        x = np.ascontiguousarray(self.pad(x, (top_bottom, (left, right + across % 2 * stride[1])), 0))
        _, height, _, channels = x.shape
        run, pairs = (kernel[1] + stride[1]) * channels, (across + 1) // 2
        sample_bytes = (pairs * height * run + x[0].size + y[0].size) * x.itemsize
        for chunk in self.chunks(len(x), sample_bytes):
            sample, row, column, channel = x.strides
            strides = (sample, 2 * stride[1] * column, row, channel)
            overlapping = np.ndarray((len(x[chunk]), pairs, height, run), x.dtype, x[chunk], strides=strides)
            strips = overlapping.reshape(-1, height * run)
            for i in range(down):
                first = i * stride[0] * run
                yield chunk, i, strips[:, first : first + kernel[0] * run]

    def _even(self, grad_y: Array) -> Array:
        """Return the gradient of an even number of outputs across, with a zero for one more output if it was odd."""
        return self.pad(grad_y, ((0, 0), (0, grad_y.shape[2] % 2)), 0)


def _elementwise(kernel: Any, net: Array, temperature: float) -> Array:
    net = np.ascontiguousarray(net)
    y = np.empty_like(net)
    kernel(net.reshape(-1), net.dtype.type(temperature), y.reshape(-1))
    return y


def _finite(array: Array) -> bool:
    """Return whether the sum of squares is finite: if so, no number is NaN or infinite."""
    flat = array.reshape(-1)
    return math.isfinite(flat @ flat)


def _windows(shape: Sequence[int], window: Pair, stride: Pair, padding: Padding) -> Pair:
    """Return how many windows fit into images of this shape, down and across."""
    return output_size([n + sum(border) for n, border in zip(shape[1:3], padding, strict=True)], window, stride)


def _for_pairs(weight: Array, step: int) -> Array:
    """Return weights for two neighbouring outputs at a time, `step` pixels apart: (KH·(KW + step)·C, 2·F)."""
    down, across, channels, filters = weight.shape
    pairs = np.zeros((down, across + step, channels, 2, filters), weight.dtype)
    pairs[:, :across, :, 0] = weight
    pairs[:, step:, :, 1] = weight
    return pairs.reshape(-1, 2 * filters)
