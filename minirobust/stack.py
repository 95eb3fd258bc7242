"""`Stack`, layers and the two loops over them, and `Evaluation`, a network as attacks and predictions see it.

Every pass through a network goes through these loops: training, predictions, attacks and the study.  Nothing here
checks an argument: that is done at the door, by the methods of `Network` and by each attack.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from minirobust.backend import Array, Backend
from minirobust.floating_point import ERROR_MODE, IGNORE
from minirobust.layers import Layer
from minirobust.losses import Loss, evaluate
from minirobust.validation import unlike_promise

if TYPE_CHECKING:
    from minirobust.network import Network


class Stack:
    """Layers, and the two loops over them: unchecked, for one chunk of samples that fits in memory."""

    layers: tuple[Layer, ...]
    dtype: str
    passed: tuple[int, ...] | None = None  # the output's shape of the whole pass whose activations the layers hold

    def run(self, x: Array, start: int = 0, stop: int | None = None) -> Array:
        """Return the output of layers `start` to `stop` for a batch `x`."""
        samples, self.passed = len(x), None
        mode = ERROR_MODE.set(IGNORE)
        try:
            for layer in self.layers[start:stop]:
                draws = layer.draws
                x = layer.forward(x)
                if not layer.training:
                    layer.draws = draws  # evaluation asks the same question again and gets the same answer
                if getattr(x, "shape", None) != (samples, *layer.output_shape) or x.dtype != self.dtype:
                    raise unlike_promise(layer, x, layer.output_shape, self.dtype)
        finally:
            ERROR_MODE.reset(mode)
        self.passed = x.shape if start == 0 and stop is None else None
        return x

    def back(self, grad: Array, start: int = 0, stop: int | None = None) -> Array:
        """Return ∂L/∂(input of layer `start`) given ∂L/∂(output of the layer before `stop`)."""
        mode = ERROR_MODE.set(IGNORE)
        try:
            for layer in reversed(self.layers[start:stop]):
                grad = layer.input_gradient(grad)
        finally:
            ERROR_MODE.reset(mode)
        return grad


class Evaluation(Stack):
    """A network as attacks and predictions see it: its parameters, activations of its own, evaluation mode.

    Its methods check nothing.  `logits` and `gradient` take one chunk.

    Parameters
    ----------
    network : Network

    Attributes
    ----------
    layers : tuple of Layer
        Shallow copies of the network's.
    input_shape, output_shape, input_range, backend, xp, dtype
        The network's.
    sample_bytes : int
        What the input and all activations of one sample take.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.layers = tuple(layer.view() for layer in network.layers)
        self.backend, self.xp, self.dtype = network.backend, network.xp, network.dtype
        self.input_shape, self.output_shape = network.input_shape, network.output_shape
        self.input_range, self.loss_scale = network.input_range, network.loss_scale
        shapes = self.input_shape, *(layer.output_shape for layer in self.layers)
        self.sample_bytes = sum(map(math.prod, shapes)) * np.dtype(self.dtype).itemsize

    def chunks(self, samples: int) -> Iterator[slice]:
        """Yield slices of as many samples as the backend's `chunk_bytes` allow: see `NumpyBackend.chunks`."""
        return self.backend.chunks(samples, self.sample_bytes)

    def logits(self, x: Array) -> Array:
        """Return the logits of one chunk."""
        return self.run(x)

    def gradient(
        self,
        x: Array,
        y: Array,
        loss: Loss,
        target: Array | None = None,
        *,
        start: int = 0,
        out: Array | None = None,
    ) -> tuple[Array, Array, Array]:
        """Return logits, losses and ∂L/∂x of one chunk; `x` is the input of layer `start`, `out` receives ∂L/∂x."""
        logits = self.run(x, start)
        return logits, *self.loss_gradient(logits, y, loss, target, start=start, out=out)

    def loss_gradient(
        self,
        logits: Array,
        y: Array,
        loss: Loss,
        target: Array | None = None,
        *,
        start: int = 0,
        out: Array | None = None,
    ) -> tuple[Array, Array]:
        """Return losses and ∂L/∂(input of layer `start`) for the logits that `run` has just returned."""
        losses, grad = evaluate(loss, self.backend, logits, y, target)
        grad, scale = grad.astype(self.dtype, copy=False), self.loss_scale
        with np.errstate(all="ignore"):
            gradient = self.back(grad * scale, start)
            flat = gradient.reshape(-1)
            if scale != 1 and not math.isfinite(self.backend.to_numpy(flat @ flat)):
                scale, gradient = 1, self.back(grad, start)  # the scale may have made it overflow
            return losses, self.xp.multiply(gradient, 1 / scale, out=out)

    def evaluate(self, x: Array, start: int = 0, stop: int | None = None) -> Array:
        """Return the output of layers `start` to `stop` for any number of samples."""
        layers = self.layers[start:stop]
        shape = layers[-1].output_shape if layers else self.layers[start].input_shape
        output = self.xp.empty((len(x), *shape), dtype=self.dtype)
        for rows in self.chunks(len(x)):
            output[rows] = self.run(x[rows], start, stop)
        return output

    def predict(self, x: Array) -> Array:
        """Return the most likely class of any number of samples, -1 where logits are not finite."""
        return most_likely(self.backend, self.evaluate(x))


def most_likely(backend: Backend, logits: Array) -> Array:
    """Return the class of the largest logit, (N,) of int64; -1 where a sample's logits are not all finite."""
    finite = (abs(logits) < math.inf).all(axis=tuple(range(1, logits.ndim)))  # NaN is not less than anything
    return backend.xp.where(finite, logits.argmax(axis=1), -1)
