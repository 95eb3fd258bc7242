"""The logistic sigmoid with a temperature, the layer at the centre of the study."""

from __future__ import annotations

from minirobust.arguments import Argument
from minirobust.backend import Array
from minirobust.layers.layer import Layer
from minirobust.validation import number


class TemperatureSigmoid(Layer):
    """y = 1 / (1 + exp(-net/T)): a threshold as T → 0, nearly linear for large T.

    Its derivative is e / (T (1 + e)²) with e = exp(-|net|/T), in that symmetric form (see
    `NumpyBackend.sigmoid_derivative` for why not y (1 - y) / T).  The factor 1/T is easily forgotten: at T = 1 its
    absence goes unnoticed.

    Parameters
    ----------
    temperature : float
        T > 0.

    Attributes
    ----------
    net : ndarray
        The last input.
    """

    saved = ("net",)
    is_activation = True
    temperature = Argument(number, low=0)

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature

    def forward(self, x: Array) -> Array:
        self.net = x
        return self.backend.sigmoid(x, self.temperature)

    def input_gradient(self, grad_y: Array) -> Array:
        return grad_y * self.backend.sigmoid_derivative(self.net, self.temperature)

    def smoothed_gradient(self, grad_y: Array, amount: float) -> Array:
        """Return the gradient with the derivative at a higher temperature: T, and 64 T for an `amount` of 1."""
        return grad_y * self.backend.sigmoid_derivative(self.net, self.temperature * 64**amount)
