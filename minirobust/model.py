"""`Model`: what attacks, the audit and the study ask of whatever they attack.

A network's `Evaluation` is one, so are the surrogates of `minirobust.attacks.surrogates`, and `minirobust.foreign`
makes one of a PyTorch module or of functions.
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
    """What a model was asked.

    Attributes
    ----------
    queries : int
        Images that went forward.
    gradients : int
        Images for which a gradient was computed.
    began : float
        When, by `time.perf_counter`.
    """

    queries: int = 0
    gradients: int = 0
    began: float = field(default_factory=perf_counter)


class Model:
    """A classifier under attack: logits and gradients of one chunk of samples, unchecked.

    A subclass sets the attributes and writes `logits` and `gradient`.

    Attributes
    ----------
    input_shape : tuple of int
        Without the batch axis.
    input_range : (float, float)
        The ends of what an input may be.
    classes : int
    backend : Backend
        Whose arrays the methods take and return.
    dtype : str
    sample_bytes : int
        What the input and all activations of one sample take: it decides how many samples make a chunk.
    layers : tuple of Layer
        Those of a network; empty where there are none.
    effort : Effort
        What was asked so far.
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

        `draw` selects the random numbers of a model that draws any.  With the same `draw` the answer is the same.
        """
        raise NotImplementedError(f"{type(self).__name__} has no logits(x, draw)")

    def gradient(
        self, x: Array, y: Array, loss: Loss, target: Array | None = None, draw: int = 0
    ) -> tuple[Array, Array, Array]:
        """Return logits, losses and ∂L/∂x of one chunk; `target` is passed on to the loss."""
        raise NotImplementedError(f"{type(self).__name__} has no gradient(x, y, loss, target, draw)")

    def chunks(self, samples: int) -> Iterator[slice]:
        """Yield slices of as many samples as the backend's `chunk_bytes` allow: see `NumpyBackend.chunks`."""
        return self.backend.chunks(samples, self.sample_bytes)

    def predict(self, x: Array, draw: int = 0) -> Array:
        """Return the most likely class of any number of samples, -1 where logits are not finite."""
        classes = self.xp.empty(len(x), dtype="int64")
        for rows in self.chunks(len(x)):
            classes[rows] = most_likely(self.backend, self.logits(x[rows], draw))
        return classes


class Given(Model):
    """Any object that has the two methods of a `Model` and says what its inputs are.

    Parameters
    ----------
    model : object
        With ``logits(x, draw=0)``, ``gradient(x, y, loss, target=None, draw=0)``, `input_shape`, `input_range` and
        `classes`.  `backend` ("numpy"), `dtype` ("float32") and `sample_bytes` (20 times the input's) are optional.

    Raises
    ------
    TypeError
        If it lacks one of these; the message names the first.
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
        """Return what the object's `logits` does, if it is of shape (N, classes)."""
        self.effort.queries += len(x)
        return self._expect("logits", self.model.logits(x, draw=draw), (len(x), self.classes))

    def gradient(
        self, x: Array, y: Array, loss: Loss, target: Array | None = None, draw: int = 0
    ) -> tuple[Array, Array, Array]:
        """Return what the object's `gradient` does, if logits and gradient have the right shapes."""
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
    """A model around another one, with the same inputs and classes; a subclass writes `logits` and `gradient`.

    Parameters
    ----------
    model : Model
    effort : Effort
        Its own, or the other model's.
    """

    def __init__(self, model: Model, effort: Effort) -> None:
        self.model, self.effort = model, effort
        self.input_shape, self.input_range, self.classes = model.input_shape, model.input_range, model.classes
        self.backend, self.xp, self.dtype, self.sample_bytes = model.backend, model.xp, model.dtype, model.sample_bytes


def most_likely(backend: Backend, logits: Array) -> Array:
    """Return the class of the largest logit, (N,) of int64; -1 where a sample's logits are not all finite."""
    finite = (abs(logits) < math.inf).all(axis=tuple(range(1, logits.ndim)))  # NaN is not less than anything
    return backend.xp.where(finite, logits.argmax(axis=1), -1)
