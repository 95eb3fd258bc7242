"""Projected gradient descent: many small steps along the gradient's sign, from several starts (Madry et al., 2018)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from minirobust.attacks.attack import Attack, check_epsilon, in_chunks, under_attack, uniform, where_right
from minirobust.backend import Array
from minirobust.losses import Loss
from minirobust.network import Network
from minirobust.stack import Evaluation
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
    further one is uniform in the ε-ball.  A sample is done at the first iterate that fools, which may be the start:
    this one is returned, else the last iterate of the last start.

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
    loss : object with ``value_and_gradient(logits, y)``, default `SoftmaxCrossEntropy`
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
    model, x, y, loss = under_attack(network, x, y, loss)
    steps, starts = positive_int("pgd", "steps", steps), positive_int("pgd", "starts", starts)
    seed = check_seed(seed)
    images = model.xp.empty(x.shape, dtype=x.dtype)
    for chunk in in_chunks(model, len(x), "pgd", progress):
        offsets = _offsets(model, chunk, epsilon, starts, seed)
        images[chunk] = _climb(model, x[chunk], y[chunk], epsilon, steps, loss, offsets)
    return Attack.judge(model, x, y, images, epsilon, seed)


def ball(model: Evaluation, x: Array, epsilon: float) -> tuple[Array, Array]:
    """Return the least and the greatest value of every pixel that is within ε of `x` and in the input range."""
    low, high = model.input_range
    return model.xp.clip(x - epsilon, low, high), model.xp.clip(x + epsilon, low, high)


def _offsets(model: Evaluation, chunk: slice, epsilon: float, starts: int, seed: int) -> Iterator[Array]:
    """Yield the starts, relative to x: first x itself, then uniformly in the ε-ball."""
    shape = model.input_shape
    yield model.xp.zeros((chunk.stop - chunk.start, *shape), dtype=model.dtype)
    for start in range(1, starts):
        offset = epsilon * (2 * uniform((seed, start), chunk, shape) - 1)
        yield model.backend.asarray(offset.astype(model.dtype))


def _climb(
    model: Evaluation, x: Array, y: Array, epsilon: float, steps: int, loss: Loss, offsets: Iterable[Array]
) -> Array:
    """Return for every sample of one chunk the first iterate that fools, else the last one."""
    images, alpha = x.copy(), 2.5 * epsilon / steps
    low, high = ball(model, x, epsilon)
    standing = model.xp.arange(len(x))  # the samples that no iterate has fooled so far: y and the bounds are theirs
    for offset in offsets:
        iterate = model.xp.clip((x + offset)[standing], low, high)
        for _ in range(steps):
            logits, _, gradient = model.gradient(iterate, y, loss)
            right = where_right(model, logits, y)
            if len(right) < len(y):
                images[standing] = iterate
                standing, iterate, gradient = standing[right], iterate[right], gradient[right]
                y, low, high = y[right], low[right], high[right]
            if not len(standing):
                return images
            iterate = model.backend.sign_step(iterate, gradient, alpha, low, high)
        images[standing] = iterate
        right = where_right(model, model.logits(iterate), y)
        standing, y, low, high = standing[right], y[right], low[right], high[right]
        if not len(standing):
            return images
    return images
