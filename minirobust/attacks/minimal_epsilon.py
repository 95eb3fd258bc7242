"""The smallest of several ε at which an attack fools the model, for each sample."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirobust import backend
from minirobust.attacks.attack import Attack, check_epsilon, under_attack
from minirobust.attacks.pgd import pgd
from minirobust.backend import Array


@dataclass(frozen=True)
class MinimalEpsilon:
    """The smallest ε tried that fools the model, for each sample: an upper bound of the true minimum.

    Attributes
    ----------
    epsilon : ndarray of float, shape (N,)
        On the model's backend.  0 where the model is wrong without an attack; infinity where no ε tried fools it.
    images : ndarray
        The images that fool the model at this ε; where none does, the samples themselves.
    tried : tuple of float
        Every ε, in ascending order.
    """

    epsilon: Array
    images: Array
    tried: tuple[float, ...]

    def __repr__(self) -> str:
        epsilon = backend.of(self.epsilon).to_numpy(self.epsilon)
        withstood = int((epsilon == math.inf).sum())
        return f"<MinimalEpsilon of {len(epsilon)} images, {withstood} not fooled up to epsilon={self.tried[-1]:g}>"


def minimal_epsilon(
    model: Any, x: Array, y: Array, epsilons: Sequence[float], attack: Callable[..., Attack] = pgd
) -> MinimalEpsilon:
    """Try each ε in ascending order, on the samples that no smaller ε fools.

    Parameters
    ----------
    model, x, y
        See `fgsm`.
    epsilons : sequence of float
        Each from 0 to the width of the input range, in any order.
    attack : callable, default `pgd`
        Takes a model, images, labels and ``epsilon=``, and returns an `Attack`: for example `apgd`, or
        ``functools.partial(pgd, steps=100)``.

    Returns
    -------
    MinimalEpsilon

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong; the message says what was expected.
    """
    view, x, y, _ = under_attack(model, x, y)
    tried = tuple(sorted({float(check_epsilon(view, epsilon)) for epsilon in epsilons}))
    if not tried:
        raise ValueError("minimal_epsilon: expected at least one epsilon, got none")
    to_numpy, asarray = view.backend.to_numpy, view.backend.asarray
    wrong = view.predict(x) != y
    images, smallest = x.copy(), view.xp.where(wrong, 0.0, math.inf)
    standing = asarray(np.flatnonzero(~to_numpy(wrong)))  # the samples that have not been fooled yet
    for epsilon in tried:
        if not len(standing):
            break
        made = attack(model, x[standing], y[standing], epsilon=epsilon)
        fooled = to_numpy(made.fooled)
        fallen = asarray(np.flatnonzero(fooled))
        images[standing[fallen]], smallest[standing[fallen]] = made.images[fallen], epsilon
        standing = standing[asarray(np.flatnonzero(~fooled))]
    return MinimalEpsilon(smallest, images, tried)
