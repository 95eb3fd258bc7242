"""Initial values of parameters and buffers: functions of a generator and a shape, found by name.

They draw on the host in float64, so every backend and dtype starts from the same numbers.  The fan-in of a weight is
the number of inputs that one output depends on, and the fan-out is the number of outputs that depend on one input.  For
Dense, these are the inputs and the units; for Conv2D, the area of the kernel times the channels or the filters.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.random import Generator

Initializer = Callable[[Generator, tuple[int, ...]], np.ndarray]


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the fan-in and the fan-out of a weight of that shape."""
    if len(shape) < 2:
        raise ValueError(f"fan-in needs a weight of two axes or more, got shape {shape}")
    field = math.prod(shape[:-2])
    return field * shape[-2], field * shape[-1]


def zeros(generator: Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return zeros, for biases.

    Parameters
    ----------
    generator : numpy.random.Generator
    shape : tuple of int

    Returns
    -------
    ndarray of float
    """
    return np.zeros(shape)


def ones(generator: Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return ones, for scales.

    Parameters
    ----------
    generator : numpy.random.Generator
    shape : tuple of int

    Returns
    -------
    ndarray of float
    """
    return np.ones(shape)


def glorot_uniform(generator: Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw uniformly within ±sqrt(6 / (fan-in + fan-out)) (Glorot & Bengio, 2010).

    Parameters
    ----------
    generator : numpy.random.Generator
    shape : tuple of int

    Returns
    -------
    ndarray of float
    """
    limit = math.sqrt(6 / sum(fans(shape)))
    return generator.uniform(-limit, limit, shape)


def he_normal(generator: Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw normal numbers with variance 2 / fan-in, for ReLU (He et al., 2015).

    Parameters
    ----------
    generator : numpy.random.Generator
    shape : tuple of int

    Returns
    -------
    ndarray of float
    """
    return generator.normal(0, math.sqrt(2 / fans(shape)[0]), shape)


def lecun_normal(generator: Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw normal numbers with variance 1 / fan-in (LeCun et al., 1998).

    Parameters
    ----------
    generator : numpy.random.Generator
    shape : tuple of int

    Returns
    -------
    ndarray of float
    """
    return generator.normal(0, math.sqrt(1 / fans(shape)[0]), shape)


INITIALIZERS: dict[str, Initializer] = {f.__name__: f for f in (zeros, ones, glorot_uniform, he_normal, lecun_normal)}


def find_initializer(initializer: str | Initializer) -> Initializer:
    """Return the initializer of that name; a callable is returned unchanged.

    Raises
    ------
    ValueError
        If there is no initializer of that name.
    """
    if callable(initializer):
        return initializer
    if initializer not in INITIALIZERS:
        raise ValueError(f"initializer: expected one of {', '.join(INITIALIZERS)} or a callable, got {initializer!r}")
    return INITIALIZERS[initializer]


def check_initializer(owner: str, name: str, initializer: str | Initializer) -> str | Initializer:
    """Return `initializer` unchanged, after checking that it exists; for use in `Argument`."""
    find_initializer(initializer)
    return initializer
