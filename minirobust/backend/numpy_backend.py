"""The reference backend: every kernel as a plain array expression, the one to step through in a debugger.

The kernels are written against ``self.xp``, the array module (NumPy here), so that `CupyBackend` inherits each of them
and replaces only those for which a CUDA kernel pays.  What lives here is arithmetic without memory: who owns which
array is the layers' business.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]  # CuPy's arrays, which have no type of their own, count as NumPy's
Pair = tuple[int, int]
Padding = tuple[Pair, Pair]  # (top, bottom), (left, right)


class NumpyBackend:
    """NumPy on the CPU.

    Attributes
    ----------
    name : str
        The name under which `minirobust.backend.get` knows the backend.
    xp : module
        The array module: its functions and operators are all that layers use besides the kernels below.
    chunk_bytes : int
        How much memory the activations of the samples that pass through a network together may take.  Also the limit of
        a convolution's unrolled patches.  It bounds memory, and changes nothing but rounding.
    loss_scale : float
        A power of two by which a loss gradient is multiplied on its way back, and the result divided: exact, unless the
        products are subnormal, as most of them are at low temperatures in float32.  A CPU is many times slower on
        subnormal numbers; where that is not so, the scale is 1.
    adam_rates, adam_step : callable or None
        Kernels for these functions of `minirobust.optimizers`, with the same arguments; None where they themselves run.
    record : callable or None
        ``record(network, step)`` returns a `minirobust.backend.recording.Recording` of a training step, which replays
        it without running its Python; None where nothing is gained by that.
    logits_after, first_to_succeed : callable or None
        Kernels for the methods of these names of `minirobust.attacks.pixel.change.PixelChange` on the study's MLP; None
        where the layers themselves run.
    """

    name = "numpy"
    chunk_bytes = 3 << 20  # about a core's cache
    loss_scale = 2.0**40
    adam_rates: Any = None
    adam_step: Any = None
    record: Any = None
    logits_after: Any = None
    first_to_succeed: Any = None

    def __init__(self) -> None:
        self.xp: Any = np

    def __repr__(self) -> str:
        # Everything on which the last bits of a result depend: a study stores it.
        return f"<backend {self.name}: {self.describe()}, {self.chunk_bytes / 2**20:g} MiB a chunk>"

    def smallest(self, dtype: Any) -> float:
        """Return the smallest number above 0 in `dtype`: what is smaller becomes 0 here."""
        return float(np.finfo(dtype).smallest_subnormal)

    def describe(self) -> str:
        """Return the library and the device in a few words."""
        return f"NumPy {np.__version__} on the CPU"

    def chunks(self, rows: int, row_bytes: int) -> Iterator[slice]:
        """Yield slices of `rows` that fit `chunk_bytes`, if one row takes `row_bytes`; at least one row each."""
        step = max(1, self.chunk_bytes // row_bytes)
        for start in range(0, rows, step):
            yield slice(start, min(start + step, rows))

    # Moving arrays

    def owns(self, array: object) -> TypeGuard[Array]:
        """Whether `array` is one of this backend's own arrays."""
        return isinstance(array, self.xp.ndarray)

    def asarray(self, array: object) -> Array:
        """`array` on this backend: itself if it is there already, else a copy.

        Raises
        ------
        TypeError
            If `array` belongs to a library other than NumPy or this backend's.
        """
        if self.owns(array):
            return array
        if isinstance(array, np.ndarray | np.generic | list | tuple | int | float):
            return self.xp.asarray(np.asarray(array))
        kind = type(array)
        raise TypeError(
            f"expected a NumPy array or one of the backend {self.name!r}, got {kind.__module__}.{kind.__qualname__}: "
            "convert it first (to_numpy of its own backend, .numpy(), numpy.asarray)"
        )

    def to_numpy(self, array: Array) -> np.ndarray:
        """`array` as a NumPy array on the host (no copy if it is one)."""
        return np.asarray(array)

    # Random numbers

    def random(self, shape: Sequence[int], key: Sequence[int], dtype: Any) -> Array:
        """Uniform numbers in [0, 1), a function of `key` alone: the whole state of a stream is a counter in its key."""
        return np.random.default_rng(key).random(shape, dtype=dtype)

    # The temperature sigmoid

    def sigmoid(self, net: Array, temperature: float) -> Array:
        """f(net) = 1 / (1 + exp(-net/T)), from exp(-|net|/T), which cannot overflow."""
        xp = self.xp
        e = xp.exp(xp.abs(net) / -temperature)
        # Above the fraction stands 1 where net ≥ 0 and e elsewhere; a second exp is several times as fast as a choice.
        return xp.exp(xp.minimum(net, 0) / temperature) / (1 + e)

    def sigmoid_derivative(self, net: Array, temperature: float) -> Array:
        """f'(net) = e / (T (1 + e)²) with e = exp(-|net|/T).

        Symmetric, as the function is.  The textbook's f (1 - f) / T is exactly 0 in float32 from net/T = 16.64 upwards,
        where f has rounded to 1: a false zero, which an attack would mistake for robustness.
        """
        xp = self.xp
        e = xp.exp(xp.abs(net) / -temperature)
        return e / (temperature * (1 + e) ** 2)

    # Softmax and cross entropy

    def softmax(self, logits: Array) -> Array:
        """Return exp(z) / Σ exp(z) for every row of (N, K), shifted by its maximum so that nothing overflows."""
        xp = self.xp
        largest = logits[xp.arange(len(logits)), logits.argmax(axis=1)]
        p = xp.exp(logits - largest[:, None])
        p /= xp.add.reduce(p, axis=1, keepdims=True)
        return p

    def softmax_cross_entropy(self, logits: Array, y: Array) -> tuple[Array, Array]:
        """Per-sample loss and its gradient with respect to the logits.

        Parameters
        ----------
        logits : ndarray of shape (N, K)
        y : ndarray of int, shape (N,)

        Returns
        -------
        loss : ndarray of shape (N,)
            log Σ exp(z_j) - z_y.
        gradient : ndarray of shape (N, K)
            p_j for j ≠ y, and -Σ_{j≠y} p_j for y.  The shorter p_y - 1 rounds to 0 once the sample is confident.
        """
        xp = self.xp
        samples = xp.arange(len(logits))
        z = logits - logits.max(axis=1, keepdims=True)
        z_y = z[samples, y]
        e = xp.exp(z)
        e_y = e[samples, y]
        e[samples, y] = 0
        others = e.sum(axis=1)
        # The largest exp(z) is 1.  Where it is the label's, log1p keeps a loss that log(1 + others) would round to 0.
        loss = xp.log1p(others + (e_y - 1)) - z_y
        e[samples, y] = -others
        e /= (others + e_y)[:, None]
        return loss, e

    # Convolution: every patch under the kernel becomes a row of a matrix (im2col), and the layer is dense on these rows

    def conv2d(self, x: Array, weight: Array, bias: Array, kernel: Pair, stride: Pair, padding: Padding) -> Array:
        """Return y[n, i, j, f] = b[f] + Σ_{u, v, c} x[n, i·s + u, j·s + v, c] · w[u, v, c, f], with a border around x.

        The matrix of patches holds each pixel as often as the kernel visits it, so the samples are processed in chunks
        small enough for the cache, and the backward pass unrolls each chunk again instead of keeping it.
        """
        filters = weight.shape[3]
        (top, bottom), (left, right) = padding
        padded = (x.shape[1] + top + bottom, x.shape[2] + left + right)
        y = self.xp.empty((len(x), *output_size(padded, kernel, stride), filters), dtype=x.dtype)
        for chunk in self._conv_chunks(y, weight):
            columns = self.im2col(x[chunk], kernel, stride, padding)
            self.xp.matmul(columns, weight.reshape(-1, filters), out=y[chunk].reshape(-1, filters))
        y += bias
        return y

    def conv2d_input_gradient(
        self, grad_y: Array, weight: Array, shape: Sequence[int], kernel: Pair, stride: Pair, padding: Padding
    ) -> Array:
        """Return ∂L/∂x, of `shape`: the gradient of every patch, added back to where the patch came from."""
        filters = weight.shape[3]
        grad_x = self.xp.empty(shape, dtype=grad_y.dtype)
        for chunk in self._conv_chunks(grad_y, weight):
            columns = self.xp.matmul(grad_y[chunk].reshape(-1, filters), weight.reshape(-1, filters).T)
            grad_x[chunk] = self.col2im(columns, grad_x[chunk].shape, kernel, stride, padding)
        return grad_x

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
        filters = grad_weight.shape[3]
        grad_weight[...] = 0
        for chunk in self._conv_chunks(grad_y, grad_weight):
            columns = self.im2col(x[chunk], kernel, stride, padding)
            change = self.xp.matmul(columns.T, grad_y[chunk].reshape(-1, filters))
            grad_weight += change.reshape(grad_weight.shape)
        self.xp.add.reduce(grad_y, axis=(0, 1, 2), out=grad_bias)

    def _conv_chunks(self, y: Array, weight: Array) -> Iterator[slice]:
        """Yield slices of the batch whose unrolled patches fit `chunk_bytes`."""
        return self.chunks(len(y), math.prod(y.shape[1:3]) * math.prod(weight.shape[:3]) * y.itemsize)

    # A step of an attack

    def sign_step(
        self,
        x: Array,
        gradient: Array,
        size: Array | float,
        low: Array | float,
        high: Array | float,
        out: Array | None = None,
    ) -> Array:
        """Return clip(x + size · sign(gradient), low, high), in `out` if given.

        With sign(0) = sign(NaN) = 0, so that no NaN enters an image.
        """
        sign = (gradient > 0).astype(x.dtype) - (gradient < 0).astype(x.dtype)
        return self.xp.clip(x + size * sign, low, high, out=out)

    # The scale of the loss

    def unscaled(self, gradient: Array, scale: float, out: Array | None = None) -> tuple[Array, bool]:
        """Return gradient / scale, in `out` if given, and whether the gradient was finite.

        A scale of 1 can make nothing overflow, so the gradient then counts as finite."""
        flat = gradient.reshape(-1)
        finite = scale == 1 or math.isfinite(self.to_numpy(flat @ flat))
        return self.xp.multiply(gradient, 1 / scale, out=out), finite

    # Patches of an image

    def pad(self, x: Array, padding: Padding, value: float) -> Array:
        """(N, H, W, C) with a border of `value`; `x` itself if there is no border."""
        (top, bottom), (left, right) = padding
        if not (top or bottom or left or right):
            return x
        samples, height, width, channels = x.shape
        padded = self.xp.empty((samples, top + height + bottom, left + width + right, channels), dtype=x.dtype)
        padded[...] = value
        padded[:, top : top + height, left : left + width] = x
        return padded

    def im2col(self, x: Array, kernel: Pair, stride: Pair, padding: Padding) -> Array:
        """Return every patch under the kernel as a row: (N, H, W, C) → (N·OH·OW, KH·KW·C)."""
        x = self.xp.ascontiguousarray(self.pad(x, padding, 0))
        samples, height, width, channels = x.shape
        out = output_size((height, width), kernel, stride)
        # A view of x in which patches overlap: one step down inside a patch is one step down in the image.
        sample, down, across, channel = x.strides
        strides = (sample, down * stride[0], across * stride[1], down, across, channel)
        patches = np.ndarray((samples, *out, *kernel, channels), x.dtype, buffer=x, strides=strides)
        return patches.reshape(-1, kernel[0] * kernel[1] * channels)

    def col2im(self, columns: Array, shape: Sequence[int], kernel: Pair, stride: Pair, padding: Padding) -> Array:
        """Add every row back to the place its patch came from, in an image of `shape`: the transpose of `im2col`."""
        samples, height, width, channels = shape
        (top, bottom), (left, right) = padding
        padded = (height + top + bottom, width + left + right)
        out = output_size(padded, kernel, stride)
        columns = columns.reshape(samples, *out, *kernel, channels)
        x = self.xp.zeros((samples, *padded, channels), dtype=columns.dtype)
        for (i, j), (rows, cols) in window_positions(kernel, stride, out):
            x[:, rows, cols] += self.xp.ascontiguousarray(columns[:, :, :, i, j])
        return x[:, top : top + height, left : left + width]

    # Pooling

    def max_pool(self, x: Array, window: Pair, stride: Pair, padding: Padding) -> tuple[Array, Array]:
        """Return the maximum of every window and its position there (row by row, from 0; the first of equals).

        The border is -inf, which never wins.  NaN always wins, so that it cannot hide in a window.
        """
        xp = self.xp
        x = self.pad(x, padding, -math.inf)
        out = output_size(x.shape[1:3], window, stride)
        y = xp.empty((len(x), *out, x.shape[3]), dtype=x.dtype)
        y[...] = -math.inf
        winner = xp.zeros(y.shape, dtype="int32")
        for (i, j), (rows, cols) in window_positions(window, stride, out):
            candidate = x[:, rows, cols]
            # Later positions have larger numbers, so the maximum is the last position that beat all before it.
            xp.maximum(winner, (candidate > y) * winner.dtype.type(i * window[1] + j), out=winner)
            xp.maximum(y, candidate, out=y)
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
        """Return an image of `shape` with each window's gradient at the position of its maximum."""
        samples, height, width, channels = shape
        (top, bottom), (left, right) = padding
        grad_x = self.xp.zeros((samples, height + top + bottom, width + left + right, channels), dtype=grad_y.dtype)
        out = grad_y.shape[1:3]
        for (i, j), (rows, cols) in window_positions(window, stride, out):
            grad_x[:, rows, cols] += grad_y * (winner == i * window[1] + j)
        return grad_x[:, top : top + height, left : left + width]


def output_size(size: Sequence[int], window: Pair, stride: Pair) -> Pair:
    """How many windows fit, down and across; what does not divide is dropped."""
    return (size[0] - window[0]) // stride[0] + 1, (size[1] - window[1]) // stride[1] + 1


def window_positions(window: Pair, stride: Pair, out: Pair) -> Iterator[tuple[Pair, tuple[slice, slice]]]:
    """For each place (i, j) inside the window, the rows and columns of the image that it visits."""
    for i in range(window[0]):
        rows = slice(i, i + stride[0] * (out[0] - 1) + 1, stride[0])
        for j in range(window[1]):
            yield (i, j), (rows, slice(j, j + stride[1] * (out[1] - 1) + 1, stride[1]))
