"""CROWN: a linear bound passed backward through the layers (Zhang et al., 2018), and its gradient, a forward pass.

A *row* is one linear function A·y of a layer's outputs, to be bounded from below on the box of one image.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from minirobust.attacks.attack import Epsilon
from minirobust.backend import Array
from minirobust.certify.boxes import ELEMENTARY, U64, Box, Slack, Twin, magnitude, output_box, pixel_box, slack_of
from minirobust.certify.lines import CURVES, best_slope, touch
from minirobust.layers import AvgPool2D, Conv2D, Dense, Dropout, Flatten, Layer

AFFINE = (Dense, Conv2D, AvgPool2D, Flatten, Dropout)


@dataclass
class Rows:
    """Linear functions of a layer's outputs, each with its own intervals and lines.

    Attributes
    ----------
    A : ndarray of shape (R, *output_shape)
    image : ndarray of int, shape (R,)
        The image on whose box the row is bounded.
    intervals : dict of int to Box
        For each activation, by its layer: the inputs for which the row's bound holds, two arrays (R, *input_shape).
    slopes : dict of int to ndarray
        For each activation, by its layer: the slopes of the lines.  Without them, `backward` uses `best_slope`.
    """

    A: Array
    image: Array
    intervals: dict[int, Box]
    slopes: dict[int, Array] = field(default_factory=dict)

    def __getitem__(self, which: Array | slice) -> Rows:
        intervals = {k: (low[which], high[which]) for k, (low, high) in self.intervals.items()}
        return Rows(self.A[which], self.image[which], intervals, {k: a[which] for k, a in self.slopes.items()})


class Line(NamedTuple):
    """The lines that replace an activation: one for each row and unit."""

    A: Array  # the row's coefficient of the activation's output
    slope: Array
    point: Array  # where the line touches
    height: Array  # at 0


class Bound(NamedTuple):
    """The linear function g·x + c of the pixels that lies below each row, and its least value on the box."""

    value: Array
    g: Array
    c: Array
    corner: Array  # the pixels at which the least value is attained
    lines: dict[int, Line]


class Relaxation:
    """A network on the boxes of some images, with intervals and lines for every activation.

    The intervals are those of the boxes.  After the first activation, CROWN's intervals are used where they are
    narrower, except for activations of images (after a convolution), which have too many units.

    Parameters
    ----------
    model : Twin
        All its layers are listed in `AFFINE` or `CURVES`.
    x : ndarray of shape (n, *input_shape)
    epsilon : float or ndarray
    """

    def __init__(self, model: Twin, x: Array, epsilon: Epsilon) -> None:
        self.model, self.xp, self.u = model, model.xp, model.u
        self.pixels = box = pixel_box(model, x, epsilon)
        self.slacks: dict[int, Slack] = {}
        self.intervals: dict[int, Box] = {}
        self.slopes: dict[int, tuple[Array, Array]] = {}  # below and above each activation
        self._first_inputs: list[tuple[Array, Array]] = []
        for k, layer in enumerate(model.layers):
            if isinstance(layer, CURVES):
                if self.intervals and len(layer.input_shape) == 1:
                    box = self._narrowed(box, k)
                self.intervals[k] = box
                self.slopes[k] = best_slope(layer, *box, 1.0), best_slope(layer, *box, -1.0)
            self.slacks[k] = slack_of(layer, box, self.u)
            box = output_box(layer, box, self.u)

    def rows(self, A: Array, image: Array) -> Rows:
        """Return rows that are bounded on the whole box."""
        return Rows(A, image, {k: (low[image], high[image]) for k, (low, high) in self.intervals.items()})

    def first_inputs(self, k: int) -> list[tuple[Array, Array]]:
        """Return w and w_0 with y_j ≥ w_j·x + w_0j, and those of -y_j, for every input y_j of the first activation."""
        if not self._first_inputs:
            units = self.xp.arange(self.model.layers[k].input_shape[0])
            one = (units[:, None] == units).astype("float64")
            for A in (one, -one):
                bound = backward(self, Rows(A, 0 * units, {}), k)
                self._first_inputs.append((bound.g.reshape(len(units), -1), bound.c))
        return self._first_inputs

    def _narrowed(self, box: Box, stop: int) -> Box:
        """Return the box of the input of layer `stop`, narrowed by the bounds of rows y_j and -y_j for every unit j."""
        xp, (low, high) = self.xp, (side.copy() for side in box)
        samples, units = low.shape
        image = xp.arange(samples)
        for j in range(units):
            e_j = xp.zeros((samples, units))
            e_j[:, j] = 1
            least, minus_greatest = (backward(self, self.rows(A, image), stop).value for A in (e_j, -e_j))
            low[:, j], high[:, j] = xp.maximum(low[:, j], least), xp.minimum(high[:, j], -minus_greatest)
        return low, high


def backward(relaxation: Relaxation, rows: Rows, stop: int | None = None) -> Bound:
    """Return a lower bound of each row of the output of the layers before `stop`.

    Through an affine layer, A·(W x + b) = (A W)·x + A·b, and A W is what the layer's backward pass computes from A.
    Through an activation, A·f(x) ≥ A·(α x + β), with a line below f where A > 0 and one above f where A < 0.
    """
    xp, u, A, image = relaxation.xp, relaxation.u, rows.A, rows.image
    c, lines = xp.zeros(len(A)), {}
    for layer in reversed(relaxation.model.layers[:stop]):
        k = layer.index
        if isinstance(layer, CURVES):
            low, high = rows.intervals[k]
            below, above = relaxation.slopes[k]
            alpha = rows.slopes[k] if k in rows.slopes else xp.where(A > 0, below[image], above[image])
            point, beta = touch(layer, alpha, low, high, A)
            terms = math.prod(layer.output_shape) + ELEMENTARY
            slack = ELEMENTARY * u + terms * U64 * (abs(beta) + abs(alpha) * magnitude(xp, low, high))
            c = c + total(A * beta) - total(abs(A) * slack)
            lines[k] = Line(A, alpha, point, beta)
            A = A * alpha
        else:
            b = layer.forward(xp.zeros((1, *layer.input_shape)))
            slack = relaxation.slacks[k]
            c = c + total(A * b) - total(abs(A) * (slack if isinstance(slack, float) else slack[image]))
            A = layer.input_gradient(A)
    low, high = (side[image] for side in relaxation.pixels)
    corner = xp.where(A > 0, low, high)
    c = c - (math.prod(A.shape[1:]) + ELEMENTARY) * U64 * total(abs(A) * magnitude(xp, low, high))
    return Bound(total(A * corner) + c, A, c, corner, lines)


def slope_gradients(layers: tuple[Layer, ...], corner: Array, lines: Mapping[int, Line]) -> dict[int, Array]:
    """Return the derivative of each row's bound with respect to the slopes of its lines.

    At any layer, the derivative with respect to A is the corner, propagated forward through the lines.
    Since ∂β/∂α = -x̂ (the line turns around the point where it touches f), ∂bound/∂α = A (x - x̂).
    """
    x, gradients = corner, {}
    for layer in layers:
        if layer.index in lines:
            A, alpha, point, beta = lines[layer.index]
            gradients[layer.index] = A * (x - point)
            x = alpha * x + beta
        else:
            x = layer.forward(x)
    return gradients


def total(rows: Array) -> Array:
    """Return the sum of all elements of each row."""
    return rows.reshape(len(rows), -1).sum(axis=1)
