"""The layer between images and fully connected layers."""

from __future__ import annotations

import math

from minirobust.backend import Array
from minirobust.layers.layer import Layer, Shape


class Flatten(Layer):
    """Reshape each sample to one axis: (N, H, W, C) → (N, H·W·C)."""

    def build(self, input_shape: Shape) -> Shape:
        return (math.prod(input_shape),)

    def forward(self, x: Array) -> Array:
        return x.reshape(len(x), *self.output_shape)

    def input_gradient(self, grad_y: Array) -> Array:
        return grad_y.reshape(len(grad_y), *self.input_shape)
