"""Networks that are trained for an assignment: defences of the zoo that a student diagnoses and breaks."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minirobust.classroom.oracles import digits
from minirobust.classroom.program import Oracle, Wrong
from minirobust.layers import Dense, Flatten, Layer, TemperatureSigmoid
from minirobust.masking.zoo import Quantize, Ripple, Scale, Staircase, Thermometer
from minirobust.network import Network
from minirobust.optimizers import Adam
from minirobust.stack import Evaluation
from minirobust.training import fit

SHAPE = (14, 14, 1)
FRONT: dict[str, Callable[[], Layer]] = {
    "8 levels": lambda: Quantize(8),
    "thermometer code": lambda: Thermometer(8),
    "tanh staircase": lambda: Staircase(8, slope=400),
    "ripple": lambda: Ripple(0.03, 80 * math.pi),
}


class Trained(Oracle):
    """A network that was trained on the shipped digits, without every other row and column.

    The defences are those of the zoo, on networks so small that training takes about 0.1 s. Every image that the
    network sees is counted.

    Parameters
    ----------
    defence : str
        "8 levels", "thermometer code", "tanh staircase", "ripple", "logits × 10⁶", "cold" (T = 1/64) or "none".
    seed : int
        The seed of the training.
    budget : int
        The number of images that the network answers.

    Attributes
    ----------
    shown : int
        The number of images that `logits` and `gradient` have received so far.
    """

    methods = ("logits", "gradient")

    def __init__(self, defence: str, seed: int, budget: int) -> None:
        super().__init__(budget=budget)
        self.training = defence, seed
        self.evaluation, self.shown, self.most_shown = Evaluation(_trained(defence, seed)), 0, budget
        self.last, self.last_logits = b"", np.array([])

    def logits(self, x: np.ndarray) -> np.ndarray:
        """Return the logits (N, 10) of images (N, 14, 14, 1)."""
        x = np.asarray(x, "float32")
        if x.shape[1:] != SHAPE:
            raise ValueError(f"expected images of shape (N, 14, 14, 1), got {x.shape}")
        self.shown += len(x)
        if self.shown > self.most_shown:
            raise Wrong(f"more than {self.most_shown:,} images are shown to the model", "too many queries")
        if not len(x):
            return np.zeros((0, 10), "float32")
        if x.tobytes() != self.last:  # Most attacks ask for the gradient at images whose logits they have just seen.
            self.last, self.last_logits = x.tobytes(), self.evaluation.run(x)
        return self.last_logits.copy()

    def gradient(self, x: np.ndarray, cotangent: np.ndarray) -> np.ndarray:
        """Return the gradient of Σ cotangent · logits with respect to x."""
        if np.shape(cotangent) != (len(x), 10):
            raise ValueError(f"expected a cotangent of shape ({len(x)}, 10), got {np.shape(cotangent)}")
        Trained.logits(self, x)
        return self.evaluation.back(np.asarray(cotangent, "float32")) if len(x) else np.zeros_like(x)

    def correct_images(self, draw: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return test images that the network classifies correctly, and their labels."""
        images, labels = digits("test")
        chosen = draw.permutation(_classified_correctly(*self.training))[:count]
        return images[chosen][:, ::2, ::2], labels[chosen]


@functools.cache
def _classified_correctly(defence: str, seed: int) -> np.ndarray:
    """Return the indices of the test images that a network classifies correctly."""
    images, labels = digits("test")
    logits = Evaluation(_trained(defence, seed)).evaluate(images[:, ::2, ::2])
    return np.flatnonzero(logits.argmax(axis=1) == labels)


@functools.cache
def _trained(defence: str, seed: int) -> Network:
    images, labels = digits("train")
    scale = Scale(1)
    layers = [Flatten(), Dense(64), TemperatureSigmoid(1 / 64 if defence == "cold" else 1), Dense(10), scale]
    network = Network([*(make() for make in [FRONT.get(defence)] if make), *layers], SHAPE, "numpy", seed=seed)
    # Large batches, because `check` trains three networks while a student waits.
    data = images[:2000, ::2, ::2], labels[:2000]
    fit(network, Adam(network, 1e-2), data, epochs=16, batch_size=128, seed=seed, progress=False)
    scale.factor = 1e6 if defence == "logits × 10⁶" else 1
    return network


def check_attack(
    images: Any, model: Trained, substitute: Trained, x: np.ndarray, y: np.ndarray, epsilon: float
) -> float:
    """Return 1 if at most half of the attacked images are still classified correctly, else raise `Wrong`."""
    if not isinstance(images, np.ndarray) or images.shape != x.shape:
        raise Wrong(f"expected images of shape {x.shape}", "shape")
    if not np.isfinite(images).all():
        raise Wrong("there is NaN or infinity in the images", "NaN")
    if abs(images - x).max() > epsilon + 1e-5:
        raise Wrong("pixels move by more than epsilon: project after each step", "outside epsilon")
    if images.min() < -1e-5 or images.max() > 1 + 1e-5:
        raise Wrong("pixels leave the range from 0 to 1", "outside the range")
    if np.array_equal(images, x):
        raise Wrong("the images are unchanged: there is no gradient to follow", "unchanged")
    # Not the model's own evaluation, which holds the activations of the images that the program has just asked about.
    judging = Evaluation(_trained(*model.training))
    before, after = (judging.evaluate(batch.astype("float32")) for batch in (x, images))
    share = float((after.argmax(axis=1) == y).mean())
    if share <= 0.5:
        return 1.0
    rows = np.arange(len(y))
    if (after - before)[rows, y].mean() > (after - before).mean():
        raise Wrong("the images are classified with more certainty than before: the attack goes downhill", "downhill")
    raise Wrong(f"{share:.0%} of the images are still classified correctly, expected at most half", "not broken")
