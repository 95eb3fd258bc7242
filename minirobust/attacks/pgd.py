"""Projected gradient descent: many small steps along the gradient's sign, from several starts (Madry et al., 2018)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from minirobust.attacks.attack import (
    Attack,
    Epsilon,
    Target,
    by_chunks,
    check_epsilon,
    check_target,
    part,
    rows,
    under_attack,
    uniform,
    where_missing,
)
from minirobust.attacks.history import Note, Recorder, unrecorded
from minirobust.attacks.surrogates import Gradients
from minirobust.backend import Array
from minirobust.losses import Loss, evaluate
from minirobust.model import Model
from minirobust.validation import check_seed, positive_int


def pgd(
    model: Any,
    x: Array,
    y: Array,
    epsilon: Epsilon = 0.1,
    *,
    steps: int = 40,
    starts: int = 2,
    loss: Loss | None = None,
    target: Target = None,
    gradients: Gradients | None = None,
    stop: bool = True,
    seed: int = 0,
    history: bool = False,
    progress: bool = False,
) -> Attack:
    """Take steps x' ← project(x' + α sign(∂L/∂x')) with α = 2.5 ε / steps, until an iterate fools the model.

    The projection is onto the pixels within ε of x and then onto the input range.  The first start is x itself; further
    starts are uniform in the ε-ball.  A sample is done at the first iterate that fools the model, which may be the
    start.  The result contains this iterate, or the last iterate of the last start if there is none.  With a target, a
    sample is done at the first iterate that is classified as the target.

    Parameters
    ----------
    model, x, y, epsilon
        See `fgsm`.
    steps : int, default 40
        Number of steps from each start.
    starts : int, default 2
    loss : object with ``value_and_gradient(logits, y, target=None)``, default `SoftmaxCrossEntropy`
        The loss to ascend.  `Margin` keeps its gradient where cross entropy has none.
    target : ndarray of int, shape (N,), or "all", optional
        See `fgsm`.
    gradients : callable, optional
        Source of the gradients (see `minirobust.attacks.surrogates`); by default, the model itself.
    stop : bool, default True
        Whether a sample is done at the first iterate that fools.  Such an image lies close to this model's decision
        boundary, so it rarely transfers to another model, and on a random model it may succeed only because of a lucky
        draw.  If False, every step of every start is taken, and the last iterate of the last start is returned.
    seed : int, default 0
        Seed of the starts.  A sample's start depends only on the seed and on its position in `x`.
    history : bool, default False
        Whether to record a `history`, for `minirobust.plots.attack_history`.
    progress : bool, default False
        Whether to show a progress bar in a terminal.

    Returns
    -------
    Attack

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
    >>> pgd(net, x, y, epsilon=0.1, steps=5).fooled
    array([ True, False])
    """
    return from_starts(
        _climb, "pgd", model, x, y, epsilon, steps, starts, loss, target, gradients, stop, seed, history, progress
    )


def from_starts(
    climb: Callable[..., Array],
    name: str,
    model: Any,
    x: Array,
    y: Array,
    epsilon: Epsilon,
    steps: int,
    starts: int,
    loss: Loss | None,
    target: Target,
    gradients: Gradients | None,
    stop: bool,
    seed: int,
    history: bool,
    progress: bool,
) -> Attack:
    """Run `climb` (see `_climb`) from each start and return the attack; the other arguments are those of `pgd`."""
    model, x, y, loss = under_attack(model, x, y, loss)
    epsilon, target = check_epsilon(model, epsilon, x), check_target(model, target, y, loss)
    steps, starts = positive_int(name, "steps", steps), positive_int(name, "starts", starts)
    seed = check_seed(seed)
    guides = [model if gradients is None else gradients(model, k, steps) for k in range(steps)]
    recorder = Recorder(model, len(x)) if history else None

    def attack(images: Array, labels: Array, aim: Array | None, chunk: slice, standing: Any, out: Array) -> None:
        goal = None if isinstance(target, str) else aim  # with all targets, any class that fools counts
        if not stop:
            goal = model.xp.full(len(labels), model.classes)  # a class that is never predicted, so no sample is done
        offsets = (_offset(model, start, seed, chunk)[standing] for start in range(starts))
        note = recorder.at(chunk, standing) if recorder else unrecorded
        radius = part(epsilon, chunk, standing)
        out[...] = climb(model, guides, loss, images, labels, aim, goal, radius, offsets, note)

    images = by_chunks(model, x, y, target, attack, name, progress)
    followed = recorder.history() if recorder else None
    return Attack.judge(model, x, y, images, epsilon, seed, target=target, history=followed)


def ball(model: Model, x: Array, epsilon: Epsilon) -> tuple[Array, Array]:
    """Return the smallest and the largest value that each pixel can have within ε of `x` and in the input range."""
    low, high = model.input_range
    return model.xp.clip(x - epsilon, low, high), model.xp.clip(x + epsilon, low, high)


def _offset(model: Model, start: int, seed: int, chunk: slice) -> Array:
    """Return a start relative to x, in units of ε: first x itself, then random points in the ball."""
    shape = model.input_shape
    if start == 0:
        return model.xp.zeros((chunk.stop - chunk.start, *shape), dtype=model.dtype)
    return model.backend.asarray((2 * uniform((seed, start), chunk, shape) - 1).astype(model.dtype))


def _climb(
    model: Model,
    guides: Sequence[Model],
    loss: Loss,
    x: Array,
    y: Array,
    aim: Array | None,
    goal: Array | None,
    epsilon: Epsilon,
    offsets: Iterable[Array],
    note: Note,
) -> Array:
    """Return, for every sample, the first iterate that fools or has the class `goal`, else the last one."""
    images, alpha = x.copy(), 2.5 * epsilon / len(guides)
    low, high = ball(model, x, epsilon)
    standing = model.xp.arange(len(x))  # samples that are not done; y, aim, goal, alpha and the bounds are theirs
    for offset in offsets:
        iterate = model.xp.clip((x + epsilon * offset)[standing], low, high)
        for guide in guides:
            logits, losses, gradient = guide.gradient(iterate, y, loss, aim)
            left = where_missing(model, logits, y, goal)
            note(standing, losses, left)
            if len(left) < len(y):
                images[standing] = iterate
                standing, iterate, gradient = standing[left], iterate[left], gradient[left]
                y, aim, goal, alpha, low, high = rows(left, y, aim, goal, alpha, low, high)
            if not len(standing):
                return images
            iterate = model.backend.sign_step(iterate, gradient, alpha, low, high)
        images[standing] = iterate
        logits = model.logits(iterate)
        left = where_missing(model, logits, y, goal)
        note(standing, evaluate(loss, model.backend, logits, y, aim)[0], left)
        standing, y, aim, goal, alpha, low, high = rows(left, standing, y, aim, goal, alpha, low, high)
        if not len(standing):
            return images
    return images
