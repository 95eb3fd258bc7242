"""The two-dimensional convolution (cross-correlation, as everywhere in the field)."""

from __future__ import annotations

import math
from collections.abc import Iterator

from minirobust.arguments import Argument
from minirobust.backend import Array
from minirobust.layers.initializers import Initializer, check_initializer
from minirobust.layers.layer import Layer, Parameter, Shape
from minirobust.layers.windows import place_windows
from minirobust.validation import Size, check_padding, positive_int, size


class Conv2D(Layer):
    """y[n, i, j, f] = b[f] + Σ_{u, v, c} x[n, i·s + u, j·s + v, c] · w[u, v, c, f].

    Every patch under the kernel becomes a row of a matrix (im2col), and the layer is Dense on these rows.  The matrix
    holds each pixel as often as the kernel visits it, so the batch is processed in pieces small enough for the cache,
    and the backward pass unrolls each piece again instead of keeping it.

    Parameters
    ----------
    filters : int
        Channels of the output.
    kernel_size : int or (int, int)
        Height and width.
    stride : int or (int, int), default 1
    padding : "valid", "same", int or (int, int), default "valid"
        A border of zeros: none; as much as makes the output ceil(size / stride), with an odd pixel at the end (as in
        TensorFlow); or this many pixels on each side.
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

    saved = ("x",)
    filters = Argument(positive_int, fixed=True)
    kernel_size = Argument(size, fixed=True)
    stride = Argument(size, fixed=True)
    padding = Argument(check_padding, fixed=True)
    initializer = Argument(check_initializer, fixed=True)

    def __init__(
        self,
        filters: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: str | Size = "valid",
        initializer: str | Initializer = "glorot_uniform",
    ) -> None:
        self.filters = filters
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.initializer = initializer

    def build(self, input_shape: Shape) -> Shape:
        self.geometry, out = place_windows(self, input_shape, self.kernel_size, self.stride, self.padding)
        self.weight = Parameter((*self.geometry[0], input_shape[2], self.filters), self.initializer)
        self.bias = Parameter((self.filters,), "zeros")
        return (*out, self.filters)

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
        self.xp.add.reduce(grad_y, axis=(0, 1, 2), out=self.bias.grad)

    def _pieces(self, samples: int) -> Iterator[slice]:
        """Yield slices of the batch whose patches fit the backend's `piece_bytes`."""
        patches = math.prod(self.output_shape[:2]) * math.prod(self.weight.value.shape[:3])
        step = max(1, self.backend.piece_bytes // (patches * self.weight.value.itemsize))
        for start in range(0, samples, step):
            yield slice(start, start + step)
