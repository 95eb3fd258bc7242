"""The fast gradient attacks, one step from the image: along the gradient's sign (FGSM) or along the gradient (FGVM)."""

from __future__ import annotations

from minirobust.attacks.attack import Attack, check_epsilon, check_samples
from minirobust.backend import Array
from minirobust.losses import Loss
from minirobust.network import Network


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
    loss : object with ``gradient(logits, y)``, default `SoftmaxCrossEntropy`

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
    images = network.xp.empty(x.shape, dtype=x.dtype)
    clean = network.xp.empty(len(x), dtype="int64")
    for chunk in network.chunks(len(x)):
        logits, gradient = network.logits_and_input_gradient(x[chunk], y[chunk], loss)
        clean[chunk] = logits.argmax(axis=1)
        images[chunk] = sign_step(network, x[chunk], gradient, epsilon)
    return Attack.judge(network, x, y, images, epsilon, clean_predictions=clean)


def sign_step(network: Network, x: Array, gradient: Array, epsilon: float) -> Array:
    """clip(x + ε sign(g)): FGSM's formula, once the gradient is known."""
    return network.xp.clip(x + epsilon * network.xp.sign(gradient), *network.input_range)


def fgvm(network: Network, x: Array, y: Array, epsilon: float = 0.1, *, loss: Loss | None = None) -> Attack:
    """x' = clip(x + ε g / max|g|) with g = ∂L/∂x; a sample whose gradient is zero stays as it is.

    The fast gradient value method (Rozsa et al., 2016) steps along the gradient itself.  The study gives no scale for
    it; dividing by each sample's largest |g|, so that its most sensitive pixel moves by ε, is our choice.

    See `fgsm` for the arguments and errors.
    """
    epsilon = check_epsilon(network, epsilon)
    x, y = check_samples(network, x, y)
    xp = network.xp
    images = xp.empty(x.shape, dtype=x.dtype)
    pixels = tuple(range(1, x.ndim))
    for chunk in network.chunks(len(x)):
        g = network.input_gradient(x[chunk], y[chunk], loss)
        largest = xp.abs(g).max(axis=pixels, keepdims=True)
        direction = g / (largest + (largest == 0))  # where all of g is 0, divide by 1
        images[chunk] = xp.clip(x[chunk] + epsilon * direction, *network.input_range)
    return Attack.judge(network, x, y, images, epsilon)
