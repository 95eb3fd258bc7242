"""A gradient is right if it lies between the slopes to both sides, a tolerance apart. At a kink they lie far apart."""

import numpy as np


def differences(function, point, step):
    """Return function(point + step e) - function(point) for every unit vector e."""
    here, found = function(point), np.empty(point.shape)
    for place in np.ndindex(point.shape):
        there = point.copy()
        there[place] += step
        found[place] = function(there) - here
    return found


def both_sides(layer, x, weight, cotangent, step):
    functions = (
        (lambda point: np.sum(cotangent * layer.forward(point, weight)), x),
        (lambda point: np.sum(cotangent * layer.forward(x, point)), weight),
    )
    return [(differences(f, p, step) / step, -differences(f, p, -step) / step) for f, p in functions]


def numeric_gradient(layer, x, weight, cotangent, step):
    forward, backward = zip(*both_sides(layer, x, weight, cotangent, step))
    return (forward[0] + backward[0]) / 2, (forward[1] + backward[1]) / 2


def verdict(layer, x, weight):
    shape = layer.forward(x, weight).shape
    cotangent = np.random.default_rng(len(x)).normal(size=shape)
    sides = both_sides(layer, x, weight, cotangent, 3e-6)
    for claimed, slopes in zip(layer.backward(x, weight, cotangent), sides):
        tolerance = 2e-3 * max(np.abs(claimed).max(), np.abs(slopes).max())
        low, high = np.minimum(*slopes) - tolerance, np.maximum(*slopes) + tolerance
        if np.any(claimed < low) or np.any(claimed > high):
            return "wrong"
    return "right"
