"""Interval bound propagation: a box that contains every possible output of each layer (Gowal et al., 2018).

A box is a pair of arrays, (low, high), in float64.  Every bound is loosened by more than the rounding error.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minirobust.attacks.attack import Epsilon
from minirobust.backend import Array
from minirobust.layers import (
    AvgPool2D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPool2D,
    ReLU,
    Softmax,
    Tanh,
    TemperatureSigmoid,
)
from minirobust.network import Network
from minirobust.stack import Evaluation

Box = tuple[Array, Array]
Slack = Array | float

U64 = 2.0**-53  # the unit roundoff of float64
ELEMENTARY = 16  # a generous error limit for a computed sigmoid, tanh or softmax, in units of roundoff


class Twin(Evaluation):
    """A copy of a network in float64, with `u`, the unit roundoff of the original.

    Raises
    ------
    TypeError
        If a layer has no interval bounds.
    """

    def __init__(self, network: Network) -> None:
        super().__init__(network.to(network.backend, "float64"))
        self.u = float(np.finfo(network.dtype).eps) / 2
        for layer in self.layers:
            if not hasattr(layer, "interval_bounds") and type(layer) not in RULES:
                raise TypeError(
                    f"{layer}: expected a layer with interval bounds, got none: give it a method "
                    "interval_bounds(low, high) that returns the least and the greatest output"
                )


def boxes(model: Twin, x: Array, epsilon: Epsilon) -> list[Box]:
    """Return the box of every layer's input, followed by the box of the logits."""
    found = [pixel_box(model, x, epsilon)]
    for layer in model.layers:
        found.append(output_box(layer, found[-1], model.u))
    return found


def pixel_box(model: Twin, x: Array, epsilon: Epsilon) -> Box:
    """Return a box of all pixels within ε of `x` and in the input range, before and after rounding to the dtype."""
    x = x.astype("float64")
    epsilon = epsilon if isinstance(epsilon, float) else epsilon.astype("float64")
    rounding = 2 * model.u * (abs(x) + epsilon)
    low, high = (model.xp.clip(x + side * epsilon, *model.input_range) for side in (-1, 1))
    return low - rounding, high + rounding


def output_box(layer: Layer, box: Box, u: float) -> Box:
    """Return the box of a layer's output, using the layer's own `interval_bounds` if it has that method."""
    own = getattr(layer, "interval_bounds", None)
    if own is not None:
        return own(*box)
    low, high = RULES[type(layer)](layer, *box)
    slack = slack_of(layer, box, u)
    return low - slack, high + slack


def magnitude(xp: Any, low: Array, high: Array) -> Array:
    """Return the largest |x| in a box."""
    return xp.maximum(abs(low), abs(high))


# One rule for each kind of layer


def weighted(layer: Any, low: Array, high: Array) -> Box:
    """Bound y = W⁺ x + W⁻ x + b: the least output takes the least x where W > 0, and the greatest where W < 0."""
    W, b, xp = layer.weight.value, layer.bias.value, layer.xp
    positive, negative = xp.maximum(W, 0), xp.minimum(W, 0)
    return (
        product(layer, low, positive) + product(layer, high, negative) + b,
        product(layer, high, positive) + product(layer, low, negative) + b,
    )


def product(layer: Any, x: Array, W: Array) -> Array:
    """Return the output of a `Dense` or `Conv2D` layer with weights `W` and no bias."""
    if isinstance(layer, Dense):
        return x @ W
    return layer.backend.conv2d(x, W, 0 * layer.bias.value, *layer.geometry)


def monotone(layer: Layer, low: Array, high: Array) -> Box:
    """Return the outputs at both ends, which are bounds because no output falls when an input rises."""
    return layer.forward(low), layer.forward(high)


def softmax(layer: Layer, low: Array, high: Array) -> Box:
    """Bound y_i = 1 / (1 + Σ_{j≠i} exp(x_j - x_i)), which is least where x_i is least and the other x_j greatest."""
    xp, features = layer.xp, layer.xp.arange(low.shape[1])
    others = features[:, None] != features

    def share(x_i: Array, x_j: Array) -> Array:
        return 1 / (1 + xp.where(others, xp.exp(x_j[:, None, :] - x_i[:, :, None]), 0).sum(axis=2))

    return share(low, high), share(high, low)


RULES: dict[type[Layer], Callable[[Any, Array, Array], Box]] = {
    Dense: weighted,
    Conv2D: weighted,
    Softmax: softmax,
    **dict.fromkeys((TemperatureSigmoid, Tanh, ReLU, MaxPool2D, AvgPool2D, Flatten, Dropout), monotone),
}


def slack_of(layer: Any, box: Box, u: float) -> Slack:
    """Return how far rounding can take a layer's output, and the bounds computed for it, from the exact formula.

    The error of a sum of n products is at most n u Σ |W||x| to first order, whatever the order of summation (Higham,
    2002, section 3.1).  The sum is computed twice: by the network, and for the bound, which may use the transposed sum.
    """
    largest = magnitude(layer.xp, *box)
    if isinstance(layer, Dense | Conv2D):
        W = layer.weight.value
        n = W.size // W.shape[-1] + W.size // W.shape[-2] + 4  # forward, transposed, and a few more operations
        return 2 * n * u * (product(layer, largest, abs(W)) + abs(layer.bias.value))
    if isinstance(layer, AvgPool2D):
        return 2 * (len(layer._positions) + 4) * u * layer.forward(largest)
    if isinstance(layer, Softmax):
        return 2 * (math.prod(layer.output_shape) + ELEMENTARY) * u
    return ELEMENTARY * u if isinstance(layer, TemperatureSigmoid | Tanh) else 0.0
