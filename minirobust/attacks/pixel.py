"""Pixel attacks: a few pixels, each driven to an end of its range (section 3.3 of the study).

`pixel` tries the pixels whose gradient is largest, `brute_force_pixel` tries all, and `greedy_pixel` tries all again
after each one that it writes.  How the network's answer to a few written pixels is found without a full forward pass is
in `pixel_change`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, product
from time import perf_counter
from typing import Any

import numpy as np

from minirobust import backend
from minirobust.attacks.attack import Attack, in_chunks, under_attack, without_logits
from minirobust.attacks.pixel_change import PixelChange, Writing, pixels_and_channels
from minirobust.backend import Array, Backend
from minirobust.losses import Loss, Margin, evaluate
from minirobust.model import Model, most_likely
from minirobust.tables import with_bar
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


def pixel(
    model: Any,
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
    model : Network or Model
        A network that ends in logits, or any other `Model`.
    x : ndarray of float, shape (N, *input_shape)
        Within the model's `input_range`.
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
    model, x, y, loss = under_attack(model, x, y, loss)
    pixels = _check_pixels("pixel", pixels, model)
    search = _Search(model, x, y, pixels)
    for chunk in in_chunks(model, len(x), "pixel attack", progress):
        change = PixelChange(model, x[chunk])
        logits, gradient = change.gradient(y[chunk], loss)
        right = search.begin(chunk, logits)
        if len(right):
            gradient = change.input_gradient(gradient[model.backend.asarray(right)])
            best = np.zeros((len(logits), pixels), dtype="int64")
            best[right] = ranking(model.backend, scores(gradient), pixels)
            search.run(chunk, change, right, _ranked_candidates(change, best))
    return search.result()


def brute_force_pixel(model: Any, x: Array, y: Array, *, progress: bool = False) -> PixelAttack:
    """Write the ends of the input range into every single pixel, one after the other, until one fools; no gradient.

    Pixels are tried row by row, each with every combination of the ends over its channels in counting order, but for
    the one that it holds already.  The first that fools is returned.  It never does worse than `pixel` with one pixel.
    See there for the arguments, errors and what is returned.
    """
    model, x, y, _ = under_attack(model, x, y)
    search = _Search(model, x, y, pixels=1)
    for chunk in in_chunks(model, len(x), "brute-force pixel attack", progress):
        change = PixelChange(model, x[chunk])
        right = search.begin(chunk, change.logits(change.before))
        search.run(chunk, change, right, _single_pixels(change))
    return search.result()


def greedy_pixel(
    model: Any,
    x: Array,
    y: Array,
    pixels: int = 3,
    *,
    loss: Loss | None = None,
    shortlist: int | None = None,
    progress: bool = False,
) -> PixelAttack:
    """Write the pixels that raise the loss most, one after the other, until the image is misclassified.

    Each step tries every pixel that is not yet written, with every combination of the ends of the input range over its
    channels, and writes the candidate of largest loss.  The loss is that of a forward pass, not an estimate from the
    gradient.  A candidate that changes nothing is skipped.  One that fools is preferred to all that do not, whatever
    their losses.  Of equal candidates the first is written: row by row, then in counting order.  With one pixel, the
    attack fools an image if `brute_force_pixel` does.

    Parameters
    ----------
    model, x, y
        See `pixel`.
    pixels : int, default 3
        How many pixels may change.  The time is proportional to it, and to the number of candidates: 2^C for each pixel
        that is tried.
    loss : object with ``value_and_gradient(logits, y)``, default `Margin`
        What is made as large as possible.
    shortlist : int, optional
        How many pixels each step tries, by default all.  A shortlist takes those that can raise the loss most to first
        order, by the sum over channels of max(g (high - x), g (low - x)) with g = ∂L/∂x.  It saves time where forward
        passes are slow, as behind a convolution.  At low temperatures, where the gradient misleads, it misses many of
        the pixels that would succeed.
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
    model, x, y, loss = under_attack(model, x, y, Margin() if loss is None else loss)
    pixels = _check_pixels("greedy_pixel", pixels, model)
    there, channels = pixels_and_channels(model.input_shape)
    tried = there if shortlist is None else min(there, positive_int("greedy_pixel", "shortlist", shortlist))
    search = _Search(model, x, y, pixels)
    image_bytes = tried * 2**channels * model.sample_bytes  # with all its candidates
    for chunk in with_bar(list(model.backend.chunks(len(x), image_bytes)), "greedy pixel attack", "chunk", progress):
        change = PixelChange(model, x[chunk])
        right = search.begin(chunk, change.logits(change.before))
        writing = Writing(right, np.empty((len(right), 0), "int64"), np.empty((len(right), 0, channels), model.dtype))
        while len(writing.images) and writing.pixels.shape[1] < pixels:
            writing = _one_more(change, writing, y[chunk], loss, tried)
            writing = writing.pick(~search.keep(chunk, change, writing))
    return search.result()


