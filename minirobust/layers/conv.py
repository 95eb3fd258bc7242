"""The two-dimensional convolution (cross-correlation, as everywhere in the field)."""

from __future__ import annotations

import math
from collections.abc import Iterator

from minirobust.backend import Array
from minirobust.backend.numpy_backend import Padding, Pair, output_size
from minirobust.layers.initializers import Initializer
from minirobust.layers.layer import Layer, Parameter, Shape
from minirobust.validation import Size, pair, positive_int, size


class Conv2D(Layer):
    """y[n, i, j, f] = b[f] + Σ_{u, v, c} x[n, i·s + u, j·s + v, c] · w[u, v, c, f].

    Every patch under the kernel becomes a row of a matrix (im2col); then the layer is Dense on rows.  The matrix holds
    each pixel as often as the kernel visits it, so the batch goes through in pieces small enough for the cache, and
    the way back unrolls each piece again instead of keeping it.

    Parameters
    ----------
    filters : int
        Channels of the output.
    kernel_size : int or (int, int)
        Height and width.
    stride : int or (int, int), default 1
    padding : "valid", "same", int or (int, int), default "valid"
        A border of zeros: none, what makes the output ceil(size / stride) with any odd pixel at the end (as in
        TensorFlow), or that many pixels on each side.
    initializer : str or callable, default "glorot_uniform"
        Of the weight; the bias starts at zero.

    Attributes
    ----------
    weight : Parameter of shape (height, width, channels, filters)
    bias : Parameter of shape (filters,)
    geometry : tuple
        Kernel and stride as (down, across), padding as ((top, bottom), (left, right)).
    x : ndarray of shape (N, H, W, C)
        The last input.
    """

    weight: Parameter
    bias: Parameter

    def __init__(
        self,
        filters: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: str | Size = "valid",
        initializer: str | Initializer = "glorot_uniform",
    ) -> None:
        self.filters = positive_int("Conv2D", "filters", filters)
        self.kernel_size = size("Conv2D", "kernel_size", kernel_size)
        self.stride = size("Conv2D", "stride", stride)
        if isinstance(padding, str) and padding not in ("valid", "same"):
            raise ValueError(f"Conv2D: expected padding 'valid', 'same' or a whole number, got {padding!r}")
        self.padding = padding if isinstance(padding, str) else size("Conv2D", "padding", padding, least=0)
        self.initializer = initializer

    def build(self, input_shape: Shape) -> Shape:
        self.expect(len(input_shape) == 3, "images (height, width, channels)", input_shape)
        height, width, channels = input_shape
        kernel, stride = pair(self.kernel_size), pair(self.stride)
        padding = borders((height, width), kernel, stride, self.padding)
        padded = (height + sum(padding[0]), width + sum(padding[1]))
        self.expect(
            kernel[0] <= padded[0] and kernel[1] <= padded[1],
            f"images of at least {kernel}",
            input_shape,
        )
        self.add_parameter("weight", (*kernel, channels, self.filters), self.initializer)
        self.add_parameter("bias", (self.filters,), "zeros")
        self.geometry = kernel, stride, padding
        return (*output_size(padded, kernel, stride), self.filters)

    def forward(self, x: Array) -> Array:
        self.x = x
        y = self.xp.empty((len(x), *self.output_shape), dtype=x.dtype)
        weight = self.weight.value.reshape(-1, self.filters)
        for piece in self._pieces(len(x)):
            columns = self.backend.im2col(x[piece], *self.geometry)
            self.xp.matmul(columns, weight, out=y[piece].reshape(-1, self.filters))
        y += self.bias.value
        return y

    def input_gradient(self, grad_y: Array) -> Array:
        grad_x = self.xp.empty((len(grad_y), *self.input_shape), dtype=grad_y.dtype)
        weight = self.weight.value.reshape(-1, self.filters)
        for piece in self._pieces(len(grad_y)):
            columns = grad_y[piece].reshape(-1, self.filters) @ weight.T
            grad_x[piece] = self.backend.col2im(columns, grad_x[piece].shape, *self.geometry)
        return grad_x

    def parameter_gradients(self, grad_y: Array) -> None:
        grad_weight = self.weight.grad.reshape(-1, self.filters)
        grad_weight[...] = 0
        for piece in self._pieces(len(grad_y)):
            columns = self.backend.im2col(self.x[piece], *self.geometry)
            grad_weight += columns.T @ grad_y[piece].reshape(-1, self.filters)
        grad_y.sum(axis=(0, 1, 2), out=self.bias.grad)

    def _pieces(self, samples: int) -> Iterator[slice]:
        """Stretches of the batch whose patches fit the backend's `piece_bytes`."""
        patches = math.prod(self.output_shape[:2]) * math.prod(self.weight.value.shape[:3])
        step = max(1, self.backend.piece_bytes // (patches * self.weight.value.itemsize))
        for start in range(0, samples, step):
            yield slice(start, start + step)


def borders(image: Pair, kernel: Pair, stride: Pair, padding: str | Size) -> Padding:
    """The zeros (before, after) that `padding` asks for, down and across."""
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        down, across = (
            max(0, (math.ceil(n / s) - 1) * s + k - n) for n, k, s in zip(image, kernel, stride, strict=True)
        )
        return (down // 2, down - down // 2), (across // 2, across - across // 2)
    assert not isinstance(padding, str)
    down, across = pair(padding)
    return (down, down), (across, across)
