"""`greedy_pixel`: one pixel after the other, each the one that raises the loss most."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from minirobust.attacks.attack import under_attack
from minirobust.attacks.pixel.change import PixelChange, Writing, pixels_and_channels
from minirobust.attacks.pixel.ranking import headroom, ranking
from minirobust.attacks.pixel.search import PixelAttack, Search, check_pixels
from minirobust.backend import Array
from minirobust.losses import Loss, Margin, evaluate
from minirobust.model import most_likely
from minirobust.progress import counted
from minirobust.validation import positive_int


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
    gradient.  A candidate that changes nothing is skipped.  A candidate that succeeds is preferred to all that do not,
    whatever their losses.  Of equal candidates, the first is written: row by row, then in counting order.  With one
    pixel, the attack fools an image if `brute_force_pixel` does.

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
    pixels = check_pixels("greedy_pixel", pixels, model)
    there, channels = pixels_and_channels(model.input_shape)
    tried = there if shortlist is None else min(there, positive_int("greedy_pixel", "shortlist", shortlist))
    search = Search(model, x, y, pixels)
    image_bytes = tried * 2**channels * model.sample_bytes  # with all its candidates
    for chunk in counted(model.backend.chunks(len(x), image_bytes), len(x), "greedy pixel attack", progress):
        change = PixelChange(model, x[chunk])
        right = search.begin(chunk, change.logits(change.before))
        writing = Writing(right, np.empty((len(right), 0), "int64"), np.empty((len(right), 0, channels), model.dtype))
        while len(writing.images) and writing.pixels.shape[1] < pixels:
            writing = _one_more(change, writing, y[chunk], loss, tried)
            writing = writing.pick(np.isin(writing.images, search.keep(chunk, change, writing)))
    return search.result()


def _one_more(change: PixelChange, writing: Writing, y: Array, loss: Loss, tried: int) -> Writing:
    """Add to each writing the pixel that raises the loss most."""
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
