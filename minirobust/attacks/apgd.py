"""Auto-PGD: gradient ascent with momentum that halves its own step size (Croce & Hein, 2020, Algorithm 1)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minirobust.attacks.attack import Attack, Epsilon, Target, rows, where_missing
from minirobust.attacks.history import Note
from minirobust.attacks.pgd import ball, from_starts
from minirobust.attacks.surrogates import Gradients
from minirobust.backend import Array
from minirobust.losses import Loss
from minirobust.model import Model

MOMENTUM = 0.75  # the paper's α: the share of a step that follows the gradient; the rest repeats the last step
ENOUGH_RISES = 0.75  # the paper's ρ: the step size is halved unless the loss rises in this share of the steps


def apgd(
    model: Any,
    x: Array,
    y: Array,
    epsilon: Epsilon = 0.1,
    *,
    steps: int = 100,
    starts: int = 1,
    loss: Loss | None = None,
    target: Target = None,
    gradients: Gradients | None = None,
    stop: bool = True,
    seed: int = 0,
    history: bool = False,
    progress: bool = False,
) -> Attack:
    """Ascend the loss with momentum, and halve the step size of samples that make too little progress.

    A step is z = project(x_k + η sign(∂L/∂x_k)), x_{k+1} = project(x_k + 0.75 (z - x_k) + 0.25 (x_k - x_{k-1})).  The
    projection is that of `pgd`, and the first step, from x_0 to x_1, has no momentum.  The step size η starts at 2 ε.
    At each of the `checkpoints`, it is halved for a sample if the loss rose in fewer than three quarters of the steps
    since the previous checkpoint, or if the step size was not halved at that checkpoint and the largest loss has not
    risen since.  Such a sample continues from its point of largest loss.

    The first start is x itself; further starts are uniform in the ε-ball.  A sample is done at the first iterate that
    fools the model or, with a target, that is classified as the target.  The result contains this iterate, or the point
    of largest loss over all starts if there is none.  With the model's own gradient, the first step from x is that of
    `fgsm`, so `apgd` fools the model wherever `fgsm` does.

    Parameters
    ----------
    model, x, y, epsilon
        See `fgsm`.
    steps : int, default 100
        Number of steps from each start.
    starts : int, default 1
    loss : object with ``value_and_gradient(logits, y, target=None)``, default `SoftmaxCrossEntropy`
        The loss to ascend.
    target : ndarray of int, shape (N,), or "all", optional
        See `fgsm`.
    gradients : callable, optional
        Source of the gradients (see `minirobust.attacks.surrogates`); by default, the model itself.
    stop : bool, default True
        Whether a sample is done at the first iterate that fools.  If False, every step of every start is taken, and the
        point of largest loss is returned.  See `pgd`.
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

    Notes
    -----
    Where the authors' code differs from the paper, this function follows the paper.  Their code counts the first step
    as a rise if its loss is above 0, rather than above the loss of the start.  It does not apply the second condition
    at the first checkpoint.  It also halves η if the loss rose in exactly three quarters of the steps.  It rounds the
    intervals between checkpoints down, so the checkpoints are the same only if `steps` is a multiple of 100.

    There is one exception: at a checkpoint k, the best point replaces x_k, as in their code.  In the paper it replaces
    x_{k+1}, so that x_{k+1} is computed for nothing.  Starting at x and stopping at the first iterate that fools are
    our choices; the authors start at a random point and take all steps.
    """
    return from_starts(
        _climb, "apgd", model, x, y, epsilon, steps, starts, loss, target, gradients, stop, seed, history, progress
    )


def checkpoints(steps: int) -> dict[int, int]:
    """Return the steps after which step sizes are checked, each with the number of steps since the previous check.

    Checkpoint j is at ⌈p_j · steps⌉ with p_0 = 0, p_1 = 0.22 and p_{j+1} = p_j + max(p_j - p_{j-1} - 0.03, 0.06).
    """
    percent = [0, 22]  # whole numbers: 0.57 · 100 is above 57 in floating point
    while percent[-1] < 100:
        percent.append(percent[-1] + max(percent[-1] - percent[-2] - 3, 6))
    places = sorted({-(-p * steps // 100) for p in percent if p <= 100})
    return {place: place - before for before, place in zip([0, *places], places, strict=False)}


class _Ascent(NamedTuple):
    """The state of Algorithm 1: each array has one row per sample."""

    now: Array  # x_k
    before: Array  # x_{k-1}
    gradient: Array  # at x_k
    loss: Array  # at the last point evaluated; a checkpoint may have replaced x_k since
    step: Array  # η, for every pixel
    rises: Array  # number of steps since the last checkpoint in which the loss rose
    best: Array  # the point of largest loss
    best_gradient: Array
    best_loss: Array
    best_loss_then: Array  # at the last checkpoint
    halved: Array  # whether the step size was halved there


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
    """Return, for every sample, the first iterate that fools or has the class `goal`, else the one of largest loss."""
    xp, intervals = model.xp, checkpoints(len(guides))
    images, largest = x.copy(), xp.full(len(x), -math.inf)
    low, high = ball(model, x, epsilon)
    standing = xp.arange(len(x))  # samples that are not done; y, aim, goal, the bounds and the ascent are theirs
    for offset in offsets:
        ascent = _begin(model, xp.clip((x + epsilon * offset)[standing], low, high), *rows(standing, epsilon))
        for k, guide in enumerate((*guides, model)):  # the model itself evaluates the last iterate
            if k > 0:
                ascent = _step(model, ascent, low, high, MOMENTUM if k > 1 else 1)
            logits, losses, gradient = guide.gradient(ascent.now, y, loss, aim)
            left = where_missing(model, logits, y, goal)
            note(standing, losses, left)
            if len(left) < len(y):
                # The remaining samples keep the image that an earlier start found.
                images[standing], images[standing[left]] = ascent.now, images[standing[left]]
                ascent = _Ascent(*rows(left, *ascent))
                standing, losses, gradient = rows(left, standing, losses, gradient)
                y, aim, goal, low, high = rows(left, y, aim, goal, low, high)
            if not len(standing):
                return images
            ascent = _record(model, ascent, losses, gradient)
            if k in intervals:
                ascent = _check(model, ascent, intervals[k])
        better = ascent.best_loss > largest[standing]
        images[standing] = xp.where(_each(better, x), ascent.best, images[standing])
        largest[standing] = xp.where(better, ascent.best_loss, largest[standing])
    return images


def _begin(model: Model, start: Array, epsilon: Epsilon) -> _Ascent:
    """Return the ascent at a start, before its loss is known."""
    xp, samples = model.xp, len(start)
    step = xp.zeros_like(start) + 2 * epsilon
    lowest = xp.full(samples, -math.inf, dtype=start.dtype)
    rises, halved = xp.zeros(samples, dtype="int64"), xp.zeros(samples, dtype=bool)
    return _Ascent(start, start, start, -lowest, step, rises, start, start, lowest, lowest, halved)


def _record(model: Model, ascent: _Ascent, losses: Array, gradient: Array) -> _Ascent:
    """Return the ascent with the loss and the gradient at x_k, which is the best point if its loss is the largest."""
    where, better = model.xp.where, losses > ascent.best_loss
    return ascent._replace(
        gradient=gradient,
        loss=losses,
        rises=ascent.rises + (losses > ascent.loss),
        best=where(_each(better, gradient), ascent.now, ascent.best),
        best_gradient=where(_each(better, gradient), gradient, ascent.best_gradient),
        best_loss=where(better, losses, ascent.best_loss),
    )


def _check(model: Model, ascent: _Ascent, interval: int) -> _Ascent:
    """Return the ascent after a checkpoint: at the best point with half the step size, where progress has stalled."""
    where = model.xp.where
    stalled = ~ascent.halved & (ascent.best_loss == ascent.best_loss_then)
    halve = (ascent.rises < ENOUGH_RISES * interval) | stalled
    each = _each(halve, ascent.now)
    return ascent._replace(
        now=where(each, ascent.best, ascent.now),
        gradient=where(each, ascent.best_gradient, ascent.gradient),
        step=where(each, ascent.step / 2, ascent.step),
        rises=model.xp.zeros_like(ascent.rises),
        best_loss_then=ascent.best_loss,
        halved=halve,
    )


def _step(model: Model, ascent: _Ascent, low: Array, high: Array, momentum: float) -> _Ascent:
    """Return the ascent at x_{k+1}, after a step along the gradient's sign and a fraction of the previous step."""
    now = ascent.now
    z = model.backend.sign_step(now, ascent.gradient, ascent.step, low, high)
    with np.errstate(all="ignore"):  # small differences may underflow
        after = now + momentum * (z - now) + (1 - momentum) * (now - ascent.before)
    return ascent._replace(now=model.xp.clip(after, low, high), before=now)


def _each(samples: Array, x: Array) -> Array:
    """Return one value for each sample in a shape that broadcasts against `x`."""
    return samples.reshape(-1, *[1] * (x.ndim - 1))
