"""`Model`: the interface of a classifier that attacks, the audit and the study require.

A network's `Evaluation` and the surrogates of `minirobust.attacks.surrogates` are models, and `minirobust.foreign`
makes a model from a PyTorch module or from functions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from minirobust import backend as backends
from minirobust.backend import Array, Backend
from minirobust.validation import check_range, positive_int

if TYPE_CHECKING:
    from minirobust.layers import Layer
    from minirobust.losses import Loss


@dataclass
class Effort:
    """How often a model was used.

    Attributes
    ----------
    queries : int
        Images in forward passes.
    gradients : int
        Images for which a gradient was computed.
    began : float
        Start time, from `time.perf_counter`.
    """

    queries: int = 0
    gradients: int = 0
    began: float = field(default_factory=perf_counter)


class Model:
    """A classifier under attack: logits and gradients of one chunk of samples, unchecked.

    A subclass sets the attributes and defines `logits` and `gradient`.

    Attributes
    ----------
    input_shape : tuple of int
        Without the batch axis.
    input_range : (float, float)
        The smallest and the largest value that an input may have.
    classes : int
    backend : Backend
        The backend whose arrays the methods take and return.
    dtype : str
    sample_bytes : int
        Memory for the input and all activations of one sample, which determines the size of a chunk.
    layers : tuple of Layer
        The layers of a network; empty for other models.
    effort : Effort
        The queries and gradients so far.
    """

    input_shape: tuple[int, ...]
    input_range: tuple[float, float]
    classes: int
    backend: Backend
    xp: Any
    dtype: str
    sample_bytes: int
    effort: Effort
    layers: tuple[Layer, ...] = ()

    def logits(self, x: Array, draw: int = 0) -> Array:
        """Return the logits of one chunk, (N, classes).

        `draw` selects the random numbers of a random model; the same `draw` always gives the same result.
        """
        raise NotImplementedError(f"{type(self).__name__} has no logits(x, draw)")

    def gradient(
        self, x: Array, y: Array, loss: Loss, target: Array | None = None, draw: int = 0
    ) -> tuple[Array, Array, Array]:
        """Return logits, losses and ∂L/∂x of one chunk; `target` is passed on to the loss."""
        raise NotImplementedError(f"{type(self).__name__} has no gradient(x, y, loss, target, draw)")

    def chunks(self, samples: int) -> Iterator[slice]:
        """Yield slices of as many samples as the backend's `chunk_bytes` allows; see `NumpyBackend.chunks`."""
        return self.backend.chunks(samples, self.sample_bytes)

    def predict(self, x: Array, draw: int = 0) -> Array:
        """Return the most likely class of any number of samples, -1 where logits are not finite."""
        classes = self.xp.empty(len(x), dtype="int64")
        for rows in self.chunks(len(x)):
            classes[rows] = most_likely(self.backend, self.logits(x[rows], draw))
        return classes


class Given(Model):
    """A model made from any object that has the two methods of a `Model` and describes its inputs.

    Parameters
    ----------
    model : object
        With ``logits(x, draw=0)``, ``gradient(x, y, loss, target=None, draw=0)``, `input_shape`, `input_range` and
        `classes`.  `backend` ("numpy"), `dtype` ("float32") and `sample_bytes` (20 times the input's) are optional.

    Raises
    ------
    TypeError
        If it lacks one of these; the message names the first one missing.
    """

    def __init__(self, model: Any) -> None:
        for name in ("logits", "gradient", "input_shape", "input_range", "classes"):
            if not hasattr(model, name):
                raise TypeError(f"expected a Network or a model with {name}, got {model!r}, which has none")
        self.model = model
        self.input_shape, self.input_range = tuple(model.input_shape), check_range(model.input_range)
        self.classes = positive_int("attack", "classes", model.classes)
        self.backend, self.dtype = backends.get(getattr(model, "backend", "numpy")), getattr(model, "dtype", "float32")
        self.xp, self.effort = self.backend.xp, Effort()
        size = math.prod(self.input_shape) * np.dtype(self.dtype).itemsize
        self.sample_bytes = getattr(model, "sample_bytes", 20 * size)

    def logits(self, x: Array, draw: int = 0) -> Array:
        """Return the result of the object's `logits`, after checking its shape (N, classes)."""
        self.effort.queries += len(x)
        return self._expect("logits", self.model.logits(x, draw=draw), (len(x), self.classes))

    def gradient(
        self, x: Array, y: Array, loss: Loss, target: Array | None = None, draw: int = 0
    ) -> tuple[Array, Array, Array]:
        """Return the result of the object's `gradient`, after checking the shapes of logits and gradient."""
        self.effort.queries += len(x)
        self.effort.gradients += len(x)
        logits, losses, gradient = self.model.gradient(x, y, loss, target=target, draw=draw)
        self._expect("logits", logits, (len(x), self.classes))
        return logits, losses, self._expect("gradient", gradient, x.shape)

    def _expect(self, name: str, array: Array, shape: tuple[int, ...]) -> Array:
        if getattr(array, "shape", None) != shape:
            got = getattr(array, "shape", type(array).__name__)
            raise ValueError(f"{self.model!r}: expected {name} of shape {shape}, got {got}")
        return array


class Wrapper(Model):
    """A model around another one, with the same inputs and classes; a subclass defines `logits` and `gradient`.

    Parameters
    ----------
    model : Model
    effort : Effort
        A separate count, or that of the other model.
    """

    def __init__(self, model: Model, effort: Effort) -> None:
        self.model, self.effort = model, effort
        self.input_shape, self.input_range, self.classes = model.input_shape, model.input_range, model.classes
        self.backend, self.xp, self.dtype, self.sample_bytes = model.backend, model.xp, model.dtype, model.sample_bytes


def most_likely(backend: Backend, logits: Array) -> Array:
    """Return the class of the largest logit, (N,) of int64; -1 where a sample's logits are not all finite."""
    finite = (abs(logits) < math.inf).all(axis=tuple(range(1, logits.ndim)))  # NaN is not less than anything
    return backend.xp.where(finite, logits.argmax(axis=1), -1)
