"""Sources of an attack's gradients: `gradients=` takes a function (model, k, K) → model for step k of K.

A gradient can be useless even though the network is not robust: a saturated unit passes almost no gradient, and a step
function has none.  Each function here returns a model with the same predictions but a different gradient.  Whether an
image fools the attacked model is always decided by that model itself.

Sources: Athalye et al. (2018), *Obfuscated Gradients Give a False Sense of Security*, for replaced derivatives in the
backward pass and for the expectation over random models; Guo et al. (2020), *Backpropagating Linearly Improves
Transferability of Adversarial Examples*; Smilkov et al. (2017), *SmoothGrad*; Ilyas et al. (2018), *Black-box
Adversarial Attacks with Limited Queries and Information*, for the estimate from differences.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from minirobust.backend import Array
from minirobust.layers import Layer
from minirobust.losses import Loss, evaluate
from minirobust.model import Model, Wrapper
from minirobust.network import Network
from minirobust.stack import Evaluation
from minirobust.validation import check_seed, number, positive_int

Gradients = Callable[[Model, int, int], Model]

ONE_STEP = 2 / 3  # the amount of smoothing for a one-step attack, which gives 64^(2/3) T = 16 T


def annealed(start: float = 64) -> Gradients:
    """Smooth the derivatives of the activations, less in every step, until the last step uses the true derivatives.

    In step k of K, counted from 0, a temperature sigmoid's derivative is taken at T · start^(1 - k/(K - 1)).  The
    smoothing widths of other activations shrink in proportion (see `Layer.smoothed_gradient`).  A one-step attack uses
    T · start^(2/3), which is 16 T for a start of 64.

    Parameters
    ----------
    start : float, default 64
        Factor of the temperature in the first step, above 1.

    Returns
    -------
    callable
        A function for the argument `gradients` of an attack.
    """
    most = math.log(number("annealed", "start", start, low=1)) / math.log(64)

    def gradients(model: Model, k: int, K: int) -> Model:
        return smoothed(model, most * (ONE_STEP if K == 1 else 1 - k / (K - 1)))

    return gradients


def smoothed(model: Model | Network, amount: float) -> Model:
    """Return a surrogate of a network with derivatives smoothed by `amount`, or any other model unchanged.

    Parameters
    ----------
    model : Network or Model
    amount : float
        0 for the true derivatives, 1 for those of the first step of `annealed`.

    Returns
    -------
    Model
    """
    if isinstance(model, Network):
        model = Evaluation(model)
    return Surrogate(model, amount) if isinstance(model, Evaluation) else model


class Surrogate(Evaluation):
    """A network's own weights and forward pass, with smoothed derivatives of its activations in the backward pass.

    Parameters
    ----------
    model : Evaluation
    amount : float
        See `smoothed`.
    """

    def __init__(self, model: Evaluation, amount: float) -> None:
        super().__init__(model.network)
        self.amount, self.effort = amount, model.effort

    def through(self, layer: Layer, grad: Array) -> Array:
        """Return ∂L/∂x of a layer given ∂L/∂y, using its smoothed derivative."""
        return layer.smoothed_gradient(grad, self.amount)


def averaged(sigma: float, draws: int = 50, seed: int = 0) -> Gradients:
    """Average the gradient over Gaussian noise on the image.

    This works for any model and costs `draws` gradients per step.

    Parameters
    ----------
    sigma : float
        Standard deviation of the noise.  Noisy images are not clipped to the input range.
    draws : int, default 50
    seed : int, default 0

    Returns
    -------
    callable
        A function for the argument `gradients` of an attack.
    """
    sigma = number("averaged", "sigma", sigma, low=0)
    draws, seed = positive_int("averaged", "draws", draws), check_seed(seed)
    return lambda model, k, K: _Averaged(model, sigma, draws, (seed, k))


def differences(sigma: float, draws: int = 50, seed: int = 0) -> Gradients:
    """Estimate the gradient from differences of the loss, for a model whose own gradient is zero or missing.

    The estimate is Σ (L(x + σu) - L(x - σu)) u / (2 σ · draws), with Gaussian u.

    Parameters
    ----------
    sigma : float
        Standard deviation of the noise.
    draws : int, default 50
        Each draw takes two forward passes.
    seed : int, default 0

    Returns
    -------
    callable
        A function for the argument `gradients` of an attack.
    """
    sigma = number("differences", "sigma", sigma, low=0)
    draws, seed = positive_int("differences", "draws", draws), check_seed(seed)
    return lambda model, k, K: _Differences(model, sigma, draws, (seed, k))


def expectation(draws: int = 10) -> Gradients:
    """Average the gradient over several draws of a random model (expectation over transformation).

    Every step uses new draws.

    Parameters
    ----------
    draws : int, default 10

    Returns
    -------
    callable
        A function for the argument `gradients` of an attack.
    """
    draws = positive_int("expectation", "draws", draws)
    return lambda model, k, K: _Expectation(model, range(1 + k * draws, 1 + (k + 1) * draws))


class _Guide(Wrapper):
    """A model with the predictions of another model; subclasses give it a different gradient."""

    def __init__(self, model: Model) -> None:
        super().__init__(model, model.effort)

    def logits(self, x: Array, draw: int = 0) -> Array:
        return self.model.logits(x, draw)

    def gradient(
        self, x: Array, y: Array, loss: Loss, target: Array | None = None, draw: int = 0
    ) -> tuple[Array, Array, Array]:
        logits = self.logits(x, draw)
        losses, _ = evaluate(loss, self.backend, logits, y, target)
        return logits, losses, self.estimate(x, y, loss, target)

    def estimate(self, x: Array, y: Array, loss: Loss, target: Array | None) -> Array:
        raise NotImplementedError

    def normal(self, key: tuple[int, ...], shape: tuple[int, ...]) -> Array:
        """Draw Gaussian numbers on the host, so that they are the same on every backend."""
        return self.backend.asarray(np.random.default_rng(key).standard_normal(shape).astype(self.dtype))


class _Averaged(_Guide):
    def __init__(self, model: Model, sigma: float, draws: int, key: tuple[int, ...]) -> None:
        super().__init__(model)
        self.sigma, self.draws, self.key = sigma, draws, key

    def estimate(self, x: Array, y: Array, loss: Loss, target: Array | None) -> Array:
        total = self.xp.zeros_like(x)
        for draw in range(self.draws):
            noisy = x + self.sigma * self.normal((*self.key, draw), x.shape)
            total += self.model.gradient(noisy, y, loss, target)[2]
        return total / self.draws


class _Differences(_Averaged):
    def estimate(self, x: Array, y: Array, loss: Loss, target: Array | None) -> Array:
        total = self.xp.zeros_like(x)
        for draw in range(self.draws):
            u = self.normal((*self.key, draw), x.shape)
            above, below = (
                evaluate(loss, self.backend, self.logits(x + side * self.sigma * u), y, target)[0] for side in (1, -1)
            )
            total += (above - below).reshape(-1, *[1] * (x.ndim - 1)) * u
        return total / (2 * self.sigma * self.draws)


class _Expectation(_Guide):
    def __init__(self, model: Model, draws: range) -> None:
        super().__init__(model)
        self.draws = draws

    def estimate(self, x: Array, y: Array, loss: Loss, target: Array | None) -> Array:
        total = self.xp.zeros_like(x)
        for draw in self.draws:
            total += self.model.gradient(x, y, loss, target, draw)[2]
        return total / len(self.draws)
