"""`function`: a model made from functions on NumPy arrays, for classifiers of any other library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minirobust.foreign.model import ForeignModel
from minirobust.losses import Loss, evaluate
from minirobust.model import Model
from minirobust.validation import own_array, positive_int

Logits = Callable[[np.ndarray], np.ndarray]
Gradient = Callable[[np.ndarray, np.ndarray], np.ndarray]


def function(
    logits: Logits,
    gradient: Gradient | None = None,
    *,
    input_shape: int | Sequence[int],
    classes: int,
    input_range: tuple[float, float] = (0.0, 1.0),
    dtype: str = "float32",
    chunk_size: int = 128,
) -> Model:
    """Return a model whose logits and gradients are computed by two functions.

    Both functions take and return NumPy arrays for any number of samples, and must be deterministic.  For a random
    model, define the methods of `minirobust.model.Model`, which take a `draw`.

    Parameters
    ----------
    logits : callable
        ``logits(x)`` takes inputs (N, *input_shape) and returns the logits z, (N, classes), not probabilities.
    gradient : callable, optional
        ``gradient(x, grad_logits)`` returns ∂(Σ grad_logits · z)/∂x, of the shape of `x`, for an array `grad_logits` of
        shape (N, classes).  This is a vector-Jacobian product: the attack passes the gradient of its loss with respect
        to the logits and gets the gradient with respect to the input, so one function serves every loss.  Without it,
        only attacks that need no gradient work: `noise`, `square`, `transfer` to this model, the pixel attack by brute
        force, and any attack with ``gradients=differences(sigma)``.
    input_shape : sequence of int
        Shape of one sample: (H, W, C) for images, else (features,).
    classes : int
    input_range : (float, float), default (0, 1)
    dtype : {"float32", "float64"}
        Dtype of the arrays that the functions get, and to which their results are cast.
    chunk_size : int, default 128
        Maximum number of samples per call of the functions.

    Returns
    -------
    Model

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong.  Attacks raise them if a function returns an array of the wrong shape or type, or if a
        gradient is needed and there is none.

    Examples
    --------
    >>> import minirobust as mr
    >>> weight = np.array([[1.0, -1.0], [-1.0, 1.0]])
    >>> model = mr.foreign.function(
    ...     lambda x: x @ weight, lambda x, grad_logits: grad_logits @ weight.T, input_shape=2, classes=2
    ... )
    >>> mr.attacks.fgsm(model, np.array([[0.52, 0.5]], "float32"), np.array([0]), epsilon=0.1).fooled
    array([ True])
    """
    return FunctionModel(logits, gradient, input_shape, classes, input_range, dtype, chunk_size)


class FunctionModel(ForeignModel):
    """See `function`."""

    def __init__(
        self,
        logits: Logits,
        gradient: Gradient | None,
        input_shape: int | Sequence[int],
        classes: int,
        input_range: tuple[float, float],
        dtype: str,
        chunk_size: int,
    ) -> None:
        super().__init__("foreign.function", input_shape, input_range, dtype, chunk_size)
        if not callable(logits):
            raise TypeError(f"foreign.function: expected logits to be a function, got {logits!r}")
        if gradient is not None and not callable(gradient):
            raise TypeError(f"foreign.function: expected gradient to be a function or None, got {gradient!r}")
        self.classes = positive_int("foreign.function", "classes", classes)
        self.forward, self.back = logits, gradient

    def logits(self, x: np.ndarray, draw: int = 0) -> np.ndarray:
        """Return the logits of one chunk."""
        self.effort.queries += len(x)
        logits = self.forward(x.copy())  # a function may write into its argument
        return self._checked(self.forward, logits, (len(x), self.classes))

    def gradient(
        self, x: np.ndarray, y: np.ndarray, loss: Loss, target: np.ndarray | None = None, draw: int = 0
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return logits, losses and ∂L/∂x of one chunk."""
        if self.back is None:
            raise self.no_gradient("there is no function for it")
        logits = self.logits(x)
        losses, grad = evaluate(loss, self.backend, logits, y, target)
        self.effort.gradients += len(x)
        gradient = self.back(x.copy(), grad.astype(self.dtype, copy=False))
        return logits, losses, self._checked(self.back, gradient, x.shape)

    def _checked(self, source: Callable[..., Any], result: Any, shape: tuple[int, ...]) -> np.ndarray:
        """Return what a function returned, in the model's dtype."""
        owner = f"foreign.function: {getattr(source, '__name__', source)}"
        array = own_array(result, owner, self.backend)
        if array.shape != shape:
            raise ValueError(f"{owner}: expected it to return an array of shape {shape}, got {array.shape}")
        if array.dtype.kind not in "fiu":
            raise TypeError(f"{owner}: expected it to return real numbers, got {array.dtype}")
        with np.errstate(over="ignore", under="ignore"):  # values outside the range of float32 become infinity or zero
            return array.astype(self.dtype, copy=False)
