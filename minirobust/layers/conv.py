"""Two-dimensional convolution (strictly speaking a cross-correlation, as is usual in the field)."""

from __future__ import annotations

from minirobust.arguments import Argument
from minirobust.backend import Array
from minirobust.layers.initializers import Initializer, check_initializer
from minirobust.layers.layer import Layer, Parameter, Shape
from minirobust.layers.windows import place_windows
from minirobust.validation import Size, check_padding, positive_int, size


class Conv2D(Layer):
    """y[n, i, j, f] = b[f] + Σ_{u, v, c} x[n, i·s + u, j·s + v, c] · w[u, v, c, f].

    Every patch under the kernel becomes a row of a matrix (im2col), and the layer acts on these rows like a dense
    layer: see `NumpyBackend.conv2d`.  The other backends compute the same result in their own ways.

    Parameters
    ----------
    filters : int
        Number of output channels.
    kernel_size : int or (int, int)
        Height and width.
    stride : int or (int, int), default 1
    padding : "valid", "same", int or (int, int), default "valid"
        Border of zeros: none for "valid"; for "same", as many as give an output of size ceil(size / stride), with any
        extra pixel at the end, as in TensorFlow; or this many pixels on each side.
    initializer : str or callable, default "glorot_uniform"
        Initializer of the weight; the bias starts at zero.

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
        return self.backend.conv2d(x, self.weight.value, self.bias.value, *self.geometry)

    def input_gradient(self, grad_y: Array) -> Array:
        shape = (len(grad_y), *self.input_shape)
        return self.backend.conv2d_input_gradient(grad_y, self.weight.value, shape, *self.geometry)

    def parameter_gradients(self, grad_y: Array) -> None:
        self.backend.conv2d_parameter_gradients(self.x, grad_y, self.weight.grad, self.bias.grad, *self.geometry)
