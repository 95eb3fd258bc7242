"""Random signs: the baseline that every attack with a gradient must beat."""

from __future__ import annotations

from typing import Any

from minirobust.attacks.attack import (
    Attack,
    Epsilon,
    check_epsilon,
    part,
    signs,
    under_attack,
    uniform,
    where_right,
)
from minirobust.backend import Array
from minirobust.model import Model
from minirobust.validation import check_seed, positive_int


def noise(model: Any, x: Array, y: Array, epsilon: Epsilon = 0.1, *, draws: int = 1, seed: int = 0) -> Attack:
    """Add random noise: x' = clip(x ± ε), with an independent sign for every pixel.

    With several draws, the first one that fools the model is returned, or the last one if none does.

    Parameters
    ----------
    model, x, y, epsilon
        See `fgsm`.
    draws : int, default 1
    seed : int, default 0
        Seed of the signs.  A sample's signs depend only on the seed and on its position in `x`.

    Returns
    -------
    Attack

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong; the message says what was expected.
    """
    model, x, y, _ = under_attack(model, x, y)
    epsilon = check_epsilon(model, epsilon, x)
    draws, seed = positive_int("noise", "draws", draws), check_seed(seed)
    images = model.xp.empty(x.shape, dtype=x.dtype)
    for chunk in model.chunks(len(x)):
        images[chunk] = _draw(model, x[chunk], y[chunk], part(epsilon, chunk), draws, seed, chunk)
    return Attack.judge(model, x, y, images, epsilon, seed)


def _draw(model: Model, x: Array, y: Array, epsilon: Epsilon, draws: int, seed: int, chunk: slice) -> Array:
    """Return, for every sample of one chunk, the first draw that fools, else the last one."""
    images = x.copy()
    standing = model.xp.arange(len(x))  # the samples that have not been fooled yet
    for draw in range(draws):
        u = model.backend.asarray(uniform((seed, draw), chunk, model.input_shape))[standing]
        change = part(epsilon, standing) * signs(model, u)
        images[standing] = model.xp.clip(x[standing] + change, *model.input_range)
        standing = standing[where_right(model, model.logits(images[standing]), y[standing])]
        if not len(standing):
            break
    return images
