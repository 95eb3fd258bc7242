"""`Attack`: what every attack returns, computed on the very images it returns; and what all attacks begin with.

Arithmetic of attacks is not here: each has a file of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real

import numpy

from minirobust import backend
from minirobust.backend import Array
from minirobust.network import Network
from minirobust.validation import check_labels


@dataclass(frozen=True)
class Attack:
    """Adversarial images and what the network says to them.

    Attributes
    ----------
    images : ndarray
        Of the shape of the attacked `x`, on the network's backend.
    predictions : ndarray of int, shape (N,)
        The network's classes for `images`, from a full forward pass.
    fooled : ndarray of bool, shape (N,)
        Where the prediction differs from the label; also where it did so before the attack.
    clean_correct : ndarray of bool, shape (N,)
        Where the network was right before the attack.
    epsilon : float
        Largest change of a pixel that was allowed.
    seed : int or None
        Of the attack's random draws; None if it draws nothing.
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
        network: Network,
        x: Array,
        y: Array,
        images: Array,
        epsilon: float,
        seed: int | None = None,
        clean_predictions: Array | None = None,
    ) -> Attack:
        """The attack that made `images` out of `x`: what the network says to both.

        An attack that looked at the network's classes for `x` on its way hands them over, and saves a forward pass.
        """
        predictions = network.predict(images)
        if clean_predictions is None:
            clean_predictions = network.predict(x)
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
        return f"<Attack on {len(self.images)} images, epsilon={self.epsilon:g}, {fooled} fooled>"


def check_samples(network: Network, x: Array, y: Array) -> tuple[Array, Array]:
    """`x` and `y` on the network's backend, if the network takes them and every pixel is in its input range.

    Raises
    ------
    ValueError, TypeError
        If not, or if the network does not end in logits.
    """
    network.expect_logits()
    home = network.backend
    x = network.check_input(x)
    shape = (len(x), *network.output_shape)
    y = check_labels(y, shape, home)
    # Labels and pixels on a device are looked at too: an attack is long enough to afford what a training step cannot.
    check_labels(home.to_numpy(y), shape, home)
    # A bound that x's dtype cannot hold is met by the nearest number that it can, which may lie just outside.
    low, high = (float(x.dtype.type(bound)) for bound in network.input_range)
    least, most = (float(home.to_numpy(bound)) for bound in (x.min(), x.max()))
    if not (low <= least and most <= high):  # so that NaN is refused as well
        raise ValueError(f"attack: expected pixels in [{low:g}, {high:g}], got {least:g} to {most:g}")
    return x, y


def in_chunks(network: Network, samples: int, name: str, progress: bool) -> Iterable[slice]:
    """`Network.chunks`, on request behind a progress bar that only a terminal shows."""
    stretches = list(network.chunks(samples))
    if not progress:
        return stretches
    from tqdm import tqdm

    return tqdm(stretches, desc=name, unit="chunk", leave=False, disable=None)


def where_right(network: Network, logits: Array, y: Array) -> Array:
    """Indices of the samples that are classified as labelled, on the network's backend.

    How many they are must be known on the host, so this is an attack's one look at the device in every step.
    """
    home = network.backend
    return home.asarray(numpy.flatnonzero(home.to_numpy(logits.argmax(axis=1) == y)))


def uniform(key: Sequence[int], samples: slice, shape: Sequence[int]) -> numpy.ndarray:
    """Numbers in [0, 1) for a stretch of samples, drawn on the host.

    A sample's numbers follow from the key and its position in the call alone, so they are the same on every backend and
    however the call is cut into stretches.

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
    stream = numpy.random.PCG64(key)
    stream.advance(samples.start * math.prod(shape))  # every number takes one step of the stream
    return numpy.random.Generator(stream).random((samples.stop - samples.start, *shape))


def signs(network: Network, u: Array) -> Array:
    """-1 or 1, in the network's dtype, from numbers in [0, 1)."""
    return 2 * (u < 0.5).astype(network.dtype) - 1


def check_epsilon(network: Network, epsilon: float) -> float:
    """`epsilon`, if it is a number from 0 to the width of the network's input range.

    Raises
    ------
    ValueError
        If not.
    """
    low, high = network.input_range
    if isinstance(epsilon, bool) or not isinstance(epsilon, Real) or not 0 <= epsilon <= high - low:
        raise ValueError(f"attack: expected epsilon in [0, {high - low:g}], got {epsilon!r}")
    return float(epsilon)
