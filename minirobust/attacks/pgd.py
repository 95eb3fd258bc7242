"""Projected gradient descent: many small steps along the gradient's sign, from several starts (Madry et al., 2018)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from minirobust.attacks.attack import Attack, check_epsilon, check_samples, in_chunks, uniform, where_right
from minirobust.backend import Array
from minirobust.losses import Loss
from minirobust.network import Network
from minirobust.validation import check_seed, positive_int


def pgd(
    network: Network,
    x: Array,
    y: Array,
    epsilon: float = 0.1,
    *,
    steps: int = 40,
    starts: int = 2,
    loss: Loss | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Attack:
    """x₀ = x, then x' ← project(x' + α sign(∂L/∂x')) with α = 2.5 ε / steps, until an iterate fools the network.

    The projection is onto the pixels within ε of x and then onto the input range.  The first start is x itself, every
    further one uniform in the ε-ball.  A sample is done with the first iterate that fools, be it the start: that one is
    returned, else the last iterate of the last start.

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
    steps : int, default 40
        From each start.
    starts : int, default 2
    loss : object with ``gradient(logits, y)``, default `SoftmaxCrossEntropy`
        What is ascended.  `Margin` keeps its gradient where cross entropy has none.
    seed : int, default 0
        Of the starts.  A sample's start depends on its position in `x`, on nothing else.
    progress : bool, default False
        Whether to show a bar, in a terminal.

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
    steps, starts = positive_int("pgd", "steps", steps), positive_int("pgd", "starts", starts)
    seed = check_seed(seed)
    images = network.xp.empty(x.shape, dtype=x.dtype)
    for chunk in in_chunks(network, len(x), "pgd", progress):
        offsets = _offsets(network, chunk, epsilon, starts, seed)
        images[chunk] = _climb(network, x[chunk], y[chunk], epsilon, steps, loss, offsets)
    return Attack.judge(network, x, y, images, epsilon, seed)


def project(network: Network, images: Array, x: Array, epsilon: float) -> Array:
    """`images` moved into the ε-ball around `x` and the input range; what lies inside both stays as it is."""
    return network.xp.clip(network.xp.clip(images, x - epsilon, x + epsilon), *network.input_range)


def _offsets(network: Network, chunk: slice, epsilon: float, starts: int, seed: int) -> Iterator[Array]:
    """Where to start, relative to x: once at x itself, then uniformly in the ε-ball."""
    shape = network.input_shape
    yield network.xp.zeros((chunk.stop - chunk.start, *shape), dtype=network.dtype)
    for start in range(1, starts):
        offset = epsilon * (2 * uniform((seed, start), chunk, shape) - 1)
        yield network.backend.asarray(offset.astype(network.dtype))


def _climb(
    network: Network, x: Array, y: Array, epsilon: float, steps: int, loss: Loss | None, offsets: Iterable[Array]
) -> Array:
    """For every sample of one chunk the first iterate that fools, else the last one."""
    images = x.copy()
    alpha = 2.5 * epsilon / steps
    left = network.xp.arange(len(x))  # the samples that no iterate has fooled so far
    for offset in offsets:
        images[left] = project(network, x[left] + offset[left], x[left], epsilon)
        for _ in range(steps):
            logits, gradient = network.logits_and_input_gradient(images[left], y[left], loss)
            right = where_right(network, logits, y[left])
            left = left[right]
            if not len(left):
                return images
            uphill = images[left] + alpha * network.xp.sign(gradient[right])
            images[left] = project(network, uphill, x[left], epsilon)
        left = left[where_right(network, network.logits(images[left]), y[left])]
        if not len(left):
            return images
    return images
