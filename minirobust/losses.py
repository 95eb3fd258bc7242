"""Losses: stateless objects with one method, `value_and_gradient`, per sample.

Nothing is averaged here.  An attack on a batch must not depend on the batch's size, and a mean over many samples can
underflow.  Training divides by the batch size itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar, Protocol

from minirobust import backend as backends
from minirobust.backend import Array, Backend
from minirobust.floating_point import ERROR_MODE, IGNORE
from minirobust.validation import check_labels, check_loss, check_per_sample


class Loss(Protocol):
    """The interface of a loss for training and attacks: any object with this method is a loss."""

    def value_and_gradient(self, logits: Array, y: Array, target: Array | None = None) -> tuple[Array, Array]:
        """Return per-sample losses (N,) and their gradients with respect to the logits (N, K).

        Training descends the loss and attacks ascend it.  With a `target`, ascending the loss leads towards that class.
        """


class LossOfLogits:
    """Base class of the library's own losses, which check the labels and then compute `formula`."""

    least_classes: ClassVar[int] = 2  # a loss that needs more for a target has `least_classes_targeted`, too

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
            Classes that an attack aims at.  Unless the loss defines it otherwise, it is then minus the loss with
            `target` in place of `y`, so that ascending it leads towards `target`.

        Returns
        -------
        value : ndarray of shape (N,)
        gradient : ndarray of shape (N, K)

        Raises
        ------
        ValueError, TypeError
            If shapes do not match, labels are not integers in [0, K), or K is too small.
        """
        backend = backends.of(logits)
        y = check_labels(y, tuple(logits.shape), backend)
        if target is not None:
            target = check_labels(target, tuple(logits.shape), backend, "target")
        check_loss(self, logits.shape[1], targeted=target is not None)
        return self.unchecked(backend, logits, y, target)

    def unchecked(self, backend: Backend, logits: Array, y: Array, target: Array | None = None) -> tuple[Array, Array]:
        """Return what `value_and_gradient` returns, for arguments that have already been checked."""
        mode = ERROR_MODE.set(IGNORE)
        try:
            if target is None:
                return self.formula(backend, logits, y)
            return self.targeted_formula(backend, logits, y, target)
        finally:
            ERROR_MODE.reset(mode)

    def formula(self, backend: Backend, logits: Array, y: Array) -> tuple[Array, Array]:
        """Return losses and gradients for checked arguments."""
        raise NotImplementedError(f"{type(self).__name__} has no formula(backend, logits, y)")

    def targeted_formula(self, backend: Backend, logits: Array, y: Array, target: Array) -> tuple[Array, Array]:
        """Return what an attack towards `target` ascends: minus the loss with `target` as the label."""
        value, gradient = self.formula(backend, logits, target)
        return -value, -gradient


class SoftmaxCrossEntropy(LossOfLogits):
    """L = -log softmax(z)_y = log Σ_j exp(z_j) - z_y, natural logarithm.

    The gradient is p_j for j ≠ y and -Σ_{j≠y} p_j for y.  The usual p_y - 1 rounds to zero in float32 above a margin of
    about 17, while the gradients of the other classes do not, so the gradient of a confident sample would point in a
    wrong direction.
    """

    def formula(self, backend: Backend, logits: Array, y: Array) -> tuple[Array, Array]:
        """Return losses and gradients for checked arguments."""
        return backend.softmax_cross_entropy(logits, y)


class Margin(LossOfLogits):
    """L = max_{j≠y} z_j - z_y: above 0 exactly where the network is wrong.

    It keeps its gradient (1 for the runner-up, -1 for y) where that of cross entropy rounds to zero.  If several
    runners-up are equal, the first one counts.
    """

    def formula(self, backend: Backend, logits: Array, y: Array) -> tuple[Array, Array]:
        """Return losses and gradients for checked arguments."""
        xp = backend.xp
        samples, classes = xp.arange(len(logits)), xp.arange(logits.shape[1])
        label = classes == y[:, None]
        runner_up = xp.where(label, -math.inf, logits).argmax(axis=1)
        value = logits[samples, runner_up] - logits[samples, y]
        return value, (classes == runner_up[:, None]).astype(logits.dtype) - label.astype(logits.dtype)


class DLR(LossOfLogits):
    """L = (max_{j≠y} z_j - z_y) / (z_π1 - z_π3), where π sorts the logits in descending order.

    The difference of logits ratio (Croce & Hein, 2020, eq. 6) is the margin divided by a difference of logits, so it
    does not change when the logits are shifted or scaled.  It needs three classes.  With a target t it is
    (z_t - z_y) / (z_π1 - (z_π3 + z_π4) / 2) (eq. 7), and needs four.

    Among equal logits, the first one counts as the largest.  Where the denominator is 0, or so small that the gradient
    would overflow, it is replaced by 1.  The loss is then the difference of the two logits alone, whose gradient still
    gives an attack a direction.
    """

    least_classes = 3
    least_classes_targeted = 4

    def formula(self, backend: Backend, logits: Array, y: Array) -> tuple[Array, Array]:
        """Return losses and gradients for checked arguments."""
        _, margin = Margin().formula(backend, logits, y)
        first, _, third = largest(backend, logits, 3)
        return ratio(backend, logits, margin, first - third)

    def targeted_formula(self, backend: Backend, logits: Array, y: Array, target: Array) -> tuple[Array, Array]:
        """Return losses and gradients for checked arguments."""
        lead = one_hot(backend, target, logits) - one_hot(backend, y, logits)
        first, _, third, fourth = largest(backend, logits, 4)
        return ratio(backend, logits, lead, first - (third + fourth) / 2)


class ScaleFree(LossOfLogits):
    """Cross entropy of u = (z - mean z) / s, where s is the standard deviation of a sample's logits over the classes.

    If all logits are multiplied by a number, the loss stays the same, and its gradient keeps its direction.  The
    gradient of cross entropy rounds to zero for large logits, which is how defensive distillation hides it; Carlini &
    Wagner (2016) divide the logits by the temperature of the distillation.  Dividing by s does not require knowing it.

    The gradient includes the derivative of s: if g is the gradient of cross entropy at u, it is
    (g - u · mean(g · u)) / s.  Where s is 0, or so small that the gradient would overflow, the gradient is divided by 1
    instead, so for equal logits it is that of cross entropy.  At least three classes are needed: with two, u is always
    (1, -1) or (-1, 1), and the loss is constant.

    Why not divide by the range max z - min z?  All exponentials of u would then lie within a factor of e, and the
    largest of the wrong classes would weigh little more than the others.  PGD (40 steps, ε = 0.1) on 500 of the shipped
    digits left 0.26, 0.11 and 0.13 of them robust with the range and 0.16, 0.07 and 0.06 with s, at T = 1/64, 1/8, 1.
    """

    least_classes = 3

    def formula(self, backend: Backend, logits: Array, y: Array) -> tuple[Array, Array]:
        """Return losses and gradients for checked arguments."""
        xp = backend.xp
        half = logits / 2  # differences of halves do not overflow
        top = half.max(axis=1, keepdims=True)
        width = top - half.min(axis=1, keepdims=True)
        z = (half - top) / (width + (width == 0))  # in [-1, 0], so squares do not overflow
        z = z - z.mean(axis=1, keepdims=True)
        deviation = xp.sqrt((z * z).mean(axis=1, keepdims=True))
        u = z / (deviation + (deviation == 0))
        value, g = backend.softmax_cross_entropy(u, y)
        inverse = abs(1 / (deviation * width))  # 2 / s, infinite for equal logits; a width may be -0
        return value, (g - u * (g * u).mean(axis=1, keepdims=True)) / 2 * xp.where(inverse < math.inf, inverse, 2)


def one_hot(backend: Backend, classes: Array, logits: Array) -> Array:
    """Return an array like `logits`, 1 at each sample's class and 0 elsewhere."""
    return (backend.xp.arange(logits.shape[1]) == classes[:, None]).astype(logits.dtype)


