"""`pixel` and `brute_force_pixel`: both try candidates in a fixed order and return the first that succeeds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice, product
from typing import Any

import numpy as np

from minirobust.attacks.attack import Target, check_target, in_chunks, other_classes, under_attack
from minirobust.attacks.pixel.change import PixelChange
from minirobust.attacks.pixel.ranking import ranking, scores
from minirobust.attacks.pixel.search import Candidates, PixelAttack, Search, check_pixels
from minirobust.backend import Array
from minirobust.losses import Loss

BATCH = 64  # candidates that are tried on an image at a time: bounds memory, changes no result


def pixel(
    model: Any,
    x: Array,
    y: Array,
    pixels: int = 3,
    *,
    loss: Loss | None = None,
    target: Target = None,
    progress: bool = False,
) -> PixelAttack:
    """Write the ends of the input range into the pixels of largest gradient, in every combination, until one succeeds.

    A pixel's score is the mean over its channels of |∂L/∂x|, and among equal scores the first pixel in the image leads.
    Candidates are tried on the best pixel, then on the best two, and so on; for each number of pixels in counting
    order, the low end for 0 and the high end for 1, with the best pixel's first channel as the leading digit.  The
    first that succeeds is returned.  A candidate that leaves its last pixel unchanged has already been tried with fewer
    pixels, and is skipped.

    Parameters
    ----------
    model, x, y
        See `fgsm`.
    pixels : int, default 3
        How many pixels may change.  The time grows with 2^(pixels · C): the study takes 3 in grey and 2 in colour.
    loss : object with ``value_and_gradient(logits, y, target=None)``, default `SoftmaxCrossEntropy`
        Whose gradient ranks the pixels.
    target : ndarray of int, shape (N,), or "all", optional
        Classes to aim at: pixels are ranked by the loss towards that class, and only a candidate of that class is a
        success.  "all" ranks them for every other class in turn, from the largest logit down, until a candidate
        succeeds.
    progress : bool, default False
        Whether a terminal shows a progress bar.

    Returns
    -------
    PixelAttack

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong; the message says what was expected.

    Examples
    --------
    >>> import minirobust as mr
    >>> net = mr.Network([mr.Dense(2)], input_shape=(3,), dtype="float64")
    >>> net.layers[0].weight.value[...] = [[1, -1], [-1, 1], [0, 0]]
    >>> x, y = np.array([[0.52, 0.5, 0.3], [0.9, 0.1, 0.3]]), np.array([0, 0])
    >>> pixel(net, x, y, pixels=1).fooled
    array([ True,  True])
    """
    model, x, y, loss = under_attack(model, x, y, loss)
    pixels, target = check_pixels("pixel", pixels, model), check_target(model, target, y, loss)
    search = Search(model, x, y, pixels, target)
    for chunk in in_chunks(model, len(x), "pixel attack", progress):
        change, standing = PixelChange(model, x[chunk]), None
        for aim in _aims(change, y[chunk], target, chunk):
            logits, gradient = change.gradient(y[chunk], loss, aim)
            standing = search.begin(chunk, logits) if standing is None else standing
            if not len(standing):
                break
            gradient = change.input_gradient(gradient[model.backend.asarray(standing)])
            best = np.zeros((len(logits), pixels), dtype="int64")
            best[standing] = ranking(model.backend, scores(gradient), pixels)
            standing = search.run(chunk, change, standing, partial(_ranked_candidates, change, best))
    return search.result()


def brute_force_pixel(model: Any, x: Array, y: Array, *, progress: bool = False) -> PixelAttack:
    """Write the ends of the input range into every single pixel, one after the other, until one succeeds.

    No gradient is used.  Pixels are tried row by row, each with every combination of the ends over its channels in
    counting order, except for the value that it already has.  The first that succeeds is returned.  The attack never
    does worse than `pixel` with one pixel.

    Parameters
    ----------
    model, x, y, progress
        See `pixel`.

    Returns
    -------
    PixelAttack

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong; the message says what was expected.
    """
    model, x, y, _ = under_attack(model, x, y)
    search = Search(model, x, y, pixels=1)
    for chunk in in_chunks(model, len(x), "brute-force pixel attack", progress):
        change = PixelChange(model, x[chunk])
        right = search.begin(chunk, change.logits(change.before))
        search.run(chunk, change, right, partial(_single_pixels, change))
    return search.result()


def _aims(change: PixelChange, y: Array, target: Target, chunk: slice) -> Iterable[Array | None]:
    """Return the classes at which the attack aims on the images of a chunk, one array after the other."""
    if isinstance(target, str):
        return other_classes(change.model, change.logits(change.before), y)
    return [None if target is None else target[chunk]]


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
