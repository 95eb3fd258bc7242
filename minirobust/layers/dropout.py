"""Dropout, the one built-in layer that behaves differently in training."""

from __future__ import annotations

from minirobust.arguments import Argument
from minirobust.backend import Array
from minirobust.layers.layer import Layer
from minirobust.validation import number


class Dropout(Layer):
    """Set each input to zero with probability `rate` in training (Srivastava et al., 2014).

    The other inputs are scaled by 1 / (1 - rate), which preserves the expected value. Outside training, y = x.

    Parameters
    ----------
    rate : float
        In [0, 1).

    Attributes
    ----------
    scale : ndarray or None
        The factors of the last input: 0 or 1 / (1 - rate); None outside training.
    """

    saved = ("scale",)
    rate = Argument(number, low=0, high=1, include_low=True)

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def forward(self, x: Array) -> Array:
        self.scale = None
        if not self.training:
            return x
        self.scale = (self.random(x.shape) >= self.rate).astype(x.dtype) / (1 - self.rate)
        return x * self.scale

    def input_gradient(self, grad_y: Array) -> Array:
        return grad_y if self.scale is None else grad_y * self.scale
