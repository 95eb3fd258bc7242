"""The logistic sigmoid with a temperature, the layer at the centre of the study."""

from __future__ import annotations

from typing import Any

from minirobust.arguments import Argument
from minirobust.backend import Array
from minirobust.layers.layer import Layer
from minirobust.validation import number

# Between these temperatures T, 1/(4 T) and 256 T are normal numbers in float32: so are f' at 0 and the terms of f' at
# 64 T, where attacks begin. Beyond them f' loses digits or is exactly zero, which looks like robustness.
LOWEST, HIGHEST = 2.0**-126, 2.0**119


def check_temperature(owner: str, name: str, value: Any) -> float:
    """Return a temperature at which float32 can compute the function and its derivative."""
    value = number(owner, name, value, low=0)
    if not LOWEST <= value < HIGHEST:
        raise ValueError(f"{owner}: expected {name} from 2**-126 to below 2**119, as float32 requires, got {value!r}")
    return float(value) if value > 2**53 else value  # NumPy refuses larger whole numbers


class TemperatureSigmoid(Layer):
    """y = 1 / (1 + exp(-net/T)): a threshold as T → 0, nearly linear for large T.

    Its derivative is e / (T (1 + e)²) with e = exp(-|net|/T), in that symmetric form (see
    `NumpyBackend.sigmoid_derivative` for why not y (1 - y) / T).  The factor 1/T is easily forgotten: at T = 1 its
    absence goes unnoticed.

    Parameters
    ----------
    temperature : float
        T > 0, from 2⁻¹²⁶ to below 2¹¹⁹: the range in which float32 loses no digit of f'.

    Attributes
    ----------
    net : ndarray
        The last input.
    """

    saved = ("net",)
    is_activation = True
    temperature = Argument(check_temperature)

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
