"""CUDA through CuPy: the kernels of `NumpyBackend`, with those replaced that a plain expression would make slow.

A small network's step is bound by the number of kernel launches, not by arithmetic.  So the chains of elementwise
operations (sigmoid, Adam) become one launch each, and what would be many (pooling, col2im, softmax cross entropy) is
written in CUDA C++, in ``kernels.cu``.  CuPy is imported when the backend is made, not before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from minirobust.backend.errors import BackendError
from minirobust.backend.numpy_backend import Array, NumpyBackend, Padding, Pair, output_size
from minirobust.backend.recording import Recording

if TYPE_CHECKING:
    from minirobust.network import Network

# name: (inputs, outputs, what happens to one element).  T is the network's float or double.
ELEMENTWISE = {
    "sigmoid": (
        "T net, T temperature",
        "T y",
        """
        T e = exp((net < 0 ? net : -net) / temperature);
        y = (net >= 0 ? T(1) : e) / (1 + e);
        """,
    ),
    "sigmoid_derivative": (
        "T net, T temperature",
        "T y",
        """
        T e = exp((net < 0 ? net : -net) / temperature);
        y = e / (temperature * (1 + e) * (1 + e));
        """,
    ),
    "sign_step": (
        "T x, T gradient, T step, T low, T high",
        "T stepped",
        """
        T moved = gradient > 0 ? x + step : (gradient < 0 ? x - step : x);
        stepped = moved < low ? low : (moved > high ? high : moved);
        """,
    ),
    # The corrections of Adam's steps: ten small kernels, if array expressions did it.
    "adam_rates": (
        "T lr, T epsilon, int64 t, float64 beta1, float64 beta2",
        "T rate, T corrected",
        """
        double root = sqrt(1 - pow(beta2, double(t)));
        rate = lr * T(root / (1 - pow(beta1, double(t))));
        corrected = epsilon * T(root);
        """,
    ),
    "adam_step": (
        "T grad, T rate, T beta1, T beta2, T epsilon, T scale",
        "T value, T m, T v",
        """
        T g = grad / scale;
        m = beta1 * m + (1 - beta1) * g;
        v = beta2 * v + (1 - beta2) * g * g;
        value -= rate * m / (sqrt(v) + epsilon);
        """,
    ),
}

KERNELS = ("softmax_cross_entropy", "im2col", "col2im", "conv2d", "max_pool", "max_pool_gradient")
THREADS = 256  # per block
SHARED_MEMORY = 48 << 10  # bytes that every device gives a block
ROWS, CHUNK = 4, 8  # of `conv2d` in kernels.cu
# Up to this many channels times filters, computing each product where its pixels lie is faster than writing the patches
# to memory and leaving the rest to cuBLAS (measured on an H200).
DIRECT = 1024


def kernel_source() -> str:
    """The CUDA C++ text of the kernels named in `KERNELS`."""
    from importlib import resources  # slow to import, and needed on a GPU only

    return resources.files("minirobust.backend").joinpath("kernels.cu").read_text(encoding="utf-8")


def conv2d_block(weight: Sequence[int], out: Sequence[int], itemsize: int) -> tuple[int, int, int] | None:
    """Return how many rows of outputs, threads and bytes of shared memory a block of `conv2d` in kernels.cu gets.

    None if unrolling is faster, or if not even ROWS rows fit.

    Parameters
    ----------
    weight : (int, int, int, int)
        Height and width of the kernel, channels, filters.
    out : (int, int)
        Rows and columns of the result.
    itemsize : int
        Bytes of a number.
    """
    height, width, channels, filters = weight
    threads = math.ceil(filters / 4) * out[1]  # for ROWS rows
    if channels * filters > DIRECT:
        return None
    for strips in range(min(THREADS // threads, math.ceil(out[0] / ROWS)), 0, -1):
        rows = strips * ROWS
        plane = math.ceil((rows + height - 1) * (out[1] + width - 1) / 32) * 32 + 4
        weights = height * width * 4 * math.ceil(filters / 4)
        memory = min(channels, CHUNK) * (plane + weights) * itemsize
        if memory <= SHARED_MEMORY:
            return rows, strips * threads, memory
    return None


class CupyBackend(NumpyBackend):
    """CUDA through CuPy, on CuPy's current device.

    Raises
    ------
    BackendError
        If CuPy is not installed or no CUDA device answers.
    """

    name = "cupy"
    # A GPU wants few large launches, and has the memory for them.
    chunk_bytes = 256 << 20
    loss_scale = 1.0  # subnormal numbers cost a GPU nothing

    def __init__(self) -> None:
        try:
            import cupy
        except ImportError:
            raise BackendError(
                "backend 'cupy': CuPy is not installed (pip install 'minirobust[cuda13]' or 'minirobust[cuda12]')"
            ) from None
        try:
            # That an import worked says nothing: let the device compute.
            if int(cupy.arange(4).sum()) != 6:
                raise RuntimeError("the device computed a wrong sum")
        except Exception as error:  # CuPy, the driver and the compiler each have errors of their own
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise BackendError(f"backend 'cupy': no CUDA device answers ({reason})") from None
        self.xp = cupy

    def describe(self) -> str:
        """Return the library and the device in a few words."""
        device = self.xp.cuda.runtime.getDeviceProperties(self.xp.cuda.Device().id)["name"]
        return f"CuPy {self.xp.__version__} on {device.decode()}"

    def smallest(self, dtype: Any) -> float:
        """Return the smallest number above 0: CuPy compiles every kernel so that float32 has no subnormal numbers."""
        limits = np.finfo(dtype)
        return float(limits.tiny if limits.bits == 32 else limits.smallest_subnormal)

    def to_numpy(self, array: Array) -> np.ndarray:
        """`array` as a NumPy array on the host: the one place where data leaves the device."""
        return array.get() if self.owns(array) else np.asarray(array)  # type: ignore[attr-defined]

    def random(self, shape: Sequence[int], key: Sequence[int], dtype: Any) -> Array:
        """Uniform numbers in [0, 1), drawn on the device, a function of `key` alone."""
        seed = int(np.random.SeedSequence(key).generate_state(1, "uint64")[0])
        generator = self.xp.random.Generator(self.xp.random.Philox4x3210(seed))
        return generator.random(tuple(shape), dtype=dtype)

    @cached_property
    def _elementwise(self) -> dict[str, Any]:
        return {
            name: self.xp.ElementwiseKernel(inputs, outputs, body, f"minirobust_{name}")
            for name, (inputs, outputs, body) in ELEMENTWISE.items()
        }

    @cached_property
    def _module(self) -> Any:
        names = [f"{name}<{kind}>" for name in KERNELS for kind in ("float", "double")]
        return self.xp.RawModule(code=kernel_source(), options=("-std=c++17",), name_expressions=names)

    def _kernel(self, name: str, dtype: Any) -> Any:
        """Return a kernel of ``kernels.cu`` for this dtype."""
        kind = {"f": "float", "d": "double"}[np.dtype(dtype).char]
        return self._module.get_function(f"{name}<{kind}>")

    def _launch(self, name: str, dtype: Any, size: int, *arguments: Any, blocks: int = 0) -> None:
        """Runs a kernel of ``kernels.cu`` with one thread for each of `size` elements, or with that many blocks."""
        blocks = blocks or max(1, math.ceil(size / THREADS))
        self._kernel(name, dtype)((blocks,), (THREADS,), (np.int64(size), *arguments))

    # The kernels: see `NumpyBackend` for what each of them computes.

    def sigmoid(self, net: Array, temperature: float) -> Array:
        """f(net) = 1 / (1 + exp(-net/T))."""
        return self._elementwise["sigmoid"](net, temperature)

    def sigmoid_derivative(self, net: Array, temperature: float) -> Array:
        """f'(net) = e / (T (1 + e)²) with e = exp(-|net|/T)."""
        return self._elementwise["sigmoid_derivative"](net, temperature)

    def softmax_cross_entropy(self, logits: Array, y: Array) -> tuple[Array, Array]:
        """Per-sample loss (N,) and its gradient with respect to the logits (N, K)."""
        xp = self.xp
        logits, y = (
            xp.ascontiguousarray(logits),
            xp.ascontiguousarray(y.astype("int64", copy=False)),
        )
        samples, classes = logits.shape
        loss, gradient = xp.empty(samples, dtype=logits.dtype), xp.empty_like(logits)
        self._launch(
            "softmax_cross_entropy",
            logits.dtype,
            samples,
            *(np.int32(classes), logits, y, loss, gradient),
        )
        return loss, gradient

    def conv2d(self, x: Array, weight: Array, bias: Array, kernel: Pair, stride: Pair, padding: Padding) -> Array:
        """Return what `NumpyBackend.conv2d` does, without unrolling x where that is faster."""
        (top, bottom), (left, right) = padding
        out = output_size((x.shape[1] + top + bottom, x.shape[2] + left + right), kernel, stride)
        if stride != (1, 1) or (block := conv2d_block(weight.shape, out, x.itemsize)) is None:
            return super().conv2d(x, weight, bias, kernel, stride, padding)
        return self._conv2d(x, weight, bias, (top, left), out, block)

    def conv2d_input_gradient(
        self, grad_y: Array, weight: Array, shape: Sequence[int], kernel: Pair, stride: Pair, padding: Padding
    ) -> Array:
        """Return ∂L/∂x, of `shape`, without unrolling where that is faster.

        With stride 1 it is a convolution too: of the gradient, with the kernel turned by 180° and its filters and
        channels exchanged.
        """
        (top, _), (left, _) = padding
        turned = weight[::-1, ::-1].transpose(0, 1, 3, 2)
        if stride != (1, 1) or (block := conv2d_block(turned.shape, shape[1:3], grad_y.itemsize)) is None:
            return super().conv2d_input_gradient(grad_y, weight, shape, kernel, stride, padding)
        no_bias = self.xp.zeros(shape[3], dtype=grad_y.dtype)
        return self._conv2d(grad_y, turned, no_bias, (kernel[0] - 1 - top, kernel[1] - 1 - left), shape[1:3], block)

    def _conv2d(
        self, x: Array, weight: Array, bias: Array, start: Pair, out: Sequence[int], block: tuple[int, int, int]
    ) -> Array:
        """Launches `conv2d` of kernels.cu."""
        rows, threads, memory = block
        y = self.xp.empty((len(x), *out, weight.shape[3]), dtype=x.dtype)
        geometry = map(np.int32, (rows, *x.shape[1:], *y.shape[1:], *weight.shape[:2], *start))
        arrays = self.xp.ascontiguousarray(x), self.xp.ascontiguousarray(weight), bias, y
        blocks = len(x) * math.ceil(out[0] / rows)
        if blocks:  # CUDA refuses an empty grid
            self._kernel("conv2d", x.dtype)((blocks,), (threads,), (*geometry, *arrays), shared_mem=memory)
        return y

    def im2col(self, x: Array, kernel: Pair, stride: Pair, padding: Padding) -> Array:
        """Return every patch under the kernel as a row."""
        (top, bottom), (left, right) = padding
        samples, height, width, channels = x.shape
        out = output_size((height + top + bottom, width + left + right), kernel, stride)
        columns = self.xp.empty((samples * out[0] * out[1], kernel[0] * kernel[1] * channels), dtype=x.dtype)
        geometry = map(np.int32, (*x.shape[1:], *out, *kernel, *stride, top, left))
        lines = samples * out[0]
        self._launch("im2col", x.dtype, lines, *geometry, self.xp.ascontiguousarray(x), columns, blocks=lines)
        return columns

    def col2im(self, columns: Array, shape: Sequence[int], kernel: Pair, stride: Pair, padding: Padding) -> Array:
        """The transpose of `im2col`."""
        (top, bottom), (left, right) = padding
        padded = (shape[1] + top + bottom, shape[2] + left + right)
        out = output_size(padded, kernel, stride)
        x = self.xp.empty(tuple(shape), dtype=columns.dtype)
        geometry = map(np.int32, (*shape[1:], *out, *kernel, *stride, top, left))
        columns = self.xp.ascontiguousarray(columns)
        self._launch("col2im", x.dtype, x.size, *geometry, columns, x)
        return x

    def max_pool(self, x: Array, window: Pair, stride: Pair, padding: Padding) -> tuple[Array, Array]:
        """The maximum of every window, and its position there."""
        (top, bottom), (left, right) = padding
        padded = (x.shape[1] + top + bottom, x.shape[2] + left + right)
        out = output_size(padded, window, stride)
        y = self.xp.empty((len(x), *out, x.shape[3]), dtype=x.dtype)
        winner = self.xp.empty(y.shape, dtype="int32")
        geometry = map(np.int32, (*x.shape[1:], *out, *window, *stride, top, left))
        border = x.dtype.type(-math.inf)
        x = self.xp.ascontiguousarray(x)
        self._launch("max_pool", x.dtype, y.size, *geometry, border, x, y, winner)
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
        grad_x = self.xp.empty(tuple(shape), dtype=grad_y.dtype)
        geometry = map(np.int32, (*shape[1:], *grad_y.shape[1:3], *window, *stride, top, left))
        grad_y = self.xp.ascontiguousarray(grad_y)
        self._launch("max_pool_gradient", grad_x.dtype, grad_x.size, *geometry, grad_y, winner, grad_x)
        return grad_x

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
        return self._elementwise["sign_step"](x, gradient, size, low, high, *(() if out is None else (out,)))

    def unscaled(self, gradient: Array, scale: float, out: Array | None = None) -> tuple[Array, bool]:
        """Return gradient / scale, in `out` if given, and whether the gradient was finite, or the scale is 1."""
        return (gradient, True) if scale == 1 and out is None else super().unscaled(gradient, scale, out)

    def adam_rates(self, lr: Array, epsilon: Array, t: Array, beta1: float, beta2: float) -> tuple[Array, Array]:
        """Return what `minirobust.optimizers.adam_rates` does, in one launch."""
        return self._elementwise["adam_rates"](lr, epsilon, t, beta1, beta2)

    def adam_step(
        self, arrays: Sequence[Array], rate: Array, epsilon: Array, beta1: float, beta2: float, scale: float
    ) -> None:
        """Update θ, m and v of (θ, g, m, v) in place as `minirobust.optimizers.adam_step` does, in one launch."""
        value, grad, m, v = arrays
        self._elementwise["adam_step"](grad, rate, beta1, beta2, epsilon, scale, value, m, v)

    def record(self, network: Network, step: Callable[[], None]) -> Recording:
        """Return a training step that is recorded and replayed: see `Recording`."""
        return Recording(self, network, step)