# Which candidates, in which order


def scores(gradient: Array) -> Array:
    """Per pixel the mean over channels of |∂L/∂x|: (M, H, W, C) → (M, H·W), or (M, features) as they are."""
    pixels, channels = pixels_and_channels(gradient.shape[1:])
    size = abs(gradient).reshape(len(gradient), pixels, channels)
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
        # Of equal scores argmax takes the first, as a stable sort would, without sorting all of them.
        leader = score.argmax(axis=1)
        best[:, place] = backend.to_numpy(leader)
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


# The greedy choice


def _one_more(change: PixelChange, writing: Writing, y: Array, loss: Loss, tried: int) -> Writing:
    """Add to what is written into each copy the pixel that raises the loss most."""
    model, copies, backend = change.model, np.arange(len(writing.images)), change.model.backend
    now, y = PixelChange(model, change.written(writing)), y[backend.asarray(writing.images)]
    places = _shortlist(now, writing.pixels, y, loss, tried)
    ends = np.array(list(product(model.input_range, repeat=now.pixels.shape[2])), dtype=model.dtype)
    changes = (now.pixels[copies[:, None], places][:, :, None] != ends).any(axis=3)  # (M, places, ends)
    copy, place, end = np.nonzero(changes)
    logits = now.logits_after(Writing(copy, places[copy, place][:, None], ends[end][:, None]))
    y = y[backend.asarray(copy)]
    fools = backend.to_numpy(most_likely(backend, logits) != y)
    value = backend.to_numpy(evaluate(loss, backend, logits, y)[0])
    order = np.lexsort((-value, ~fools, copy))  # by copy, those that fool first, then by loss; equals stay as they are
    best = order[np.searchsorted(copy, copies)]
    pixels = np.concatenate((writing.pixels, places[copies, place[best]][:, None]), axis=1)
    return Writing(writing.images, pixels, np.concatenate((writing.values, ends[end[best]][:, None]), axis=1))


def _shortlist(now: PixelChange, written: np.ndarray, y: Array, loss: Loss, count: int) -> np.ndarray:
    """Return the `count` unwritten pixels of most headroom in each image, row by row; all if there are no more."""
    images, pixels = now.pixels.shape[:2]
    unwritten = np.ones((images, pixels), dtype=bool)
    unwritten[np.arange(images)[:, None], written] = False
    if count >= pixels - written.shape[1]:
        return np.nonzero(unwritten)[1].reshape(images, -1)
    backend, (_, gradient) = now.model.backend, now.gradient(y, loss)
    gain = headroom(now.input_gradient(gradient), now.x, now.model.input_range)
    gain = backend.xp.where(backend.asarray(unwritten), gain, -1)
    return np.sort(ranking(backend, gain, count), axis=1)


# Trying them


class _Search:
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


def _check_pixels(owner: str, pixels: int, model: Model) -> int:
    there = pixels_and_channels(model.input_shape)[0]
    if positive_int(owner, "pixels", pixels) > there:
        raise ValueError(f"{owner}: expected pixels from 1 to {there}, as many as an image has, got {pixels}")
    return int(pixels)
