"""Activations without a temperature, for comparison."""

from __future__ import annotations

from minirobust.backend import Array
from minirobust.layers.layer import Layer

WIDTH = 8  # the scale of x on which a smoothed derivative changes, at an `amount` of 1


class ReLU(Layer):
    """y = max(x, 0); the gradient at 0 is taken as 0.

    Attributes
    ----------
    x : ndarray
        The last input.
    """

    saved = ("x",)
    is_activation = True
    has_kinks = True

    def forward(self, x: Array) -> Array:
        self.x = x
        return self.xp.maximum(x, 0)

    def input_gradient(self, grad_y: Array) -> Array:
        return grad_y * (self.x > 0)

    def smoothed_gradient(self, grad_y: Array, amount: float) -> Array:
        """Return the gradient with a sigmoid of x/s in place of the step, where s = 8 · amount."""
        return grad_y * self.backend.sigmoid(self.x, WIDTH * amount) if amount > 0 else self.input_gradient(grad_y)


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
        return self.smoothed_gradient(grad_y, 0)

    def smoothed_gradient(self, grad_y: Array, amount: float) -> Array:
        """Return the gradient with the derivative of tanh at x/s, where s = 8^amount."""
        # 1 - tanh(x)² rounds to 0 in the tails; this is 1 / cosh(x)² in a form that cannot overflow.
        e = self.xp.exp(-2 / WIDTH**amount * self.xp.abs(self.x))
        return grad_y * (4 * e / (1 + e) ** 2)
