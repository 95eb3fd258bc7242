"""The reference backend: every kernel as a plain array expression, the one to step through in a debugger.

The kernels are written against ``self.xp``, the array module (NumPy here), so that `CupyBackend` inherits each of them
and replaces only those for which a CUDA kernel pays.  What lives here is arithmetic without memory: who owns which
array is the layers' business.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy

Array = Any  # an array of whichever library the backend stands on
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
    chunk : int
        How many samples pass through a network at a time when there are more: bounds memory, changes roundings alone.
    piece_bytes : int
        How large the unrolled patches of one piece of a convolution may grow: about a core's cache.
    """

    name = "numpy"
    chunk = 125  # a small one's activations stay in the cache: 500 take a convolutional network 1.4 times as long
    piece_bytes = 1 << 20

    def __init__(self) -> None:
        self.xp: Any = numpy

    def __repr__(self) -> str:
        return f"<backend {self.name}: {self.describe()}>"

    def describe(self) -> str:
        """The library and the device in a few words."""
        return f"NumPy {numpy.__version__} on the CPU"

    # Moving arrays

    def owns(self, array: object) -> bool:
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
        if isinstance(array, numpy.ndarray | numpy.generic | list | tuple | int | float):
            return self.xp.asarray(numpy.asarray(array))
        kind = type(array)
        raise TypeError(
            f"expected a NumPy array or one of the backend {self.name!r}, got {kind.__module__}.{kind.__qualname__}: "
            "convert it first (to_numpy of its own backend, .numpy(), numpy.asarray)"
        )

    def to_numpy(self, array: Array) -> numpy.ndarray:
        """`array` as a NumPy array on the host (no copy if it is one)."""
        return numpy.asarray(array)

    # Random numbers

    def random(self, shape: Sequence[int], key: Sequence[int], dtype: Any) -> Array:
        """Uniform numbers in [0, 1), a function of `key` alone: the whole state of a stream is a counter in its key."""
        return numpy.random.default_rng(key).random(shape, dtype=dtype)

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
        """exp(z) / Σ exp(z) over the last axis, shifted by the maximum so that nothing overflows."""
        xp = self.xp
        p = xp.exp(logits - logits.max(axis=-1, keepdims=True))
        p /= p.sum(axis=-1, keepdims=True)
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

    # Patches of an image

    def pad(self, x: Array, padding: Padding, value: float) -> Array:
        """(N, H, W, C) with a border of `value`; `x` itself if there is no border."""
        (top, bottom), (left, right) = padding
        if not (top or bottom or left or right):
            return x
        samples, height, width, channels = x.shape
        padded = self.xp.full((samples, top + height + bottom, left + width + right, channels), value, dtype=x.dtype)
        padded[:, top : top + height, left : left + width] = x
        return padded

    def im2col(self, x: Array, kernel: Pair, stride: Pair, padding: Padding) -> Array:
        """Every patch under the kernel as a row: (N, H, W, C) → (N·OH·OW, KH·KW·C)."""
        x = self.pad(x, padding, 0)
        patches = self.xp.lib.stride_tricks.sliding_window_view(x, kernel, axis=(1, 2))
        patches = patches[:, :: stride[0], :: stride[1]]  # (N, OH, OW, C, KH, KW)
        return patches.transpose(0, 1, 2, 4, 5, 3).reshape(-1, kernel[0] * kernel[1] * x.shape[3])

    def col2im(self, columns: Array, shape: Sequence[int], kernel: Pair, stride: Pair, padding: Padding) -> Array:
        """The transpose of `im2col`: adds every row back to where its patch came from, into an image of `shape`."""
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
        """The maximum of every window, and where in its window it stood (row by row, from 0; the first of equals).

        The border is -inf, which never wins; a NaN always does, so that it cannot hide in a window.
        """
        xp = self.xp
        x = self.pad(x, padding, -math.inf)
        out = output_size(x.shape[1:3], window, stride)
        y = xp.full((len(x), *out, x.shape[3]), -math.inf, dtype=x.dtype)
        index = xp.zeros(y.shape, dtype="int32")
        for (i, j), (rows, cols) in window_positions(window, stride, out):
            candidate = x[:, rows, cols]
            # A later place has a greater number, so the last one that beat all before it stays.
            xp.maximum(index, (candidate > y) * index.dtype.type(i * window[1] + j), out=index)
            xp.maximum(y, candidate, out=y)
        return y, index

    def max_pool_gradient(
        self,
        grad_y: Array,
        index: Array,
        shape: Sequence[int],
        window: Pair,
        stride: Pair,
        padding: Padding,
    ) -> Array:
        """Sends each window's gradient to where its maximum stood, into an image of `shape`."""
        samples, height, width, channels = shape
        (top, bottom), (left, right) = padding
        grad_x = self.xp.zeros((samples, height + top + bottom, width + left + right, channels), dtype=grad_y.dtype)
        out = grad_y.shape[1:3]
        for (i, j), (rows, cols) in window_positions(window, stride, out):
            grad_x[:, rows, cols] += grad_y * (index == i * window[1] + j)
        return grad_x[:, top : top + height, left : left + width]

    # The optimizer's step

    def adam_step(
        self,
        value: Array,
        grad: Array,
        m: Array,
        v: Array,
        *,
        lr: float | Array,
        beta1: float,
        beta2: float,
        epsilon: float | Array,
        t: int,
    ) -> None:
        """Step `t` (from 1) of Adam, in place on `value`, `m` and `v`: Algorithm 1 of Kingma & Ba (2015).

            m ← β₁ m + (1 - β₁) g            m̂ = m / (1 - β₁ᵗ)
            v ← β₂ v + (1 - β₂) g²           v̂ = v / (1 - β₂ᵗ)
            θ ← θ - lr · m̂ / (√v̂ + ε)

        The arrays are long, so each pass over them counts: all goes through one scratch array.
        """
        xp = self.xp
        scratch = (1 - beta1) * grad
        m *= beta1
        m += scratch

        xp.multiply(grad, grad, out=scratch)
        scratch *= 1 - beta2
        v *= beta2
        v += scratch

        step = xp.sqrt(v, out=scratch)
        step *= 1 / math.sqrt(1 - beta2**t)
        step += epsilon
        step = xp.divide(m, step, out=step)
        step *= 1 / (1 - beta1**t)
        step *= lr
        value -= step


def output_size(size: Sequence[int], window: Pair, stride: Pair) -> Pair:
    """How many windows fit, down and across; what does not divide is dropped."""
    return (size[0] - window[0]) // stride[0] + 1, (size[1] - window[1]) // stride[1] + 1


def window_positions(window: Pair, stride: Pair, out: Pair) -> Iterator[tuple[Pair, tuple[slice, slice]]]:
    """For each place (i, j) inside the window, the rows and columns of the image that it visits."""
    for i in range(window[0]):
        rows = slice(i, i + stride[0] * (out[0] - 1) + 1, stride[0])
        for j in range(window[1]):
            yield (i, j), (rows, slice(j, j + stride[1] * (out[1] - 1) + 1, stride[1]))
