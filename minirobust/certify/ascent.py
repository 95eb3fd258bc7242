"""α-CROWN: choose the slopes of all lines by gradient ascent on the bound (Xu et al., 2021)."""

from __future__ import annotations

import math

import numpy as np

from minirobust.backend import Array
from minirobust.certify.backward import Relaxation, Rows, backward, slope_gradients

RATE, LAST = 0.2, 0.03  # Adam's step size, in units of the chord's slope, and the fraction of it at the end
MOMENTUM, SQUARES = 0.9, 0.99  # Adam's β₁ and β₂
TINY = 1e-300


def ascend(relaxation: Relaxation, rows: Rows, steps: int) -> tuple[Array, Rows]:
    """Return the best bound of each row over `steps` steps of Adam, and the rows with their last slopes.

    A row is done at the first step that proves it positive.
    """
    xp, best = relaxation.xp, relaxation.xp.full(len(rows.A), -math.inf)
    lines = backward(relaxation, rows).lines
    slopes = {k: line.slope + 0 for k, line in lines.items()}
    rates = {k: chord(relaxation, k, rows) for k in lines}
    m, v = ({k: xp.zeros_like(slope) for k, slope in slopes.items()} for _ in range(2))
    standing = xp.arange(len(best))
    for t in range(1, steps + 1):
        now = Rows(rows.A, rows.image, rows.intervals, slopes)[standing]
        bound = backward(relaxation, now)
        best[standing] = xp.maximum(best[standing], bound.value)
        left = np.flatnonzero(~(relaxation.model.backend.to_numpy(bound.value) > 0))
        if t == steps or not len(left):
            break
        for k, g in slope_gradients(relaxation.model.layers, bound.corner, bound.lines).items():
            m[k][standing] = MOMENTUM * m[k][standing] + (1 - MOMENTUM) * g
            v[k][standing] = SQUARES * v[k][standing] + (1 - SQUARES) * g * g
            direction = m[k][standing] / (1 - MOMENTUM**t) / (xp.sqrt(v[k][standing] / (1 - SQUARES**t)) + TINY)
            slopes[k][standing] = slopes[k][standing] + RATE * LAST ** (t / steps) * rates[k][standing] * direction
        standing = standing[relaxation.model.backend.asarray(left)]
    return best, Rows(rows.A, rows.image, rows.intervals, slopes)


def chord(relaxation: Relaxation, k: int, rows: Rows) -> Array:
    """Return the slope of the chord of activation `k` on the interval of each row and unit."""
    layer, (low, high) = relaxation.model.layers[k], rows.intervals[k]
    return (layer.forward(high) - layer.forward(low)) / (high - low + TINY)
