"""Square Attack: random search in the L∞ ball, without any gradient (Andriushchenko et al., 2020)."""

from __future__ import annotations

import math
from typing import Any

from minirobust.attacks.attack import (
    Attack,
    Epsilon,
    check_epsilon,
    in_chunks,
    part,
    rows,
    signs,
    under_attack,
    uniform,
    where_right,
)
from minirobust.backend import Array
from minirobust.losses import Margin, evaluate
from minirobust.model import Model, most_likely
from minirobust.validation import check_seed, positive_int

FIRST_SHARE = 0.8  # p_init: the square's first share of the image
# The share halves after each of these queries out of 10,000; for other totals, the schedule is rescaled.
HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


def square(
    model: Any,
    x: Array,
    y: Array,
    epsilon: Epsilon = 0.1,
    *,
    queries: int = 1000,
    seed: int = 0,
    progress: bool = False,
) -> Attack:
    """Set a random square to clip(x ± ε), and keep it if it raises the margin loss max_{j≠y} z_j - z_y.

    The search starts from vertical stripes of x ± ε, with one sign for each column and channel.  Every sample has its
    own squares and is done at the first image that fools the model.  A sample that is misclassified without an attack
    is returned unchanged.

    There are two differences from the authors' code.  Squares can also reach the last row and column.  A square that
    would change nothing gets the opposite signs, whereas the authors draw again; for greyscale images this is the same.

    Parameters
    ----------
    model : Network or Model
        A model of images.  A network must end in logits.
    x : ndarray of float, shape (N, H, W, C)
        Within the model's `input_range`.
    y : ndarray of int, shape (N,)
        True labels.
    epsilon : float or ndarray, default 0.1
        See `fgsm`.
    queries : int, default 1000
        Number of images per sample that the model evaluates, including the stripes.
    seed : int, default 0
        Seed of the squares.  A sample's squares depend only on the seed and on its position in `x`.
    progress : bool, default False
        Whether to show a progress bar in a terminal.

    Returns
    -------
    Attack

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong or the inputs are not images; the message says what was expected.
    """
    model, x, y, _ = under_attack(model, x, y)
    if len(model.input_shape) != 3:
        raise ValueError(f"square: expected a model of images (H, W, C), got inputs of shape {model.input_shape}")
    epsilon = check_epsilon(model, epsilon, x)
    queries, seed = positive_int("square", "queries", queries), check_seed(seed)
    images = model.xp.empty(x.shape, dtype=x.dtype)
    for chunk in in_chunks(model, len(x), "square", progress):
        images[chunk] = _search(model, x[chunk], y[chunk], part(epsilon, chunk), queries, seed, chunk)
    return Attack.judge(model, x, y, images, epsilon, seed)


def side(query: int, queries: int, height: int, width: int) -> int:
    """Return the width of a query's square (queries count from 1): its area is the scheduled share p of the image."""
    # The stripes were query 0; the authors count squares from 0.
    passed = (query - 1) * 10_000 // queries
    p = FIRST_SHARE / 2 ** sum(passed > halving for halving in HALVINGS)
    return min(max(round(math.sqrt(p * height * width)), 1), height, width)


def _search(model: Model, x: Array, y: Array, epsilon: Epsilon, queries: int, seed: int, chunk: slice) -> Array:
    """Return, for every sample of one chunk, the first image that fools, else the one of largest margin loss.

    A query writes its squares into the images, and restores the old pixels of images that are no better.
    """
    xp, backend, loss = model.xp, model.backend, Margin()
    height, width, channels = model.input_shape
    images = x.copy()
    standing = where_right(model, model.logits(x), y)  # the samples that have not been fooled yet
    x, y, epsilon, current = rows(standing, x, y, epsilon, x)  # only of these
    best = xp.full(len(standing), -math.inf, dtype=x.dtype)
    for query in range(queries):
        if not len(standing):
            break
        shape = (1, width, channels) if query == 0 else (2 + channels,)
        u = backend.asarray(uniform((seed, query), chunk, shape))[standing]
        if query == 0:
            place, before, after = xp.arange(len(x)), x, _stripes(model, x, u, epsilon)
        else:
            place = _squares(model, u[:, :2], side(query, queries, height, width))
            before = current[place]
            after = _repainted(model, x[place], before, u[:, None, None, 2:], *rows(place, epsilon))
        current[place] = after
        logits = model.logits(current)
        value, _ = evaluate(loss, backend, logits, y)
        better = (value > best) | (most_likely(backend, logits) != y)
        right = where_right(model, logits, y)
        best = xp.where(better, value, best)
        current[place] = xp.where(better[:, None, None, None], after, before)
        if len(right) < len(standing):
            images[standing] = current
            standing, x, y, epsilon, current, best = rows(right, standing, x, y, epsilon, current, best)
    images[standing] = current
    return images


def _stripes(model: Model, x: Array, u: Array, epsilon: Epsilon) -> Array:
    """Return clip(x ± ε), with the same sign for a whole column."""
    return model.xp.clip(x + epsilon * signs(model, u), *model.input_range)


def _squares(model: Model, u: Array, size: int) -> tuple[Array, Array, Array]:
    """Return indices (n, i, j) of the pixels of one square per image; `u`, (N, 2), gives its first row and column."""
    height, width, _ = model.input_shape
    steps = model.xp.arange(size)
    down = (u[:, :1] * (height - size + 1)).astype("int64") + steps
    across = (u[:, 1:] * (width - size + 1)).astype("int64") + steps
    return model.xp.arange(len(u))[:, None, None], down[:, :, None], across[:, None, :]


def _repainted(model: Model, x: Array, before: Array, u: Array, epsilon: Epsilon) -> Array:
    """Return clip(x ± ε) in every square; a square that this would not change gets the opposite signs."""
    xp, change = model.xp, epsilon * signs(model, u)
    after = xp.clip(x + change, *model.input_range)
    unchanged = (after == before).all(axis=(1, 2, 3), keepdims=True)
    return xp.where(unchanged, xp.clip(x - change, *model.input_range), after)
