"""Losses: stateless objects with `value` and `gradient`, both per sample.

Nothing is averaged here.  An attack on a batch must not depend on the batch's size, and a mean over many samples can
underflow.  Training divides by the batch size itself.
"""

from __future__ import annotations

import math
from typing import Protocol

from minirobust import backend
from minirobust.backend import Array
from minirobust.validation import check_labels


class Loss(Protocol):
    """What `fit` and attacks ask of a loss; write your own with these two methods."""

    def value(self, logits: Array, y: Array) -> Array:
        """Per-sample loss (N,) for logits (N, K) and labels (N,)."""

    def gradient(self, logits: Array, y: Array) -> Array:
        """Its gradient with respect to the logits, (N, K)."""


class SoftmaxCrossEntropy:
    """L = -log softmax(z)_y = log Σ_j exp(z_j) - z_y, natural logarithm.

    The gradient is p_j for j ≠ y and -Σ_{j≠y} p_j for y.  The usual p_y - 1 rounds to zero in float32 from a margin of
    17 upwards, while the other classes' gradients live on: then the gradient of a confident sample points in a wrong
    direction.
    """

    def __repr__(self) -> str:
        return "SoftmaxCrossEntropy()"

    def value(self, logits: Array, y: Array) -> Array:
        """Per-sample loss.

        Parameters
        ----------
        logits : ndarray of shape (N, K)
        y : ndarray of int, shape (N,)

        Returns
        -------
        ndarray of shape (N,), from 0 upwards

        Raises
        ------
        ValueError, TypeError
            If shapes do not fit or labels are not integers in [0, K).
        """
        return self.value_and_gradient(logits, y)[0]

    def gradient(self, logits: Array, y: Array) -> Array:
        """∂L/∂logits of shape (N, K); see `value` for the arguments."""
        return self.value_and_gradient(logits, y)[1]

    def value_and_gradient(self, logits: Array, y: Array) -> tuple[Array, Array]:
        """Both for one softmax: what training asks for."""
        home = backend.of(logits)
        return home.softmax_cross_entropy(logits, check_labels(y, logits.shape, home))


class Margin:
    """L = max_{j≠y} z_j - z_y: above 0 exactly where the network is wrong.

    It keeps its gradient where cross entropy, rounded, has none.  Of several runners-up the first one counts.
    """

    def __repr__(self) -> str:
        return "Margin()"

    def value(self, logits: Array, y: Array) -> Array:
        """Per-sample margin (N,), in logits; see `SoftmaxCrossEntropy.value` for arguments and errors."""
        y, rival = self._rival(logits, y)
        samples = backend.of(logits).xp.arange(len(logits))
        return logits[samples, rival] - logits[samples, y]

    def gradient(self, logits: Array, y: Array) -> Array:
        """∂L/∂logits of shape (N, K): 1 for the runner-up, -1 for y."""
        xp = backend.of(logits).xp
        y, rival = self._rival(logits, y)
        classes = xp.arange(logits.shape[1])
        ones = (classes == rival[:, None]).astype(logits.dtype)
        return ones - (classes == y[:, None]).astype(logits.dtype)

    def _rival(self, logits: Array, y: Array) -> tuple[Array, Array]:
        """The labels and the strongest other class of each sample."""
        home = backend.of(logits)
        if len(logits.shape) == 2 and logits.shape[1] < 2:
            raise ValueError(f"Margin: expected at least two classes, got logits of shape {logits.shape}")
        y = check_labels(y, logits.shape, home)
        others = home.xp.where(home.xp.arange(logits.shape[1]) == y[:, None], -math.inf, logits)
        return y, others.argmax(axis=1)
