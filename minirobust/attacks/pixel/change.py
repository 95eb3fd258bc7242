"""`PixelChange`: cheap predictions for images in which a few pixels have been changed.

The first linear layer is a sum over its inputs.  When a few of them change, its output changes by their share alone: a
rank-few update, thousands of operations instead of hundreds of thousands.  Which pixels are written, and with which
values, is decided by the attacks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minirobust.backend import Array
from minirobust.layers import Conv2D, Dense, Flatten, TemperatureSigmoid
from minirobust.losses import Loss
from minirobust.model import Model, most_likely
from minirobust.stack import Evaluation


class Goal(NamedTuple):
    """What counts as a success on each of a chunk's N images: the class that is aimed at, or any but the label.

    Attributes
    ----------
    labels : ndarray of int, shape (N,)
    aims : ndarray of int, shape (N,)
        -1 where any wrong class will do.
    """

    labels: np.ndarray
    aims: np.ndarray

    def reached(self, images: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """Return which predictions for some of the images are a success."""
        aims = self.aims[images]
        return np.where(aims < 0, predictions != self.labels[images], predictions == aims)


class Writing(NamedTuple):
    """M copies of a batch's images, and what is written into each; all on the host.

    Attributes
    ----------
    images : ndarray of int, shape (M,)
        Which image of the batch each is a copy of.
    pixels : ndarray of int, shape (M, n)
        Which pixels of it are written, counted row by row.
    values : ndarray of float, shape (M, n, C)
        What is written there.
    """

    images: np.ndarray
    pixels: np.ndarray
    values: np.ndarray

    def pick(self, which: np.ndarray | slice) -> Writing:
        """Some of the copies."""
        return Writing(self.images[which], self.pixels[which], self.values[which])


class PixelChange:
    """A batch of images, and the output of the network's first linear layer for them.

    Parameters
    ----------
    model : Model
        If it is a network that begins with `Dense` or `Conv2D`, after any `Flatten`, that layer's output is updated.
        Any other (a custom layer, a subclass of those two) gets the changed images themselves and a full forward pass.
    x : ndarray of float, shape (N, *input_shape)
        On the model's backend and in its dtype.

    Attributes
    ----------
    depth : int
        How many layers are not computed again; 0 in models that begin with any other layer.
    before : ndarray of shape (N, *output_shape of those layers)
        Their output for `x`; `x` itself if there are none.
    pixels : ndarray of shape (N, H·W, C)
        The images' pixels, row by row, on the host.
    """

    def __init__(self, model: Model, x: Array) -> None:
        self.model, self.x = model, x
        self.depth = linear_depth(model)
        self.before = self._network.run(x, stop=self.depth) if self.depth else x
        self.pixels = model.backend.to_numpy(x).reshape(len(x), *pixels_and_channels(model.input_shape))

    @property
    def _network(self) -> Evaluation:
        assert isinstance(self.model, Evaluation)  # no other model has a depth
        return self.model

    def logits(self, before: Array) -> Array:
        """Return the logits of one chunk of images or copies, given `before` or what `after` returns."""
        if not self.depth:
            return self.model.logits(before)
        self.model.effort.queries += len(before)
        return self._network.run(before, start=self.depth)

    def gradient(self, y: Array, loss: Loss, target: Array | None = None) -> tuple[Array, Array]:
        """Return the logits and ∂L/∂before of the images, if they are one chunk."""
        start = {"start": self.depth} if self.depth else {}
        logits, _, gradient = self.model.gradient(self.before, y, loss, target, **start)
        return logits, gradient

    def input_gradient(self, grad: Array) -> Array:
        """Return ∂L/∂x given ∂L/∂before, for any of the images: that of a linear layer does not depend on its input."""
        return self._network.back(grad, stop=self.depth) if self.depth else grad

    def written(self, writing: Writing) -> Array:
        """Return the copies themselves, (M, *input_shape), on the model's backend."""
        images, pixels, values = map(self.model.backend.asarray, writing)
        copies = self.x[images].reshape(len(images), *self.pixels.shape[1:])
        copies[self.model.xp.arange(len(images))[:, None], pixels] = values
        return copies.reshape(len(images), *self.model.input_shape)

    def after(self, writing: Writing) -> Array:
        """Return `before` for the copies."""
        if not self.depth:
            return self.written(writing)
        layer = self.model.layers[self.depth - 1]
        images, pixels, values = writing
        after = self.before[self.model.backend.asarray(images)]
        with np.errstate(all="ignore"):  # products of small numbers may underflow
            change = values - self.pixels[images[:, None], pixels]
            if isinstance(layer, Dense):
                add_to_dense(layer, after, pixels, change)
            elif isinstance(layer, Conv2D):
                add_to_convolution(layer, after, pixels, change)
        return after

    def first_to_succeed(
        self, images: np.ndarray, pixels: np.ndarray, values: np.ndarray, goal: Goal, start: np.ndarray
    ) -> np.ndarray:
        """Return which candidate is the first to succeed on each image, by the shortcut; B where none does.

        A candidate that leaves its last pixel unchanged has already been tried with fewer pixels, and is skipped.

        Parameters
        ----------
        images : ndarray of int, shape (M,)
            Which images of the chunk are tried.
        pixels : ndarray of int, shape (M, B, n)
            The pixels on which each image's candidates stand.
        values : ndarray of float, shape (B, n, C)
            What they write there.
        goal : Goal
        start : ndarray of int, shape (M,)
            Of each image's candidates the first that is tried.
        """
        kernel, parameters = self.model.backend.first_to_succeed, parameters_of_mlp(self.model, self.depth)
        if kernel is not None and parameters is not None:
            first, tried = kernel(self.before, self.pixels, images, pixels, values, goal, start, *parameters)
            self.model.effort.queries += tried
            return first
        own = self.pixels[images[:, None], pixels[:, :, -1]]
        untried = (values[:, -1] != own).any(axis=2) & (np.arange(len(values)) >= start[:, None])
        image, candidate = np.nonzero(untried)
        writing = Writing(images[image], pixels[image, candidate], values[candidate])
        succeeds = np.zeros((len(images), len(values) + 1), dtype=bool)
        succeeds[:, -1] = True
        succeeds[image, candidate] = goal.reached(writing.images, self.predict(writing))
        return succeeds.argmax(axis=1)

    def predict(self, writing: Writing) -> np.ndarray:
        """Return the classes of the copies, (M,), on the host."""
        return self.model.backend.to_numpy(most_likely(self.model.backend, self.logits_after(writing)))

    def logits_after(self, writing: Writing) -> Array:
        """Return the logits of the copies, (M, K), on the model's backend."""
        model, (images, pixels, values) = self.model, writing
        kernel, parameters = model.backend.logits_after, parameters_of_mlp(model, self.depth)
        if kernel is not None and parameters is not None:
            model.effort.queries += len(images)
            change = values - self.pixels[images[:, None], pixels]
            return kernel(self.before, images, inputs(pixels, change.shape[2]), change, *parameters)
        logits = model.xp.empty((len(images), model.classes), dtype=model.dtype)
        for chunk in model.chunks(len(images)):
            logits[chunk] = self.logits(self.after(writing.pick(chunk)))
        return logits


