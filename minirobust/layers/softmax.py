"""Softmax as a layer, for networks that must end in probabilities.

Training and attacks need logits: `SoftmaxCrossEntropy` contains the softmax, and is exact where this layer is not.
"""

from __future__ import annotations

from minirobust.backend import Array
from minirobust.layers.layer import Layer, Shape


class Softmax(Layer):
    """y_i = exp(x_i) / Σ_j exp(x_j) over the features.

    Its Jacobian is diag(y) - y yᵀ, so ∂L/∂x = y (g - Σ_j g_j y_j) for g = ∂L/∂y: the matrix is never formed.

    Attributes
    ----------
    y : ndarray of shape (N, features)
        The last output.
    """

    saved = ("y",)
    gives_probabilities = True

    def build(self, input_shape: Shape) -> Shape:
        self.expect(len(input_shape) == 1, "a flat input (features,): put Flatten() before it", input_shape)
        return input_shape

    def forward(self, x: Array) -> Array:
        self.y = self.backend.softmax(x)
        return self.y

    def input_gradient(self, grad_y: Array) -> Array:
        return self.y * (grad_y - self.xp.add.reduce(grad_y * self.y, axis=1, keepdims=True))
