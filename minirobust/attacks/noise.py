"""Random signs: the baseline that every attack with a gradient must beat."""

from __future__ import annotations

from minirobust.attacks.attack import Attack, check_epsilon, signs, under_attack, uniform, where_right
from minirobust.backend import Array
from minirobust.network import Network
from minirobust.stack import Evaluation
from minirobust.validation import check_seed, positive_int


def noise(network: Network, x: Array, y: Array, epsilon: float = 0.1, *, draws: int = 1, seed: int = 0) -> Attack:
    """x' = clip(x ± ε), with an independent sign for every pixel.

    The first of several draws that fools is returned, else the last.

    Parameters
    ----------
    network : Network
        Ends in logits.
    x : ndarray of float, shape (N, *input_shape)
        Within the network's `input_range`.
    y : ndarray of int, shape (N,)
        True labels.
    epsilon : float, default 0.1
        From 0 to the width of the input range.
    draws : int, default 1
    seed : int, default 0
        A sample's signs depend on its position in `x`, on nothing else.

    Returns
    -------
    Attack

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong; the message says what was expected.
    """
    epsilon = check_epsilon(network, epsilon)
    model, x, y, _ = under_attack(network, x, y)
    draws, seed = positive_int("noise", "draws", draws), check_seed(seed)
    images = model.xp.empty(x.shape, dtype=x.dtype)
    for chunk in model.chunks(len(x)):
        images[chunk] = _draw(model, x[chunk], y[chunk], epsilon, draws, seed, chunk)
    return Attack.judge(model, x, y, images, epsilon, seed)


def _draw(model: Evaluation, x: Array, y: Array, epsilon: float, draws: int, seed: int, chunk: slice) -> Array:
    """Return for every sample of one chunk the first draw that fools, else the last one."""
    images = x.copy()
    standing = model.xp.arange(len(x))  # the samples that no draw has fooled so far
    for draw in range(draws):
        u = model.backend.asarray(uniform((seed, draw), chunk, model.input_shape))[standing]
        images[standing] = model.xp.clip(x[standing] + epsilon * signs(model, u), *model.input_range)
        standing = standing[where_right(model, model.logits(images[standing]), y[standing])]
        if not len(standing):
            break
    return images
