"""Oracles that several assignments use."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from minirobust.classroom.program import Oracle


class SmallNetwork(Oracle):
    """A network with one hidden tanh layer, which a student attacks: the grader computes logits and input gradients.

    Parameters
    ----------
    draw : Generator
        Draws the weights. The first pixel has no influence, so its gradient is exactly 0.
    shape : tuple of int
        The shape of one image.
    classes, hidden : int
    """

    methods = ("logits", "input_gradient")

    def __init__(self, draw: np.random.Generator, shape: tuple[int, ...], classes: int = 4, hidden: int = 8) -> None:
        super().__init__(classes=classes)
        self.shape, pixels = shape, int(np.prod(shape))
        self.first = draw.standard_normal((pixels, hidden)) / np.sqrt(pixels)
        self.first[0] = 0
        self.second = draw.standard_normal((hidden, classes))

    def logits(self, x: np.ndarray) -> np.ndarray:
        """Return the logits (N, classes) of images (N, *shape)."""
        return self._hidden(x) @ self.second

    def input_gradient(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the gradient of each image's cross entropy with respect to that image."""
        if np.shape(y) != (len(x),) or not np.issubdtype(np.asarray(y).dtype, np.integer):
            raise ValueError(f"expected {len(x)} integer labels, got an array of shape {np.shape(y)}")
        hidden = self._hidden(x)
        logits = hidden @ self.second
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        p[np.arange(len(x)), y] -= 1
        gradient = ((p @ self.second.T) * (1 - hidden**2)) @ self.first.T
        return gradient.reshape(x.shape)

    def _hidden(self, x: np.ndarray) -> np.ndarray:
        if x.shape[1:] != self.shape:
            raise ValueError(f"expected images of shape (N, {', '.join(map(str, self.shape))}), got {x.shape}")
        return np.tanh(x.reshape(-1, len(self.first)) @ self.first)


class CountedNetwork(SmallNetwork):
    """A `SmallNetwork` that counts the images for which it computes the logits.

    Pixels differ in influence, and the channels of a pixel have similar weights.

    Attributes
    ----------
    shown : int
        The number of images in all calls together.
    """

    shown = 0

    def __init__(self, draw: np.random.Generator, shape: tuple[int, ...], classes: int) -> None:
        super().__init__(draw, shape, classes)
        weights = self.first.reshape(*shape, -1)
        weights += draw.standard_normal((*shape[:2], 1, weights.shape[3])) / np.sqrt(np.prod(shape))
        weights *= np.exp(draw.standard_normal((*shape[:2], 1, 1)) / 2)

    def logits(self, x: np.ndarray) -> np.ndarray:
        self.shown += len(x)
        return super().logits(x)

    def images(self, draw: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return images and their predicted labels. Few changes of a single pixel fool the network, or none.

        Many pixels are 0 or 1. A test draws the same images for every program that it compares, so they are kept.
        """
        key = repr(draw.bit_generator.state), self.first.tobytes(), self.second.tobytes(), count
        # The last entry is the one used last.
        known = _IMAGES.pop(key, None) or (*self._drawn_images(draw, count), draw.bit_generator.state)
        _IMAGES[key] = x, labels, draw.bit_generator.state = known
        if len(_IMAGES) > MOST_IMAGES:
            del _IMAGES[next(iter(_IMAGES))]
        return x.copy(), labels.copy()

    def _drawn_images(self, draw: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        x = draw.uniform(-0.3, 1.3, (10 * count, *self.shape)).clip(0, 1)
        labels = np.argmax(super().logits(x), axis=1)
        fooled = np.zeros(len(x))
        for row, column, *digits in np.ndindex(*self.shape[:2], *[2] * self.shape[2]):
            changed = x.copy()
            changed[:, row, column] = digits
            fooled += np.argmax(super().logits(changed), axis=1) != labels
        chosen = draw.permutation(np.argsort(fooled, kind="stable")[: 3 * count])[:count]
        return x[chosen], labels[chosen]

    def _hidden(self, x: np.ndarray) -> np.ndarray:
        return super()._hidden(x - 0.5)  # without this, one class wins on nearly all images


MOST_IMAGES = 32  # calls of `CountedNetwork.images` whose images are kept: a submission makes about 20
_IMAGES: dict[tuple[str, bytes, bytes, int], tuple[np.ndarray, np.ndarray, Any]] = {}


class DigitsModel(Oracle):
    """Softmax regression, whose weights are a matrix (features, 10)."""

    methods = ("loss_and_gradient",)

    def loss_and_gradient(self, value: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean cross entropy over a batch, and its gradient with respect to the weights."""
        if np.shape(value) != (x.shape[1], 10) or len(x) != len(y) or not len(x):
            raise ValueError(
                f"expected weights ({x.shape[1]}, 10) and as many labels as samples, got {np.shape(value)}"
            )
        logits = x @ value
        logits = logits - logits.max(axis=1, keepdims=True)
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        rows = np.arange(len(x))
        p = np.exp(log_p)
        p[rows, y] -= 1
        return np.asarray(-log_p[rows, y].mean()), x.T @ p / len(x)


@functools.cache
def small_digits() -> tuple[np.ndarray, np.ndarray]:
    """Return the shipped training digits, reduced to 7 × 7 pixels in [0, 1], as rows (N, 49), and their labels."""
    images, labels = digits("train")
    blocks = images.astype("float64").reshape(-1, 7, 4, 7, 4)
    return blocks.mean(axis=(2, 4)).reshape(-1, 49), labels


class FunctionLayer(Oracle):
    """A layer without state, made of two functions, whose gradient a student's program examines."""

    methods = ("forward", "backward")

    def __init__(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        self.functions = forward, backward
        super().__init__()

    def forward(self, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Return y."""
        return np.asarray(self.functions[0](x, weight))

    def backward(self, x: np.ndarray, weight: np.ndarray, grad_y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the gradients with respect to x and weight that the layer computes, which may be wrong."""
        grad_x, grad_weight = self.functions[1](x, weight, grad_y)
        return np.asarray(grad_x), np.asarray(grad_weight)


@functools.cache
def digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the shipped digits ("train" or "test") and their labels, in a fixed random order."""
    from data_loaders import load_mnist

    found = getattr(load_mnist(mini=True), split)
    order = np.random.default_rng(0).permutation(len(found.labels))
    return (found.images[order] / 255).astype("float32"), found.labels[order]
