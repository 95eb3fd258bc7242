"""Square Attack: random search in the L∞ ball, without any gradient (Andriushchenko et al., 2020)."""

from __future__ import annotations

import math

from minirobust.attacks.attack import Attack, check_epsilon, in_chunks, signs, under_attack, uniform, where_right
from minirobust.backend import Array
from minirobust.losses import Margin, evaluate
from minirobust.network import Network
from minirobust.stack import Evaluation, most_likely
from minirobust.validation import check_seed, positive_int

FIRST_SHARE = 0.8  # p_init: the square's first share of the image
# The share halves after each of these queries of 10,000; other numbers of queries stretch the schedule.
HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


def square(
    network: Network,
    x: Array,
    y: Array,
    epsilon: float = 0.1,
    *,
    queries: int = 1000,
    seed: int = 0,
    progress: bool = False,
) -> Attack:
    """x' ← clip(x ± ε) inside a random square, kept where it raises the margin loss max_{j≠y} z_j - z_y.

    It begins with vertical stripes of x ± ε, one sign for each column and channel.  Every sample has its own squares
    and is done at the first image that fools; a sample that is wrong from the start stays as it is.

    Two things differ from the authors' code.  Squares reach the last row and column too.  A square that would change
    nothing gets the opposite signs, where the authors draw again; in grey that is the same.

    Parameters
    ----------
    network : Network
        Takes images and ends in logits.
    x : ndarray of float, shape (N, H, W, C)
        Within the network's `input_range`.
    y : ndarray of int, shape (N,)
        True labels.
    epsilon : float, default 0.1
        From 0 to the width of the input range.
    queries : int, default 1000
        Images shown to the network, the stripes included.
    seed : int, default 0
        A sample's squares depend on its position in `x`, on nothing else.
    progress : bool, default False
        Whether to show a bar, in a terminal.

    Returns
    -------
    Attack

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong or inputs are not images; the message says what was expected.
    """
    epsilon = check_epsilon(network, epsilon)
    if len(network.input_shape) != 3:
        raise ValueError(f"square: expected a network of images (H, W, C), got inputs of shape {network.input_shape}")
    model, x, y, _ = under_attack(network, x, y)
    queries, seed = positive_int("square", "queries", queries), check_seed(seed)
    images = model.xp.empty(x.shape, dtype=x.dtype)
    for chunk in in_chunks(model, len(x), "square", progress):
        images[chunk] = _search(model, x[chunk], y[chunk], epsilon, queries, seed, chunk)
    return Attack.judge(model, x, y, images, epsilon, seed)


def side(query: int, queries: int, height: int, width: int) -> int:
    """Return the width of a query's square (queries count from 1): its area is the scheduled share p of the image."""
    # The stripes were query 0; the authors count squares from 0.
    passed = (query - 1) * 10_000 // queries
    p = FIRST_SHARE / 2 ** sum(passed > halving for halving in HALVINGS)
    return min(max(round(math.sqrt(p * height * width)), 1), height, width)


def _search(model: Evaluation, x: Array, y: Array, epsilon: float, queries: int, seed: int, chunk: slice) -> Array:
    """Return for every sample of one chunk the first image that fools, else the one of the largest margin loss."""
    xp, loss = model.xp, Margin()
    _, height, width, channels = x.shape
    images = x.copy()
    best = xp.full(len(x), -math.inf, dtype=x.dtype)
    standing = where_right(model, model.logits(x), y)  # the samples that nothing has fooled so far
    for query in range(queries):
        if not len(standing):
            break
        if query == 0:
            u = uniform((seed, query), chunk, (1, width, channels))
            candidates = _stripes(model, x[standing], model.backend.asarray(u)[standing], epsilon)
        else:
            u = uniform((seed, query), chunk, (2 + channels,))
            size = side(query, queries, height, width)
            candidates = _squares(
                model, images[standing], x[standing], model.backend.asarray(u)[standing], epsilon, size
            )
        logits = model.logits(candidates)
        value, _ = evaluate(loss, model.backend, logits, y[standing])
        better = (value > best[standing]) | (most_likely(model.backend, logits) != y[standing])
        best[standing] = xp.where(better, value, best[standing])
        images[standing] = xp.where(better[:, None, None, None], candidates, images[standing])
        standing = standing[where_right(model, logits, y[standing])]
    return images


def _stripes(model: Evaluation, x: Array, u: Array, epsilon: float) -> Array:
    """Return clip(x ± ε), with one sign for a whole column."""
    return model.xp.clip(x + epsilon * signs(model, u), *model.input_range)


def _squares(model: Evaluation, images: Array, x: Array, u: Array, epsilon: float, size: int) -> Array:
    """Return `images` with clip(x ± ε) inside one square each; `u`, (N, 2 + C), gives its place and its signs."""
    xp = model.xp
    _, height, width, _ = x.shape
    top = (u[:, 0] * (height - size + 1)).astype("int64")[:, None, None, None]
    start = (u[:, 1] * (width - size + 1)).astype("int64")[:, None, None, None]
    row, column = xp.arange(height)[:, None, None], xp.arange(width)[:, None]
    inside = (row >= top) & (row < top + size) & (column >= start) & (column < start + size)
    sign = signs(model, u[:, None, None, 2:])
    squares = xp.where(inside, xp.clip(x + epsilon * sign, *model.input_range), images)
    unchanged = (squares == images).all(axis=(1, 2, 3), keepdims=True)
    sign = sign * (1 - 2 * unchanged.astype(x.dtype))
    return xp.where(inside, xp.clip(x + epsilon * sign, *model.input_range), images)
