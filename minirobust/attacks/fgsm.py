"""The fast gradient attacks, one step from the image: along the gradient's sign (FGSM) or along the gradient (FGVM)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minirobust.attacks.attack import (
    Attack,
    Epsilon,
    Target,
    by_chunks,
    check_epsilon,
    check_target,
    part,
    under_attack,
)
from minirobust.attacks.surrogates import Gradients
from minirobust.backend import Array
from minirobust.losses import Loss
from minirobust.model import Model, most_likely


def fgsm(
    model: Any,
    x: Array,
    y: Array,
    epsilon: Epsilon = 0.1,
    *,
    loss: Loss | None = None,
    target: Target = None,
    gradients: Gradients | None = None,
) -> Attack:
    """Move each pixel by ε along the sign of its gradient: x' = clip(x + ε sign(∂L/∂x)), with sign(0) = 0.

    This is the fast gradient sign method (Goodfellow et al., 2015).

    Parameters
    ----------
    model : Network or Model
        A network that ends in logits, or any other `Model`.
    x : ndarray of float, shape (N, *input_shape)
        Within the model's `input_range`.
    y : ndarray of int, shape (N,)
        True labels.
    epsilon : float or ndarray, default 0.1
        From 0 to the width of the input range; an array broadcasts against `x`: (N, 1, 1, 1) for one per image, or (C,)
        for one per channel.
    loss : object with ``value_and_gradient(logits, y, target=None)``, default `SoftmaxCrossEntropy`
    target : ndarray of int, shape (N,), or "all", optional
        Classes to aim at.  "all" aims at every other class in turn, from the largest logit down, until one succeeds.
    gradients : callable, optional
        Where the gradient comes from (see `minirobust.attacks.surrogates`); by default, the model itself.

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
    >>> fgsm(net, x, y, epsilon=0.1).fooled
    array([ True, False])
    """
    return _one_step(sign_step, model, x, y, epsilon, loss, target, gradients)


def sign_step(model: Model, x: Array, gradient: Array, epsilon: Epsilon, out: Array | None = None) -> Array:
    """Return clip(x + ε sign(g)), in `out` if given: FGSM's formula, once the gradient is known."""
    return model.backend.sign_step(x, gradient, epsilon, *model.input_range, out=out)


def fgvm(
    model: Any,
    x: Array,
    y: Array,
    epsilon: Epsilon = 0.1,
    *,
    loss: Loss | None = None,
    target: Target = None,
    gradients: Gradients | None = None,
) -> Attack:
    """Step along the gradient itself: x' = clip(x + ε g / max|g|), with g = ∂L/∂x.

    This is the fast gradient value method (Rozsa et al., 2016).  A sample whose gradient is zero stays as it is.  The
    study gives no scale for the step; we divide by each sample's largest |g|, so that its most sensitive pixel moves
    by ε.

    Parameters
    ----------
    model, x, y, epsilon, loss, target, gradients
        See `fgsm`.

    Returns
    -------
    Attack

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong; the message says what was expected.
    """
    return _one_step(value_step, model, x, y, epsilon, loss, target, gradients)


def value_step(model: Model, x: Array, gradient: Array, epsilon: Epsilon, out: Array | None = None) -> Array:
    """Return clip(x + ε g / max|g|), in `out` if given: FGVM's formula, once the gradient is known."""
    xp = model.xp
    with np.errstate(all="ignore"):  # the smallest elements may underflow
        g = xp.where(abs(gradient) < math.inf, gradient, 0)  # NaN and infinity have no direction
        largest = xp.abs(g).max(axis=tuple(range(1, x.ndim)), keepdims=True)
        direction = g / (largest + (largest == 0))  # where all of g is 0, divide by 1
        return xp.clip(x + epsilon * direction, *model.input_range, out=out)


def _one_step(
    step: Callable[[Model, Array, Array, Epsilon, Array], Array],
    model: Any,
    x: Array,
    y: Array,
    epsilon: Epsilon,
    loss: Loss | None,
    target: Target,
    gradients: Gradients | None,
) -> Attack:
    """Return the attack that takes this one step."""
    model, x, y, loss = under_attack(model, x, y, loss)
    epsilon, target = check_epsilon(model, epsilon, x), check_target(model, target, y, loss)
    guide = model if gradients is None else gradients(model, 0, 1)
    clean = model.xp.empty(len(x), dtype="int64")

    def attack(now: Array, labels: Array, aim: Array | None, chunk: slice, standing: Any, out: Array) -> None:
        logits, _, gradient = guide.gradient(now, labels, loss, aim)
        clean[chunk][standing] = most_likely(model.backend, logits)
        step(model, now, gradient, part(epsilon, chunk, standing), out)

    images = by_chunks(model, x, y, target, attack)
    return Attack.judge(model, x, y, images, epsilon, clean_predictions=clean, target=target)
