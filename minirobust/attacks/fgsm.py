"""The fast gradient attacks, one step from the image: along the gradient's sign (FGSM) or along the gradient (FGVM)."""

from __future__ import annotations

import math

import numpy as np

from minirobust.attacks.attack import Attack, check_epsilon, under_attack
from minirobust.backend import Array
from minirobust.losses import Loss
from minirobust.network import Network
from minirobust.stack import Evaluation, most_likely


def fgsm(network: Network, x: Array, y: Array, epsilon: float = 0.1, *, loss: Loss | None = None) -> Attack:
    """x' = clip(x + ε sign(∂L/∂x)), with sign(0) = 0 (Goodfellow et al., 2015).

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
    loss : object with ``value_and_gradient(logits, y)``, default `SoftmaxCrossEntropy`

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
    images = model.xp.empty(x.shape, dtype=x.dtype)
    clean = model.xp.empty(len(x), dtype="int64")
    for chunk in model.chunks(len(x)):
        logits, _, gradient = model.gradient(x[chunk], y[chunk], loss)
        clean[chunk] = most_likely(model.backend, logits)
        images[chunk] = sign_step(model, x[chunk], gradient, epsilon)
    return Attack.judge(model, x, y, images, epsilon, clean_predictions=clean)


def sign_step(model: Evaluation, x: Array, gradient: Array, epsilon: float) -> Array:
    """Return clip(x + ε sign(g)): FGSM's formula, once the gradient is known."""
    return model.backend.sign_step(x, gradient, epsilon, *model.input_range)


def fgvm(network: Network, x: Array, y: Array, epsilon: float = 0.1, *, loss: Loss | None = None) -> Attack:
    """x' = clip(x + ε g / max|g|) with g = ∂L/∂x; a sample whose gradient is zero stays as it is.

    The fast gradient value method (Rozsa et al., 2016) steps along the gradient itself.  The study gives no scale for
    it; we divide by each sample's largest |g|, so that its most sensitive pixel moves by ε.

    See `fgsm` for the arguments and errors.
    """
    epsilon = check_epsilon(network, epsilon)
    model, x, y, loss = under_attack(network, x, y, loss)
    xp = model.xp
    images = xp.empty(x.shape, dtype=x.dtype)
    pixels = tuple(range(1, x.ndim))
    for chunk in model.chunks(len(x)):
        _, _, g = model.gradient(x[chunk], y[chunk], loss)
        with np.errstate(all="ignore"):  # the smallest elements may underflow
            g = xp.where(abs(g) < math.inf, g, 0)  # NaN and infinity have no direction
            largest = xp.abs(g).max(axis=pixels, keepdims=True)
            direction = g / (largest + (largest == 0))  # where all of g is 0, divide by 1
            images[chunk] = xp.clip(x[chunk] + epsilon * direction, *model.input_range)
    return Attack.judge(model, x, y, images, epsilon)
