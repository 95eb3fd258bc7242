"""Pixel attacks: a few pixels, each driven to an end of its range (section 3.3 of the study).

`pixel` tries the pixels whose gradient is largest, `brute_force_pixel` every one.  How the network's answer to a few
written pixels is found without a full forward pass is in `pixel_change`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

import numpy as np

from minirobust import backend
from minirobust.attacks.attack import Attack, in_chunks, under_attack, without_logits
from minirobust.attacks.pixel_change import PixelChange, Writing, pixels_and_channels
from minirobust.backend import Array, Backend
from minirobust.losses import Loss
from minirobust.network import Network
from minirobust.stack import Evaluation, most_likely
from minirobust.validation import positive_int

BATCH = 64  # candidates per image that are tried before images already fooled leave: bounds memory, changes no result

# For each of a chunk's M images, B candidates on n pixels: which pixels (M, B, n), and the values written (B, n, C).
Candidates = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, kw_only=True, repr=False)
class PixelAttack(Attack):
    """An `Attack` that wrote a few pixels, and which ones.

    `epsilon` is the width of the input range.  Every array is on the network's backend.

    Attributes
    ----------
    count : ndarray of int, shape (N,)
        On how many of the best pixels the candidate that fooled stands.  0 where none fooled and where the network was
        wrong beforehand: there the image returned is the one attacked.
    pixels : ndarray of int, shape (N, n)
        Those pixels, counted row by row (``divmod(pixel, width)`` is its row and column), best first; -1 beyond
        `count`.
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


def pixel(
    network: Network,
    x: Array,
    y: Array,
    pixels: int = 3,
    *,
    loss: Loss | None = None,
    progress: bool = False,
) -> PixelAttack:
    """Write the ends of the input range into the pixels of largest gradient, in every combination, until one fools.

    A pixel's score is the mean over its channels of |∂L/∂x|, and among equal scores the first pixel in the image leads.
    Candidates are tried on the best pixel, then on the best two, and so on; for each number of pixels in counting
    order, the low end for 0 and the high end for 1, the best pixel's first channel in front.  The first that fools is
    returned.  A candidate whose last pixel keeps its own value was tried before, on fewer pixels, and is skipped.

    Parameters
    ----------
    network : Network
        Ends in logits.
    x : ndarray of float, shape (N, *input_shape)
        Within the network's `input_range`.
    y : ndarray of int, shape (N,)
        True labels.
    pixels : int, default 3
        How many pixels may change.  The time grows with 2^(pixels · C): the study takes 3 in grey and 2 in colour.
    loss : object with ``value_and_gradient(logits, y)``, default `SoftmaxCrossEntropy`
        Whose gradient ranks the pixels.
    progress : bool, default False
        Whether a terminal shows a progress bar.

    Returns
    -------
    PixelAttack

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong; the message says what was expected.
    """
    model, x, y, loss = under_attack(network, x, y, loss)
    pixels = _check_pixels(pixels, network)
    search = _Search(model, x, y, pixels)
    for chunk in in_chunks(model, len(x), "pixel attack", progress):
        change = PixelChange(model, x[chunk])
        logits, _, gradient = model.gradient(change.before, y[chunk], loss, start=change.depth)
        right = search.begin(chunk, logits)
        if len(right):
            gradient = change.input_gradient(gradient[model.backend.asarray(right)])
            best = np.zeros((len(logits), pixels), dtype="int64")
            best[right] = ranking(model.backend, scores(gradient), pixels)
            search.run(chunk, change, right, _ranked_candidates(change, best))
    return search.result()


def brute_force_pixel(network: Network, x: Array, y: Array, *, progress: bool = False) -> PixelAttack:
    """Write the ends of the input range into every single pixel, one after the other, until one fools; no gradient.

    Pixels are tried row by row, each with every combination of the ends over its channels in counting order, but for
    the one that it holds already.  The first that fools is returned.  It never does worse than `pixel` with one pixel.
    See there for the arguments, errors and what is returned.
    """
    model, x, y, _ = under_attack(network, x, y)
    search = _Search(model, x, y, pixels=1)
    for chunk in in_chunks(model, len(x), "brute-force pixel attack", progress):
        change = PixelChange(model, x[chunk])
        right = search.begin(chunk, model.run(change.before, start=change.depth))
        search.run(chunk, change, right, _single_pixels(change))
    return search.result()


# Which candidates, in which order