def largest(backend: Backend, logits: Array, count: int) -> Iterator[Array]:
    """Yield the classes of the largest logits as `one_hot`, then those of the second largest, and so on."""
    for _ in range(count):
        top = one_hot(backend, logits.argmax(axis=1), logits)
        yield top
        logits = backend.xp.where(top == 1, -math.inf, logits)


def ratio(backend: Backend, logits: Array, above: Array, below: Array) -> tuple[Array, Array]:
    """Return Σ_j above_j z_j / Σ_j below_j z_j for every sample, and its gradient; see `DLR` for small denominators."""
    xp = backend.xp
    half = logits / 2  # differences of halves do not overflow
    numerator = (above * half).sum(axis=1, keepdims=True)
    denominator = (below * half).sum(axis=1, keepdims=True)
    value = numerator / denominator
    divides = (1 + abs(value)) / denominator < math.inf  # the left side bounds the gradient
    denominator = xp.where(divides, denominator, 0.5)
    change = xp.where(divides, value, 0) * below  # of the denominator; none where it was replaced
    return (numerator / denominator)[:, 0], (above - change) / denominator / 2


def evaluate(loss: Loss, backend: Backend, logits: Array, y: Array, target: Array | None = None) -> tuple[Array, Array]:
    """Return losses and gradients for checked labels; only the results of a custom loss are checked here.

    Raises
    ------
    ValueError
        If a custom loss returns arrays of the wrong shapes: a mean over the batch, for example.
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
