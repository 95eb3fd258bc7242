"""`Attack`: what every attack returns, computed on the very images it returns."""

from __future__ import annotations

from dataclasses import dataclass

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
    ) -> Attack:
        """The attack that made `images` out of `x`: what the network says to both."""
        predictions = network.predict(images)
        return cls(
            images=images,
            predictions=predictions,
            fooled=predictions != y,
            clean_correct=network.predict(x) == y,
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
    x = network.check_input(x)
    y = check_labels(y, (len(x), *network.output_shape), network.backend)
    low, high = network.input_range
    least, most = (float(network.backend.to_numpy(bound)) for bound in (x.min(), x.max()))
    if least < low or most > high:
        raise ValueError(f"attack: expected pixels in [{low:g}, {high:g}], got {least:g} to {most:g}")
    return x, y


def check_epsilon(network: Network, epsilon: float) -> float:
    """`epsilon`, if it is a number from 0 to the width of the network's input range.

    Raises
    ------
    ValueError
        If not.
    """
    low, high = network.input_range
    if not 0 <= epsilon <= high - low:
        raise ValueError(f"attack: expected epsilon in [0, {high - low:g}], got {epsilon!r}")
    return float(epsilon)
