"""`Search`: which candidates fooled so far, and the `PixelAttack` that comes of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from minirobust import backend
from minirobust.attacks.attack import Attack, without_logits
from minirobust.attacks.pixel.change import PixelChange, Writing, pixels_and_channels
from minirobust.backend import Array
from minirobust.model import Model, most_likely
from minirobust.validation import positive_int

# For each of a chunk's M images, B candidates on n pixels: which pixels (M, B, n), and the values written (B, n, C).
Candidates = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, kw_only=True, repr=False)
class PixelAttack(Attack):
    """An `Attack` that wrote a few pixels, and which ones.

    `epsilon` is the width of the input range.  Every array is on the network's backend.

    Attributes
    ----------
    count : ndarray of int, shape (N,)
        On how many pixels the candidate that fooled stands.  0 where none fooled and where the network was wrong
        beforehand: there the image returned is the one attacked.
    pixels : ndarray of int, shape (N, n)
        Those pixels, counted row by row (``divmod(pixel, width)`` is its row and column), best first, or in the
        order in which `greedy_pixel` wrote them; -1 beyond `count`.
    values : ndarray of float, shape (N, n, C)
        What was written there, possibly what an earlier pixel held already; NaN beyond `count`.
    fooled_at : ndarray of bool, shape (n, N)
        Success with 1, 2, ..., n pixels: it never falls.  An image that was wrong beforehand counts in every row, and
        the last row is `fooled`.
    """

    count: Array
    pixels: Array
    values: Array
    fooled_at: Array

    def __repr__(self) -> str:
        fooled = backend.of(self.fooled_at).to_numpy(self.fooled_at).sum(axis=1)
        text = f"PixelAttack on {len(self.images)} images, fooled with 1 to {len(fooled)} pixels: {fooled.tolist()}"
        return f"<{text}{without_logits(self.predictions)}>"


class Search:
    """What was found so far: the images on the model's backend, all else on the host."""

    def __init__(self, model: Model, x: Array, y: Array, pixels: int) -> None:
        channels = pixels_and_channels(model.input_shape)[1]
        self.model, self.x, self.y = model, x, y
        self.labels = model.backend.to_numpy(y)
        self.images = x.copy()
        self.clean = np.empty(len(x), dtype="int64")
        self.predictions = np.empty(len(x), dtype="int64")
        self.count = np.zeros(len(x), dtype="int64")
        self.pixels = np.full((len(x), pixels), -1, dtype="int64")
        self.values = np.full((len(x), pixels, channels), np.nan, dtype=model.dtype)

    def begin(self, chunk: slice, logits: Array) -> np.ndarray:
        """Note the predictions for the chunk's images before the attack; return which of them are right."""
        backend = self.model.backend
        self.clean[chunk] = self.predictions[chunk] = backend.to_numpy(most_likely(backend, logits))
        return np.flatnonzero(self.clean[chunk] == self.labels[chunk])

    def run(self, chunk: slice, change: PixelChange, standing: np.ndarray, candidates: Iterable[Candidates]) -> None:
        """Keep the first candidate of each image that fools, until either run out."""
        labels = self.labels[chunk]
        for pixels, values in candidates:
            tried, start = standing, np.zeros(len(standing), dtype="int64")
            while len(tried):  # once or, if the shortcut is wrong, more often
                first = change.first_to_fool(tried, pixels[tried], values, labels, start)
                hit = first < len(values)
                tried, first = tried[hit], first[hit]
                fooled = self.keep(chunk, change, Writing(tried, pixels[tried, first], values[first]))
                tried, start = tried[~fooled], first[~fooled] + 1
            standing = standing[self.count[chunk][standing] == 0]
            if not len(standing):
                return

    def keep(self, chunk: slice, change: PixelChange, found: Writing) -> np.ndarray:
        """Keep those copies that fool; return which do.

        The shortcut rounds in another order than a full forward pass, which decides.
        """
        asarray, images = self.model.backend.asarray, change.written(found)
        predictions = self.model.backend.to_numpy(self.model.predict(images))
        fooled = predictions != self.labels[chunk.start + found.images]
        which = np.flatnonzero(fooled)
        samples, n = chunk.start + found.images[which], found.pixels.shape[1]
        self.images[asarray(samples)] = images[asarray(which)]
        self.predictions[samples] = predictions[which]
        self.count[samples] = n
        self.pixels[samples, :n] = found.pixels[which]
        self.values[samples, :n] = found.values[which]
        return fooled

    def result(self) -> PixelAttack:
        asarray = self.model.backend.asarray
        low, high = self.model.input_range
        wrong = self.clean != self.labels
        numbers = np.arange(1, self.pixels.shape[1] + 1)
        predictions = asarray(self.predictions)
        return PixelAttack(
            images=self.images,
            predictions=predictions,
            fooled=predictions != self.y,
            clean_correct=asarray(~wrong),
            epsilon=high - low,
            count=asarray(self.count),
            pixels=asarray(self.pixels),
            values=asarray(self.values),
            fooled_at=asarray(wrong | ((self.count > 0) & (self.count <= numbers[:, None]))),
            queries=self.model.effort.queries,
            gradients=self.model.effort.gradients,
            seconds=perf_counter() - self.model.effort.began,
        )


def check_pixels(owner: str, pixels: int, model: Model) -> int:
    there = pixels_and_channels(model.input_shape)[0]
    if positive_int(owner, "pixels", pixels) > there:
        raise ValueError(f"{owner}: expected pixels from 1 to {there}, as many as an image has, got {pixels}")
    return int(pixels)
