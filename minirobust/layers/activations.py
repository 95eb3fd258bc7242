"""Activations without a temperature, for comparison."""

from __future__ import annotations

from minirobust.backend import Array
from minirobust.layers.layer import Layer


class ReLU(Layer):
    """y = max(x, 0); the gradient at 0 is taken as 0.

    Attributes
    ----------
    positive : ndarray of bool
        Where the last input was above 0.
    """

    saved = ("positive",)
    is_activation = True

    def forward(self, x: Array) -> Array:
        self.positive = x > 0
        return self.xp.maximum(x, 0)

    def input_gradient(self, grad_y: Array) -> Array:
        return grad_y * self.positive


class Tanh(Layer):
    """y = tanh(x).

    Attributes
    ----------
    x : ndarray
        The last input.
    """

    saved = ("x",)
    is_activation = True

    def forward(self, x: Array) -> Array:
        self.x = x
        return self.xp.tanh(x)

    def input_gradient(self, grad_y: Array) -> Array:
        # 1 - tanh(x)² rounds to 0 in the tails; this is 1 / cosh(x)² in a form that cannot overflow.
        e = self.xp.exp(-2 * self.xp.abs(self.x))
        return grad_y * (4 * e / (1 + e) ** 2)
