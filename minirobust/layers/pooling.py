"""Pooling: one number for every window of an image, channel by channel."""

from __future__ import annotations

from minirobust.arguments import Argument
from minirobust.backend import Array
from minirobust.backend.numpy_backend import window_positions
from minirobust.layers.layer import Layer, Shape
from minirobust.layers.windows import place_windows
from minirobust.validation import Size, pair, size, size_or_none


class MaxPool2D(Layer):
    """The maximum of every window.

    Among equal values, the first, row by row, counts as the maximum and receives the whole gradient.  Rows and columns
    at the end that do not fill a window are dropped.

    Parameters
    ----------
    window : int or (int, int)
        Height and width.
    stride : int or (int, int), optional
        The window's size if not given.
    padding : int or (int, int), default 0
        Border of -inf, at most half a window, so that every window contains a pixel of the image.

    Attributes
    ----------
    geometry : tuple
        Window and stride as (down, across), padding as ((top, bottom), (left, right)).
    winner : ndarray of int, shape of the output
        The position of each maximum in its window, counted row by row.
    """

    saved = ("winner",)
    has_kinks = True
    window = Argument(size, fixed=True)
    stride = Argument(size_or_none, fixed=True)
    padding = Argument(size, fixed=True, least=0)

    def __init__(self, window: Size, stride: Size | None = None, padding: Size = 0) -> None:
        self.window = window
        self.stride = stride
        self.padding = padding
        if any(2 * p > w for p, w in zip(pair(padding), pair(window), strict=True)):
            raise ValueError(f"MaxPool2D: expected padding of at most half the window {window}, got {padding}")

    def build(self, input_shape: Shape) -> Shape:
        stride = self.stride or self.window
        self.geometry, out = place_windows(self, input_shape, self.window, stride, self.padding)
        return (*out, input_shape[2])

    def forward(self, x: Array) -> Array:
        y, self.winner = self.backend.max_pool(x, *self.geometry)
        return y

    def input_gradient(self, grad_y: Array) -> Array:
        shape = (len(grad_y), *self.input_shape)
        return self.backend.max_pool_gradient(grad_y, self.winner, shape, *self.geometry)


class AvgPool2D(Layer):
    """The mean of every window.  Rows and columns at the end that do not fill a window are dropped.

    Parameters
    ----------
    window : int or (int, int)
        Height and width.
    stride : int or (int, int), optional
        The window's size if not given.
    """

    window = Argument(size, fixed=True)
    stride = Argument(size_or_none, fixed=True)

    def __init__(self, window: Size, stride: Size | None = None) -> None:
        self.window = window
        self.stride = stride

    def build(self, input_shape: Shape) -> Shape:
        (window, stride, _), out = place_windows(self, input_shape, self.window, self.stride or self.window, 0)
        self._positions = [slices for _, slices in window_positions(window, stride, out)]
        return (*out, input_shape[2])

    def forward(self, x: Array) -> Array:
        total = self.xp.zeros((len(x), *self.output_shape), dtype=x.dtype)
        for rows, columns in self._positions:
            total += x[:, rows, columns]
        return total / len(self._positions)

    def input_gradient(self, grad_y: Array) -> Array:
        share = grad_y / len(self._positions)
        grad_x = self.xp.zeros((len(grad_y), *self.input_shape), dtype=grad_y.dtype)
        for rows, columns in self._positions:
            grad_x[:, rows, columns] += share
        return grad_x
