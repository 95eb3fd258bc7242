"""Lines below and above an activation on an interval.

A line of *any* slope α lies below f if its height is β = min (f(x) - α x) over the interval, because then
f(x) ≥ α x + β.  The minimum is at an end of the interval or where f'(x) = α, so computing β takes four evaluations of
f.  It does not matter how α was chosen, and rounding α cannot make the bound wrong.
"""

from __future__ import annotations

from minirobust.backend import Array
from minirobust.layers import Layer, ReLU, Tanh, TemperatureSigmoid

CURVES = (TemperatureSigmoid, Tanh, ReLU)
HALVINGS = 30


def touch(layer: Layer, alpha: Array, low: Array, high: Array, A: Array) -> tuple[Array, Array]:
    """Return the point x̂ in [low, high] where a line of slope α touches f, and the line's height β at 0.

    Parameters
    ----------
    layer : TemperatureSigmoid, Tanh or ReLU
    alpha, low, high : ndarray
        Arrays of the same shape.
    A : ndarray
        Where it is positive, the line lies below f; elsewhere, above.
    """
    xp = layer.xp
    sign = xp.where(A > 0, 1.0, -1.0)
    turn = turning_point(layer, alpha)
    point, height = low, layer.forward(low) - alpha * low
    for x in (high, xp.clip(turn, low, high), xp.clip(-turn, low, high)):
        value = layer.forward(x) - alpha * x
        closer = sign * value < sign * height
        point, height = xp.where(closer, x, point), xp.where(closer, value, height)
    return point, height


def turning_point(layer: Layer, alpha: Array) -> Array:
    """Return the x ≥ 0 with f'(x) = f'(-x) = α; where there is none, return any point, which does no harm.

    For the sigmoid, with e = exp(-x/T), e / (1 + e)² = α T =: a gives x = T ln((1 - 2a + √(1 - 4a)) / 2a).  And
    tanh(x) = 2 f(x) - 1 with T = 1/2.  ReLU turns at 0.
    """
    xp = layer.xp
    if isinstance(layer, ReLU):
        return xp.zeros_like(alpha)
    T, scale = (layer.temperature, 1) if isinstance(layer, TemperatureSigmoid) else (0.5, 2)
    a = xp.clip(alpha * (T / scale), 1e-300, 0.25)
    return T * xp.log((1 - 2 * a + xp.sqrt(1 - 4 * a)) / (2 * a))


def best_slope(layer: Layer, low: Array, high: Array, side: float) -> Array:
    """Return the slope of the line closest to f in the middle of the interval, below f (side = 1) or above (-1).

    The line's value at the middle m is α m + β, and its derivative with respect to α is m - x̂.  So bisect the range
    of slopes until x̂ reaches m, or jumps across it.  This choice also minimizes the area between f and the line.
    """
    xp, middle = layer.xp, (low + high) / 2
    least, greatest = slope_range(layer, low, high)
    sides = xp.full(low.shape, side)
    for _ in range(HALVINGS):
        alpha = (least + greatest) / 2
        point, _ = touch(layer, alpha, low, high, sides)
        steeper = side * (middle - point) > 0
        least, greatest = xp.where(steeper, alpha, least), xp.where(steeper, greatest, alpha)
    return (least + greatest) / 2


def slope_range(layer: Layer, low: Array, high: Array) -> tuple[Array, Array]:
    """Return the least and the greatest derivative of f on an interval."""
    xp = layer.xp
    if isinstance(layer, ReLU):
        return (low > 0).astype(low.dtype), (high > 0).astype(low.dtype)
    slopes = []
    for x in (xp.maximum(abs(low), abs(high)), xp.clip(xp.zeros_like(low), low, high)):  # farthest from 0, and nearest
        layer.forward(x)
        slopes.append(layer.input_gradient(xp.full(x.shape, 1.0)))
    return slopes[0], slopes[1]
