"""`Answers`: logits and gradients of our networks as NumPy arrays, for the attacks of other libraries."""

from __future__ import annotations

import numpy as np

from minirobust.attacks.attack import as_model
from minirobust.backend import Array
from minirobust.losses import Loss
from minirobust.model import Model
from minirobust.network import Network


class WeightedLogits:
    """The loss L = Σ w · z, with weights w in place of labels, so that ∂L/∂x is a vector-Jacobian product."""

    def value_and_gradient(self, logits: Array, y: Array, target: Array | None = None) -> tuple[Array, Array]:
        """Return per-sample losses and their gradients with respect to the logits, which are the weights."""
        weights = y.astype(logits.dtype)
        return (weights * logits).sum(axis=1), weights


class Answers:
    """A network's logits and input gradients for any number of samples; several threads may call it.

    `logits` and `gradient` are functions of the kind that `minirobust.foreign.function` takes.

    Parameters
    ----------
    network : Network or Model

    Raises
    ------
    ValueError, TypeError
        If a network does not end in logits, or an object is not a model.
    """

    def __init__(self, network: Network | Model) -> None:
        model = as_model(network)
        self.network, self.classes, self.dtype = network, model.classes, model.dtype
        self.input_shape, self.input_range = model.input_shape, model.input_range

    def logits(self, x: np.ndarray) -> np.ndarray:
        """Return the logits, (N, classes)."""
        model, x = self._enter(x)
        logits = model.xp.empty((len(x), self.classes), dtype=x.dtype)
        for chunk in model.chunks(len(x)):
            logits[chunk] = model.logits(x[chunk])
        return model.backend.to_numpy(logits)

    def gradient(self, x: np.ndarray, grad_logits: np.ndarray) -> np.ndarray:
        """Return ∂(Σ grad_logits · z)/∂x."""
        return self.loss_gradient(x, grad_logits, WeightedLogits())

    def loss_gradient(self, x: np.ndarray, y: np.ndarray, loss: Loss) -> np.ndarray:
        """Return ∂L/∂x."""
        model, x = self._enter(x)
        y, gradient = model.backend.asarray(y), model.xp.empty(x.shape, dtype=x.dtype)
        for chunk in model.chunks(len(x)):
            gradient[chunk] = model.gradient(x[chunk], y[chunk], loss)[2]
        return model.backend.to_numpy(gradient)

    def _enter(self, x: np.ndarray) -> tuple[Model, Array]:
        """Return a view of the network for this call, and `x` on its backend.

        Some attacks pass NaN where they found no image, so values are not checked.
        """
        model = as_model(self.network)
        if x.shape[1:] != model.input_shape:
            shape = ", ".join(map(str, ("N", *model.input_shape)))
            raise ValueError(f"foreign: expected shape ({shape}), got {x.shape}")
        return model, model.backend.asarray(np.ascontiguousarray(x, model.dtype))
