"""Which pixels matter most to first order: scores, headroom, and the best of either."""

from __future__ import annotations

import numpy as np

from minirobust import backend
from minirobust.attacks.pixel.change import pixels_and_channels
from minirobust.backend import Array, Backend


def scores(gradient: Array) -> Array:
    """Return the mean over channels of |∂L/∂x| for each pixel, and overwrite `gradient`.

    (M, H, W, C) → (M, H·W); flat ones stay flat.
    """
    pixels, channels = pixels_and_channels(gradient.shape[1:])
    size = backend.of(gradient).xp.abs(gradient, out=gradient).reshape(len(gradient), pixels, channels)
    return size.mean(axis=2) if channels > 1 else size[:, :, 0]  # of one number the mean would be a slow copy


def headroom(gradient: Array, x: Array, input_range: tuple[float, float]) -> Array:
    """Return how much each pixel can raise the loss to first order: (M, *input_shape) → (M, H·W).

    That is the sum over channels of max(g (high - x), g (low - x)) with g = ∂L/∂x.
    """
    xp, (low, high) = backend.of(x).xp, input_range
    gain = xp.maximum(gradient * (high - x), gradient * (low - x))
    return gain.reshape(len(x), *pixels_and_channels(x.shape[1:])).sum(axis=2)


def ranking(backend: Backend, score: Array, count: int) -> np.ndarray:
    """Return the `count` pixels of largest score in each row, best first, of equal ones the first; overwrite `score`.

    The result, (M, count), is on the host.
    """
    best = np.empty((len(score), count), dtype="int64")
    samples = backend.xp.arange(len(score))
    for place in range(count):
        # Of equal scores, argmax takes the first, as a stable sort would, but it does not sort all of them.
        leader = score.argmax(axis=1)
        best[:, place] = backend.to_numpy(leader)
        score[samples, leader] = -1
    return best
