"""`Stack`: layers and the two loops over them; `Evaluation`: a network's view for attacks and predictions.

Every pass through a network uses these loops: in training, in predictions, in attacks and in the study.  They do not
check arguments, because the methods of `Network` and each attack do.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from minirobust.backend import Array
from minirobust.floating_point import ERROR_MODE, IGNORE
from minirobust.layers import Layer
from minirobust.losses import Loss, evaluate
from minirobust.model import Effort, Model
from minirobust.validation import wrong_output

if TYPE_CHECKING:
    from minirobust.network import Network


class Stack:
    """Layers, and the two loops over them: unchecked, for one chunk of samples that fits in memory."""

    layers: tuple[Layer, ...]
    dtype: str
    passed: tuple[int, ...] | None = None  # output shape of the complete pass whose activations the layers hold

    def run(self, x: Array, start: int = 0, stop: int | None = None) -> Array:
        """Return the output of layers `start` to `stop` for a batch `x`."""
        samples, self.passed = len(x), None
        mode = ERROR_MODE.set(IGNORE)
        try:
            for layer in self.layers[start:stop]:
                draws = layer.draws
                x = layer.forward(x)
                if not layer.training:
                    layer.draws = draws  # so that repeated evaluations give the same result
                if getattr(x, "shape", None) != (samples, *layer.output_shape) or x.dtype != self.dtype:
                    raise wrong_output(layer, x, layer.output_shape, self.dtype)
        finally:
            ERROR_MODE.reset(mode)
        self.passed = x.shape if start == 0 and stop is None else None
        return x

    def back(self, grad: Array, start: int = 0, stop: int | None = None) -> Array:
        """Return ∂L/∂(input of layer `start`) given ∂L/∂(output of the layer before `stop`)."""
        mode = ERROR_MODE.set(IGNORE)
        try:
            for layer in reversed(self.layers[start:stop]):
                grad = self.through(layer, grad)
        finally:
            ERROR_MODE.reset(mode)
        return grad

    def through(self, layer: Layer, grad: Array) -> Array:
        """Return ∂L/∂x of a layer given ∂L/∂y; a surrogate uses another derivative here."""
        return layer.input_gradient(grad)


class Evaluation(Stack, Model):
    """A network's view for attacks and predictions: shared parameters, separate activations, evaluation mode.

    Its methods do not check arguments.  `logits` and `gradient` take one chunk.

    Parameters
    ----------
    network : Network

    Attributes
    ----------
    layers : tuple of Layer
        Shallow copies of the network's layers.
    output_shape : tuple of int
        That of the network, as are the attributes of a `Model`.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.layers = tuple(layer.view() for layer in network.layers)
        self.backend, self.xp, self.dtype = network.backend, network.xp, network.dtype
        self.input_shape, self.output_shape = network.input_shape, network.output_shape
        self.input_range, self.loss_scale = network.input_range, network.loss_scale
        self.classes = self.output_shape[-1]
        shapes = self.input_shape, *(layer.output_shape for layer in self.layers)
        self.sample_bytes = sum(map(math.prod, shapes)) * np.dtype(self.dtype).itemsize
        self.draws = [layer.draws for layer in self.layers]
        self.effort = Effort()

    def logits(self, x: Array, draw: int = 0) -> Array:
        """Return the logits of one chunk; `draw` selects the numbers of layers that are random in evaluation."""
        self._select(draw)
        self.effort.queries += len(x)
        return self.run(x)

    def gradient(
        self,
        x: Array,
        y: Array,
        loss: Loss,
        target: Array | None = None,
        draw: int = 0,
        *,
        start: int = 0,
        out: Array | None = None,
    ) -> tuple[Array, Array, Array]:
        """Return logits, losses and ∂L/∂x of one chunk; `x` is the input of layer `start`, `out` receives ∂L/∂x."""
        self._select(draw)
        self.effort.queries += len(x)
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
        self.effort.gradients += len(logits)
        losses, grad = evaluate(loss, self.backend, logits, y, target)
        grad, scale = grad.astype(self.dtype, copy=False), self.loss_scale
        with np.errstate(all="ignore"):
            gradient, finite = self.backend.unscaled(self.back(grad * scale, start), scale, out)
            if not finite:  # the scale may have made it overflow
                gradient, _ = self.backend.unscaled(self.back(grad, start), 1, out)
            return losses, gradient

    def evaluate(self, x: Array, start: int = 0, stop: int | None = None) -> Array:
        """Return the output of layers `start` to `stop` for any number of samples."""
        layers = self.layers[start:stop]
        shape = layers[-1].output_shape if layers else self.layers[start].input_shape
        output = self.xp.empty((len(x), *shape), dtype=self.dtype)
        for rows in self.chunks(len(x)):
            output[rows] = self.run(x[rows], start, stop)
        return output

    def _select(self, draw: int) -> None:
        """Move each layer's random stream to the start of number `draw`; draws are far apart and share no numbers."""
        for layer, draws in zip(self.layers, self.draws, strict=True):
            layer.draws = draws + (draw << 32)