def scores(gradient: Array) -> Array:
    """Per pixel the mean over channels of |∂L/∂x|: (M, H, W, C) → (M, H·W), or (M, features) as they are."""
    pixels, channels = pixels_and_channels(gradient.shape[1:])
    size = abs(gradient).reshape(len(gradient), pixels, channels)
    return size.mean(axis=2) if channels > 1 else size[:, :, 0]  # of one number the mean would be a slow copy


def ranking(home: Backend, score: Array, count: int) -> np.ndarray:
    """Return the `count` pixels of largest score in each row, best first, of equal ones the first; overwrite `score`.

    The result, (M, count), is on the host.
    """
    best = np.empty((len(score), count), dtype="int64")
    samples = home.xp.arange(len(score))
    for place in range(count):
        # Of equal scores argmax takes the first, as a stable sort would, without sorting all of them.
        leader = score.argmax(axis=1)
        best[:, place] = home.to_numpy(leader)
        score[samples, leader] = -1
    return best


def _ranked_candidates(change: PixelChange, best: np.ndarray) -> Iterator[Candidates]:
    """Every combination of the ends on the best pixel, on the best two, ..."""
    images, _, channels = change.pixels.shape
    for n in range(1, best.shape[1] + 1):
        for batch in _batches(product(change.model.input_range, repeat=n * channels)):
            values = np.array(batch, dtype=change.model.dtype).reshape(-1, n, channels)
            yield np.broadcast_to(best[:, None, :n], (images, len(values), n)), values


def _single_pixels(change: PixelChange) -> Iterator[Candidates]:
    """Every combination of the ends on the first pixel, then on the second, ..."""
    images, pixels, channels = change.pixels.shape
    for batch in _batches(product(range(pixels), product(change.model.input_range, repeat=channels))):
        places = np.array([place for place, _ in batch])
        values = np.array([value for _, value in batch], dtype=change.model.dtype)
        yield np.broadcast_to(places[:, None], (images, len(places), 1)), values[:, None]


def _batches(candidates: Iterable[Any]) -> Iterator[list[Any]]:
    candidates = iter(candidates)
    while batch := list(islice(candidates, BATCH)):
        yield batch


# Trying them


class _Search:
    """What was found so far: the images on the model's backend, all else on the host."""

    def __init__(self, model: Evaluation, x: Array, y: Array, pixels: int) -> None:
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
        """Try candidates on the images that still stand, until either run out."""
        labels = self.labels[chunk]
        for pixels, values in candidates:
            if not len(standing):
                return
            for found, predictions in _first_to_fool(change, standing, pixels, values, labels):
                self._keep(chunk, change, found, predictions)
            standing = standing[self.count[chunk][standing] == 0]

    def _keep(self, chunk: slice, change: PixelChange, found: Writing, predictions: np.ndarray) -> None:
        samples, n = chunk.start + found.images, found.pixels.shape[1]
        self.images[self.model.backend.asarray(samples)] = change.written(found)
        self.predictions[samples] = predictions
        self.count[samples] = n
        self.pixels[samples, :n] = found.pixels
        self.values[samples, :n] = found.values

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
        )


def _first_to_fool(
    change: PixelChange, standing: np.ndarray, pixels: np.ndarray, values: np.ndarray, labels: np.ndarray
) -> Iterator[tuple[Writing, np.ndarray]]:
    """Yield the first candidate of each image that fools, and its class; in one go or, rarely, more.

    The shortcut rounds in another order than a full forward pass, which decides: where it disagrees, the image's
    candidates after that one are tried again.
    """
    start = np.zeros(len(standing), dtype="int64")
    while len(standing):
        first = change.first_to_fool(standing, pixels[standing], values, labels, start)
        hit = first < len(values)
        standing, first = standing[hit], first[hit]
        found = Writing(standing, pixels[standing, first], values[first])
        predictions = change.model.backend.to_numpy(change.model.predict(change.written(found)))
        sure = predictions != labels[standing]
        yield found.pick(sure), predictions[sure]
        standing, start = standing[~sure], first[~sure] + 1


def _check_pixels(pixels: int, network: Network) -> int:
    there = pixels_and_channels(network.input_shape)[0]
    if positive_int("pixel", "pixels", pixels) > there:
        raise ValueError(f"pixel: expected pixels from 1 to {there}, as many as an image has, got {pixels}")
    return int(pixels)
