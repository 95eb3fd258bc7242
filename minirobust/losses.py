"""Losses: stateless objects with one method, `value_and_gradient`, per sample.

Nothing is averaged here.  An attack on a batch must not depend on the batch's size, and a mean over many samples can
underflow.  Training divides by the batch size itself.
"""

from __future__ import annotations

import math
from typing import ClassVar, Protocol

from minirobust import backend as backends
from minirobust.backend import Array, Backend
from minirobust.floating_point import ERROR_MODE, IGNORE
from minirobust.validation import check_labels, check_loss, check_per_sample


class Loss(Protocol):
    """What training and attacks need of a loss: any object with this method is one."""

    def value_and_gradient(self, logits: Array, y: Array, target: Array | None = None) -> tuple[Array, Array]:
        """Return per-sample losses (N,) and their gradients with respect to the logits (N, K).

        Training descends the loss and attacks ascend it.  With a `target`, ascending leads towards that class.
        """


class LossOfLogits:
    """What the library's own losses share: they check their labels, and then compute `formula`."""

    least_classes: ClassVar[int] = 2

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def value_and_gradient(self, logits: Array, y: Array, target: Array | None = None) -> tuple[Array, Array]:
        """Return per-sample losses and their gradients with respect to the logits.

        Parameters
        ----------
        logits : ndarray of shape (N, K)
        y : ndarray of int, shape (N,)
            True labels.
        target : ndarray of int, shape (N,), optional
            Classes that an attack aims at: then the loss is minus that of `target` in place of `y`, and ascending it
            leads towards `target`.

        Returns
        -------
        value : ndarray of shape (N,)
        gradient : ndarray of shape (N, K)

        Raises
        ------
        ValueError, TypeError
            If shapes do not match, labels are not integers in [0, K), or K < 2.
        """
        backend = backends.of(logits)
        y = check_labels(y, tuple(logits.shape), backend)
        if target is not None:
            target = check_labels(target, tuple(logits.shape), backend, "target")
        check_loss(self, logits.shape[1])
        return self.unchecked(backend, logits, y, target)

    def unchecked(self, backend: Backend, logits: Array, y: Array, target: Array | None = None) -> tuple[Array, Array]:
        """Return what `value_and_gradient` does, for arguments that were checked at the door."""
        mode = ERROR_MODE.set(IGNORE)
        try:
            if target is None:
                return self.formula(backend, logits, y)
            value, gradient = self.formula(backend, logits, target)
            return -value, -gradient
        finally:
            ERROR_MODE.reset(mode)

    def formula(self, backend: Backend, logits: Array, y: Array) -> tuple[Array, Array]:
        """Return losses and gradients for checked arguments."""
        raise NotImplementedError(f"{type(self).__name__} has no formula(backend, logits, y)")


class SoftmaxCrossEntropy(LossOfLogits):
    """L = -log softmax(z)_y = log Σ_j exp(z_j) - z_y, natural logarithm.

    The gradient is p_j for j ≠ y and -Σ_{j≠y} p_j for y.  The usual p_y - 1 rounds to zero in float32 above a margin of
    about 17, while the gradients of the other classes stay alive: the gradient of a confident sample would point in a
    wrong direction.
    """

    def formula(self, backend: Backend, logits: Array, y: Array) -> tuple[Array, Array]:
        """Return losses and gradients for checked arguments."""
        return backend.softmax_cross_entropy(logits, y)


class Margin(LossOfLogits):
    """L = max_{j≠y} z_j - z_y: above 0 exactly where the network is wrong.

    It keeps its gradient (1 for the runner-up, -1 for y) where that of cross entropy rounds to zero.  Of several equal
    runners-up the first one counts.
    """

    def formula(self, backend: Backend, logits: Array, y: Array) -> tuple[Array, Array]:
        """Return losses and gradients for checked arguments."""
        xp = backend.xp
        samples, classes = xp.arange(len(logits)), xp.arange(logits.shape[1])
        label = classes == y[:, None]
        runner_up = xp.where(label, -math.inf, logits).argmax(axis=1)
        value = logits[samples, runner_up] - logits[samples, y]
        return value, (classes == runner_up[:, None]).astype(logits.dtype) - label.astype(logits.dtype)


def evaluate(loss: Loss, backend: Backend, logits: Array, y: Array, target: Array | None = None) -> tuple[Array, Array]:
    """Return losses and gradients for labels that were checked at the door; only a custom loss' results are checked.

    Raises
    ------
    ValueError
        If a custom loss returns arrays of other shapes: a mean over the batch, for example.
    """
    if getattr(type(loss), "value_and_gradient", None) is LossOfLogits.value_and_gradient:
        assert isinstance(loss, LossOfLogits)
        return loss.unchecked(backend, logits, y, target)
    mode = ERROR_MODE.set(IGNORE)
    try:
        result = loss.value_and_gradient(*((logits, y) if target is None else (logits, y, target)))
    finally:
        ERROR_MODE.reset(mode)
    return check_per_sample(loss, result, tuple(logits.shape))
