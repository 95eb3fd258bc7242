"""`Search`: which candidates have succeeded so far, and the `PixelAttack` that they result in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from minirobust import backend
from minirobust.attacks.attack import Attack, Target, without_logits
from minirobust.attacks.pixel.change import Goal, PixelChange, Writing, pixels_and_channels
from minirobust.backend import Array
from minirobust.model import Model, most_likely
from minirobust.validation import positive_int

# B candidates for each of a chunk's M images: the n pixels they write, (M, B, n), and the values, (B, n, C).
Candidates = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, kw_only=True, repr=False)
class PixelAttack(Attack):
    """An `Attack` that wrote a few pixels, and which ones.

    `epsilon` is the width of the input range.  Every array is on the network's backend.

    Attributes
    ----------
    count : ndarray of int, shape (N,)
        How many pixels the successful candidate writes.  0 where none succeeded, and where the network was already
        wrong, or already predicted the target; the image is then returned as it was.
    pixels : ndarray of int, shape (N, n)
        Those pixels, counted row by row (``divmod(pixel, width)`` is its row and column), best first, or in the
        order in which `greedy_pixel` wrote them; -1 beyond `count`.
    values : ndarray of float, shape (N, n, C)
        The values written there, some of which may have been there before; NaN beyond `count`.
    fooled_at : ndarray of bool, shape (n, N)
        Which images are fooled with up to 1, 2, ..., n pixels.  An image that was misclassified before the attack
        counts in every row; the last row is `fooled`.
    """

    count: Array
    pixels: Array
    values: Array
    fooled_at: Array

    def __repr__(self) -> str:
        fooled = backend.of(self.fooled_at).to_numpy(self.fooled_at).sum(axis=1)
        text = f"PixelAttack on {len(self.images)} images, fooled with 1 to {len(fooled)} pixels: {fooled.tolist()}"
        return f"<{text}{without_logits(self.predictions)}>"

    def _masks(self) -> dict[str, Array]:
        by_pixels = {f"fooled by {n}": fooled for n, fooled in enumerate(self.fooled_at, start=1)}
        return {"right before": self.clean_correct} | by_pixels


class Search:
    """What a pixel attack has found so far.  The images are on the model's backend, everything else is on the host."""

    def __init__(self, model: Model, x: Array, y: Array, pixels: int, target: Target = None) -> None:
        channels = pixels_and_channels(model.input_shape)[1]
        self.model, self.x, self.y, self.target = model, x, y, target
        self.labels = model.backend.to_numpy(y)
        if target is None or isinstance(target, str):
            self.aims = np.full(len(x), -1)
        else:
            self.aims = model.backend.to_numpy(target)
        self.images = x.copy()
        self.clean = np.empty(len(x), dtype="int64")
        self.predictions = np.empty(len(x), dtype="int64")
        self.count = np.zeros(len(x), dtype="int64")
        self.pixels = np.full((len(x), pixels), -1, dtype="int64")
        self.values = np.full((len(x), pixels, channels), np.nan, dtype=model.dtype)

    def begin(self, chunk: slice, logits: Array) -> np.ndarray:
        """Record the predictions for a chunk before the attack; return the images on which it has not succeeded yet."""
        backend = self.model.backend
        self.clean[chunk] = self.predictions[chunk] = backend.to_numpy(most_likely(backend, logits))
        places = np.arange(len(logits))
        return places[~self.goal(chunk).reached(places, self.clean[chunk])]

    def goal(self, chunk: slice) -> Goal:
        """Return what counts as a success on the images of a chunk."""
        return Goal(self.labels[chunk], self.aims[chunk])

    def run(
        self, chunk: slice, change: PixelChange, standing: np.ndarray, candidates: Callable[[], Iterable[Candidates]]
    ) -> np.ndarray:
        """Keep each image's first candidate that succeeds, until candidates or images run out; return the images left.

        The shortcut rounds differently from a full forward pass, which has the last word.  One pass for all that the
        shortcut found is faster than one for each batch of candidates.
        """
        goal, found, left = self.goal(chunk), [], standing
        for pixels, values in candidates():
            first = change.first_to_succeed(left, pixels[left], values, goal, np.zeros(len(left), dtype="int64"))
            hit = first < len(values)
            found.append(Writing(left[hit], pixels[left[hit], first[hit]], values[first[hit]]))
            left = left[~hit]
            if not len(left):
                break
        refuted = self.keep(chunk, change, *found)
        for pixels, values in candidates() if len(refuted) else ():
            tried, start = refuted, np.zeros(len(refuted), dtype="int64")
            while len(tried):
                first = change.first_to_succeed(tried, pixels[tried], values, goal, start)
                hit = first < len(values)
                tried, first = tried[hit], first[hit]
                again = np.isin(tried, self.keep(chunk, change, Writing(tried, pixels[tried, first], values[first])))
                tried, start = tried[again], first[again] + 1
            refuted = refuted[self.count[chunk][refuted] == 0]
        return standing[self.count[chunk][standing] == 0]

    def keep(self, chunk: slice, change: PixelChange, *found: Writing) -> np.ndarray:
        """Keep the copies that succeed; return the images of the others."""
        asarray, places = self.model.backend.asarray, np.concatenate([writing.images for writing in found])
        ends = np.cumsum([len(writing.images) for writing in found])
        pieces = [slice(end - len(writing.images), end) for end, writing in zip(ends, found, strict=True)]
        images = self.model.xp.empty((len(places), *self.model.input_shape), dtype=self.model.dtype)
        for piece, writing in zip(pieces, found, strict=True):
            images[piece] = change.written(writing)
        predictions = self.model.backend.to_numpy(self.model.predict(images))
        succeeds = self.goal(chunk).reached(places, predictions)
        self.images[asarray(chunk.start + places[succeeds])] = images[asarray(np.flatnonzero(succeeds))]
        self.predictions[chunk.start + places[succeeds]] = predictions[succeeds]
        for piece, writing in zip(pieces, found, strict=True):
            kept, n = writing.pick(succeeds[piece]), writing.pixels.shape[1]
            samples = chunk.start + kept.images
            self.count[samples] = n
            self.pixels[samples, :n], self.values[samples, :n] = kept.pixels, kept.values
        return places[~succeeds]

    def _reached(self, predictions: Array) -> Array:
        return predictions != self.y if isinstance(self.target, str) else predictions == self.target

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
            reached=None if self.target is None else self._reached(predictions),
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
