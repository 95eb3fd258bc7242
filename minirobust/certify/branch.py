"""`decide`: shrink the region in which an adversarial image can hide, split it, and repeat until it is empty.

An image that lowers a margin to 0 or below must lie where the linear bound g·x + c of that margin is at most 0: in a
corner of the box.  Within that corner, each activation's input varies less, the lines fit more closely, and the bound
rises (Kotha et al., 2023, *Provably Bounding Neural Network Preimages*).  When this makes no more progress, an
activation's interval is split in two (Bunel et al., 2020, *Branch and Bound for Piecewise Linear Neural Network
Verification*).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from minirobust.attacks import annealed, apgd, pgd
from minirobust.attacks.attack import Epsilon, part
from minirobust.backend import Array
from minirobust.certify.ascent import ascend
from minirobust.certify.backward import Bound, Line, Relaxation, Rows, backward
from minirobust.certify.boxes import ELEMENTARY, U64, Box, Twin, magnitude, output_box
from minirobust.certify.certificate import alpha_crown, checked_arguments, margins
from minirobust.certify.lines import best_slope
from minirobust.layers import ReLU
from minirobust.losses import Margin
from minirobust.network import Network
from minirobust.stack import Evaluation
from minirobust.validation import number

STEPS = 20  # steps of the ascent in every region
PROGRESS = 0.9  # a region is shrunk again if its intervals have shrunk to this share of their width
HALVINGS = 10  # bisection steps for the multiplier μ of the half-space
MULTIPLIER = 20  # the greatest μ, in units of the ratio of the largest weights
PLACES = (0.1, 0.3, 0.5, 0.7, 0.9)  # where the interval of a sigmoid or tanh may be split


@dataclass(frozen=True)
class Decision:
    """Which samples are proven robust, and which are proven not to be.

    Attributes
    ----------
    certified : ndarray of bool, shape (N,)
        See `Certificate`.
    fooled : ndarray of bool, shape (N,)
        Where the network misclassifies the image in `images`.
    images : ndarray
        Same shape as `x`: an adversarial image where one was found, else the last image tried.
    epsilon : float or ndarray
    """

    certified: Array
    fooled: Array
    images: Array
    epsilon: Epsilon

    @property
    def undecided(self) -> Array:
        """Where there is neither a proof nor an adversarial image."""
        return ~(self.certified | self.fooled)


def decide(network: Network, x: Array, y: Array, epsilon: Epsilon, *, seconds: float = 15.0) -> Decision:
    """Decide for each sample whether it is robust, by `alpha_crown`, by attacks, and then by a search.

    The search shrinks and splits the region that can contain an adversarial image, until it is empty or one is found.

    Parameters
    ----------
    network, x, y, epsilon
        See `alpha_crown`.
    seconds : float, default 15
        Time limit for the search on each sample.  A sample that takes longer remains undecided.

    Returns
    -------
    Decision

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong; the message says what was expected.
    """
    seconds = number("certify", "seconds", seconds, low=0)
    certificate = alpha_crown(network, x, y, epsilon)
    model, x, y, epsilon = checked_arguments(network, x, y, epsilon)
    images, fooled = attacked(network, x, y, epsilon)
    certified = certificate.certified & ~fooled
    with np.errstate(all="ignore"):
        for sample in np.flatnonzero(~model.backend.to_numpy(certified | fooled)):
            one = slice(int(sample), int(sample) + 1)
            search = Search(network, model, x[one], y[one], part(epsilon, one))
            certified[one] = search.run(perf_counter() + seconds)
            images[one], fooled[one] = search.image, search.fooled
    return Decision(certified, fooled, images, epsilon)


def attacked(network: Network, x: Array, y: Array, epsilon: Epsilon) -> tuple[Array, Array]:
    """Return the images of two strong attacks on the margin, and which of them fool the network."""
    smoothed = pgd(network, x, y, epsilon, loss=Margin(), gradients=annealed())
    targeted = apgd(network, x, y, epsilon, loss=Margin(), target="all")
    where = smoothed.fooled.reshape(-1, *[1] * (x.ndim - 1))
    return network.xp.where(where, smoothed.images, targeted.images), smoothed.fooled | targeted.fooled


class Search:
    """The search for a proof that one sample is robust, or for an image that shows that it is not.

    Attributes
    ----------
    image : ndarray of shape (1, *input_shape)
        The last corner at which a bound was attained.
    fooled : bool
        Whether the network misclassifies `image`.
    """

    def __init__(self, network: Network, twin: Twin, x: Array, y: Array, epsilon: Epsilon) -> None:
        self.model, self.x, self.y, self.epsilon = Evaluation(network), x, y, epsilon
        self.rows, self.relaxation = margins(twin, x, y, epsilon)
        self.image, self.fooled = x, False

    def run(self, until: float) -> bool:
        """Return whether every margin is proven positive before the time `until`."""
        relaxation, regions = self.relaxation, [self.rows[slice(row, row + 1)] for row in range(len(self.rows.A))]
        while regions:
            value, region = ascend(relaxation, regions.pop(), STEPS)
            if number_of(relaxation, value.max()) > 0:
                continue
            bound = backward(relaxation, region)
            self.attack(bound.g)
            if self.fooled or perf_counter() > until or not region.intervals:  # without activations, bounds are exact
                return False
            smaller = shrink(relaxation, region, bound)
            if is_empty(relaxation, smaller):
                continue
            if width(relaxation, smaller) < PROGRESS * width(relaxation, region):
                regions.append(smaller)
            else:
                regions += split(relaxation, smaller)
        return True

    def attack(self, g: Array) -> None:
        """Try the image in the corner where a bound is attained: if the bound is exact, it fools the network."""
        down = -g.astype(self.model.dtype)
        self.image = self.model.backend.sign_step(self.x, down, self.epsilon, *self.model.input_range)
        self.fooled = number_of(self.relaxation, (self.model.predict(self.image) != self.y).sum()) > 0


def width(relaxation: Relaxation, region: Rows) -> float:
    """Return the sum of the widths of all intervals."""
    return sum(number_of(relaxation, (high - low).sum()) for low, high in region.intervals.values())


def is_empty(relaxation: Relaxation, region: Rows) -> bool:
    """Return whether some activation has no possible input left."""
    return any(number_of(relaxation, (high - low).min()) < 0 for low, high in region.intervals.values())


def number_of(relaxation: Relaxation, value: Array) -> float:
    """Return a single number from any device as a Python float."""
    return float(relaxation.model.backend.to_numpy(value))


def shrink(relaxation: Relaxation, region: Rows, bound: Bound) -> Rows:
    """Return the part of a region in which its row can be 0 or less.

    The inputs of the first activation are affine in the pixels, so they can be bounded where g·x + c ≤ 0.  The
    intervals of the other activations follow, layer by layer.
    """
    xp, intervals = relaxation.xp, dict(region.intervals)
    first = min(intervals, default=0)
    box = intervals[first]
    if box[0].ndim == 2:  # images have too many units
        box = in_half_space(relaxation, bound, first)
    for layer in relaxation.model.layers[first:]:
        if layer.index in intervals:
            intervals[layer.index] = box = intersection(xp, intervals[layer.index], box)
        box = output_box(layer, box, relaxation.u)
    return with_best_slopes(relaxation, region, bound.lines, intervals)


def intersection(xp: Any, one: Box, other: Box) -> Box:
    """Return the intersection of two boxes; where it is empty, low is above high."""
    return xp.maximum(one[0], other[0]), xp.minimum(one[1], other[1])


def in_half_space(relaxation: Relaxation, bound: Bound, k: int) -> Box:
    """Return bounds of the inputs of layer `k`, the first activation, on the pixels with g·x + c ≤ 0.

    For every μ ≥ 0, w·x ≥ w·x + μ (g·x + c) there.  The right-hand side is t·x + μ c with t = w + μ g, and is least in
    a corner of the box: t·m - |t|·r + μ c, where m is the box's middle and r its radius.  The best μ is found by
    halving: if that corner has g·x + c > 0, then μ is too small.
    """
    xp, (pixels_low, pixels_high) = relaxation.xp, (side.reshape(-1) for side in relaxation.pixels)
    middle, radius = (pixels_low + pixels_high) / 2, (pixels_high - pixels_low) / 2
    largest = magnitude(xp, pixels_low, pixels_high)
    g, c = bound.g.reshape(-1), bound.c
    terms = 2 * (len(g) + ELEMENTARY) * U64
    best = []
    for w, w_0 in relaxation.first_inputs(k):
        low, high = xp.zeros(len(w)), MULTIPLIER * abs(w).max(axis=1) / xp.maximum(abs(g).max(), 1e-30)
        least = xp.full(len(w), -math.inf)
        for _ in range(HALVINGS):
            mu = (low + high) / 2
            t = w + mu[:, None] * g
            slack = terms * (abs(w) @ largest + mu * (abs(g) @ largest + abs(c)))
            value = t @ middle - abs(t) @ radius + w_0 + mu * c - slack
            least = xp.where(value > least, value, least)
            outside = g @ middle + c - xp.sign(t) @ (g * radius) > 0
            low, high = xp.where(outside, mu, low), xp.where(outside, high, mu)
        best.append(least.reshape(1, -1))
    return best[0], -best[1]


def with_best_slopes(
    relaxation: Relaxation, region: Rows, lines: Mapping[int, Line], intervals: Mapping[int, Box]
) -> Rows:
    """Return a region with new intervals, and with the lines that are best at their midpoints."""
    slopes = {}
    for k, line in lines.items():
        layer = relaxation.model.layers[k]
        below, above = (best_slope(layer, *intervals[k], side) for side in (1.0, -1.0))
        slopes[k] = relaxation.xp.where(line.A > 0, below, above)
    return Rows(region.A, region.image, dict(intervals), slopes)


def split(relaxation: Relaxation, region: Rows) -> list[Rows]:
    """Return the two halves of a region, split in the interval whose line is farthest from the activation.

    The distance is measured by how much it lowers the bound, A (f(x) - α x - β).  ReLU is split at 0.
    """
    best, halves = -math.inf, []
    for k, (A, alpha, _, beta) in backward(relaxation, region).lines.items():
        low, high = region.intervals[k]
        layer = relaxation.model.layers[k]
        for place in PLACES:
            x = relaxation.xp.clip(0 * low, low, high) if isinstance(layer, ReLU) else low + place * (high - low)
            loss = A * (layer.forward(x) - alpha * x - beta)
            most = number_of(relaxation, loss.max())
            if most > best:
                best, where = most, relaxation.xp.where
                unit = relaxation.xp.arange(loss.size).reshape(loss.shape) == loss.argmax()
                halves = [(k, (low, where(unit, x, high))), (k, (where(unit, x, low), high))]
    return [Rows(region.A, region.image, {**region.intervals, k: half}, region.slopes) for k, half in halves]