def linear_depth(model: Model) -> int:
    """Return how many layers lead up to and include the first with weights, if its output is a sum over its inputs."""
    for layer in model.layers[:-1]:
        if type(layer) in (Dense, Conv2D):  # not a subclass, whose forward may do anything
            return layer.index + 1
        if type(layer) is not Flatten:
            break
    return 0


def parameters_of_mlp(model: Model, depth: int) -> tuple[Array, float, Array, Array] | None:
    """Return W₁, T, W₂ and b₂ of a network (Flatten,) Dense, TemperatureSigmoid, Dense; None for any other network."""
    layers = model.layers[max(depth - 1, 0) :]
    if [type(layer) for layer in layers] != [Dense, TemperatureSigmoid, Dense]:
        return None
    hidden, sigmoid, last = layers
    assert isinstance(hidden, Dense)
    assert isinstance(sigmoid, TemperatureSigmoid)
    assert isinstance(last, Dense)
    return hidden.weight.value, sigmoid.temperature, last.weight.value, last.bias.value


def pixels_and_channels(input_shape: Sequence[int]) -> tuple[int, int]:
    """Return (H·W, C) for an image; each feature of a flat input is a pixel of one channel."""
    *places, channels = input_shape if len(input_shape) > 1 else (*input_shape, 1)
    return math.prod(places), channels


def inputs(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Return which numbers of the flattened image the pixels are: (M, n) → (M, n·C)."""
    return (pixels[:, :, None] * channels + np.arange(channels)).reshape(len(pixels), pixels.shape[1] * channels)


def add_to_dense(layer: Dense, y: Array, pixels: np.ndarray, change: np.ndarray) -> None:
    """y ← y + Σ_p (x'_p - x_p) W_p over the inputs p that were written: W_p is row p of the weight matrix."""
    asarray = layer.backend.asarray
    rows = layer.weight.value[asarray(inputs(pixels, change.shape[2]))]
    y += (asarray(change.reshape(len(pixels), 1, -1)) @ rows)[:, 0]


def add_to_convolution(layer: Conv2D, y: Array, pixels: np.ndarray, change: np.ndarray) -> None:
    """y[i, j] ← y[i, j] + Σ_p (x'_p - x_p) w[u, v], where (u, v) is the place of the kernel that p lies under.

    That is where i·stride + u and j·stride + v are the row and the column of p, counted with the border.
    """
    asarray = layer.backend.asarray
    kernel, stride, ((top, _), (left, _)) = layer.geometry
    height, width, filters = layer.output_shape
    weight = layer.weight.value.transpose(2, 0, 1, 3).reshape(len(layer.weight.value[0, 0]), -1)  # (C, KH·KW·F)
    u, v = np.indices(kernel).reshape(2, -1)
    for p in range(pixels.shape[1]):  # one by one: two pixels of an image may move the same output
        row, column = np.divmod(pixels[:, p, None], layer.input_shape[1])
        i, past_row = np.divmod(row + top - u, stride[0])  # (M, KH·KW)
        j, past_column = np.divmod(column + left - v, stride[1])
        met = (past_row == 0) & (past_column == 0) & (i >= 0) & (i < height) & (j >= 0) & (j < width)
        image, place = np.nonzero(met)
        share = (asarray(change[:, p]) @ weight).reshape(len(pixels), len(u), filters)
        moved = asarray(image), asarray(i[image, place]), asarray(j[image, place])
        y[moved] += share[asarray(image), asarray(place)]
