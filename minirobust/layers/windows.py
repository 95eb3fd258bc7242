"""The geometry of windows on an image, which convolution and pooling share."""

from __future__ import annotations

import math

from minirobust.backend.numpy_backend import Padding, Pair, output_size
from minirobust.layers.layer import Layer, Shape
from minirobust.validation import Size, pair

Geometry = tuple[Pair, Pair, Padding]


def place_windows(
    layer: Layer, input_shape: Shape, window: Size, stride: Size, padding: str | Size
) -> tuple[Geometry, Pair]:
    """Return the geometry of a layer's windows, and the number of windows down and across.

    The geometry is the window and the stride as (down, across), and the border as ((top, bottom), (left, right)).

    Raises
    ------
    ValueError
        If the inputs are not images, or are smaller than the window.
    """
    layer.expect(len(input_shape) == 3, "images (height, width, channels)", input_shape)
    height, width, _ = input_shape
    window, stride = pair(window), pair(stride)
    border = borders((height, width), window, stride, padding)
    padded = (height + sum(border[0]), width + sum(border[1]))
    layer.expect(window[0] <= padded[0] and window[1] <= padded[1], f"images of at least {window}", input_shape)
    return (window, stride, border), output_size(padded, window, stride)


def borders(image: Pair, kernel: Pair, stride: Pair, padding: str | Size) -> Padding:
    """Return the widths (before, after) of the border of zeros for `padding`, down and across."""
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
