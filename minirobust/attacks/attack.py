"""`Attack`, the result of every attack, computed on the images it returns; and the door that all attacks enter by.

The arithmetic of each attack is in a file of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np

from minirobust import backend
from minirobust.backend import Array
from minirobust.cores import warn_of_busy_cores
from minirobust.losses import Loss, SoftmaxCrossEntropy
from minirobust.network import Network
from minirobust.stack import Evaluation, most_likely
from minirobust.tables import with_bar
from minirobust.validation import check_labels


@dataclass(frozen=True)
class Attack:
    """Adversarial images and the network's predictions for them.

    Attributes
    ----------
    images : ndarray
        Of the shape of the attacked `x`, on the network's backend.
    predictions : ndarray of int, shape (N,)
        The network's classes for `images`, from a full forward pass; -1 where its logits are not finite.
    fooled : ndarray of bool, shape (N,)
        Where the prediction differs from the label, including where it did so before the attack.
    clean_correct : ndarray of bool, shape (N,)
        Where the network was right before the attack.
    epsilon : float
        The largest change of a pixel that was allowed.
    seed : int or None
        Of the attack's random draws; None if there are none.
    """

    images: Array
    predictions: Array
    fooled: Array
    clean_correct: Array
    epsilon: float
    seed: int | None = None

    @classmethod
    def judge(
        cls,
        model: Evaluation,
        x: Array,
        y: Array,
        images: Array,
        epsilon: float,
        seed: int | None = None,
        clean_predictions: Array | None = None,
    ) -> Attack:
        """Return the result of an attack that turned `x` into `images`: compute the predictions for both.

        An attack that computed the predictions for `x` on its way passes them, and saves a forward pass.
        """
        predictions = model.predict(images)
        if clean_predictions is None:
            clean_predictions = model.predict(x)
        return cls(
            images=images,
            predictions=predictions,
            fooled=predictions != y,
            clean_correct=clean_predictions == y,
            epsilon=epsilon,
            seed=seed,
        )

    def __repr__(self) -> str:
        fooled = int(backend.of(self.fooled).to_numpy(self.fooled).sum())
        text = f"Attack on {len(self.images)} images, epsilon={self.epsilon:g}, {fooled} fooled"
        return f"<{text}{without_logits(self.predictions)}>"


def without_logits(predictions: Array) -> str:
    """Return how many predictions are -1, in words that follow a result; nothing if there are none."""
    count = int((backend.of(predictions).to_numpy(predictions) < 0).sum())
    return f", {count} of them with NaN or infinite logits" if count else ""


def under_attack(
    network: Network, x: Array, y: Array, loss: Loss | None = None
) -> tuple[Evaluation, Array, Array, Loss]:
    """Check what every attack takes, once; return what it works with.

    Pixels that rounding has put just outside the input range are clipped to it.

    Returns
    -------
    model : Evaluation
    x, y : ndarray
        On the network's backend.
    loss : Loss
        Cross entropy if `loss` is None.

    Raises
    ------
    ValueError, TypeError
        If the network does not end in logits or an argument is wrong; the message says what was expected.
    """
    if not isinstance(network, Network):
        raise TypeError(f"attack: expected a Network, got {network!r}")
    loss = SoftmaxCrossEntropy() if loss is None else loss
    network.expect_logits(loss)
    x = network.check_input(x)
    shape, to_numpy = (len(x), *network.output_shape), network.backend.to_numpy
    y = check_labels(y, shape, network.backend)
    if not isinstance(y, np.ndarray):
        # On a device, labels and pixels are read too: an attack is long enough to afford what a training step is not.
        check_labels(to_numpy(y), shape, network.backend)
    low, high = network.input_range
    least, most = (float(to_numpy(bound)) for bound in (x.min(), x.max()))
    slack = rounding(network)
    if not (low - slack <= least and most <= high + slack):  # in this form NaN is refused as well
        raise ValueError(f"attack: expected pixels in [{low:.9g}, {high:.9g}], got {least:.9g} to {most:.9g}")
    if least < low or most > high:
        x = network.xp.clip(x, low, high)
    warn_of_busy_cores(network.backend)
    return Evaluation(network), x, y, loss


def rounding(network: Network) -> float:
    """Return how far rounding to float32 moves a number at the ends of the input range."""
    return float(np.spacing(np.float32(max(map(abs, network.input_range)))))


def in_chunks(model: Evaluation, samples: int, name: str, progress: bool) -> Iterable[slice]:
    """Return `Evaluation.chunks`, on request behind a progress bar that only a terminal shows."""
    return with_bar(list(model.chunks(samples)), name, "chunk", progress)


def where_right(model: Evaluation, logits: Array, y: Array) -> Array:
    """Return the indices of the samples that are classified as labelled, on the model's backend.

    Their number must be known on the host, so this is an attack's one look at the device in every step.
    """
    backend = model.backend
    return backend.asarray(np.flatnonzero(backend.to_numpy(most_likely(backend, logits) == y)))


def sign(model: Evaluation, gradient: Array) -> Array:
    """Return the sign of a gradient, 0 where it is 0 or NaN: an attack writes no NaN into an image."""
    direction = model.xp.sign(gradient)
    return model.xp.where(direction == direction, direction, 0)  # NaN is not equal to itself


def uniform(key: Sequence[int], samples: slice, shape: Sequence[int]) -> np.ndarray:
    """Draw numbers in [0, 1) for a chunk of samples, on the host.

    A sample's numbers depend only on the key and on its position in the call, so they are the same on every backend and
    for chunks of any size.

    Parameters
    ----------
    key : sequence of int
        Of the random stream, the attack's seed first.
    samples : slice
        Positions in the call.
    shape : sequence of int
        Of one sample's numbers.

    Returns
    -------
    ndarray of float64, shape (samples.stop - samples.start, *shape)
    """
    stream = np.random.PCG64(key)
    stream.advance(samples.start * math.prod(shape))  # every number takes one step of the stream
    return np.random.Generator(stream).random((samples.stop - samples.start, *shape))


def signs(model: Evaluation, u: Array) -> Array:
    """Return -1 or 1, in the model's dtype, for numbers in [0, 1)."""
    return 2 * (u < 0.5).astype(model.dtype) - 1


def check_epsilon(network: Network, epsilon: float) -> float:
    """Return `epsilon`, if it is a number from 0 to the width of the network's input range.

    Raises
    ------
    ValueError
        If not.
    """
    low, high = network.input_range
    real = isinstance(epsilon, Real) and not isinstance(epsilon, bool)
    if not real or not 0 <= epsilon <= high - low + rounding(network):
        raise ValueError(f"attack: expected epsilon in [0, {high - low:.9g}], got {epsilon!r}")
    return min(float(epsilon), high - low)
