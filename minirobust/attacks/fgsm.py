"""The fast gradient sign method: one step, as far as allowed, in every pixel (Goodfellow et al., 2015)."""

from __future__ import annotations

from minirobust.attacks.attack import Attack, check_epsilon, check_samples
from minirobust.backend import Array
from minirobust.losses import Loss
from minirobust.network import Network


def fgsm(network: Network, x: Array, y: Array, epsilon: float = 0.1, *, loss: Loss | None = None) -> Attack:
    """x' = clip(x + ε sign(∂L/∂x)), with sign(0) = 0.

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
    gradient = network.input_gradient(x, y, loss)
    images = network.xp.clip(x + epsilon * network.xp.sign(gradient), *network.input_range)
    return Attack.judge(network, x, y, images, epsilon)
