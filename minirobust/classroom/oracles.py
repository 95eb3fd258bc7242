"""Oracles that several assignments use."""

from __future__ import annotations

import numpy as np

from minirobust.classroom.program import Oracle


class SmallNetwork(Oracle):
    """A network with one hidden layer of tanh, which a student attacks: logits and input gradients are computed here.

    Parameters
    ----------
    draw : Generator
        Draws the weights. The first pixel has no influence, so its gradient is exactly 0.
    shape : tuple of int
        Of one image.
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
        return np.tanh(x.reshape(len(x), -1) @ self.first)
