"""Random signs: the baseline that every attack with a gradient must beat."""

from __future__ import annotations

from minirobust.attacks.attack import Attack, check_epsilon, check_samples, signs, uniform, where_right
from minirobust.backend import Array
from minirobust.network import Network
from minirobust.validation import check_seed, positive_int


def noise(network: Network, x: Array, y: Array, epsilon: float = 0.1, *, draws: int = 1, seed: int = 0) -> Attack:
    """x' = clip(x ± ε), each sign drawn on its own.

    Of several draws the first that fools is returned, else the last.

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
    x, y = check_samples(network, x, y)
    draws, seed = positive_int("noise", "draws", draws), check_seed(seed)
    images = network.xp.empty(x.shape, dtype=x.dtype)
    for chunk in network.chunks(len(x)):
        images[chunk] = _draw(network, x[chunk], y[chunk], epsilon, draws, seed, chunk)
    return Attack.judge(network, x, y, images, epsilon, seed)


def _draw(network: Network, x: Array, y: Array, epsilon: float, draws: int, seed: int, chunk: slice) -> Array:
    """For every sample of one chunk the first draw that fools, else the last one."""
    images = x.copy()
    left = network.xp.arange(len(x))  # the samples that no draw has fooled so far
    for draw in range(draws):
        u = network.backend.asarray(uniform((seed, draw), chunk, network.input_shape))[left]
        images[left] = network.xp.clip(x[left] + epsilon * signs(network, u), *network.input_range)
        left = left[where_right(network, network.logits(images[left]), y[left])]
        if not len(left):
            break
    return images
