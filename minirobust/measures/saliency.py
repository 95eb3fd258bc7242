"""Input gradients: how strongly the loss depends on the pixels, per sample and per class (sections 3.2 and 4.1).

All functions except `magnitude` take only arrays.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minirobust import backend
from minirobust.backend import Array
from minirobust.network import Network


class ClassSaliency(NamedTuple):
    """The result of `by_class`; each array has shape (classes,), and is NaN where a class has too few samples.

    Attributes
    ----------
    medians : ndarray of float
        Median of G over the class's samples; NaN for a class without a sample.
    correlations : ndarray of float
        Pearson correlation of G and the confidence; NaN with fewer than three samples or if either is constant.
    p_values : ndarray of float
        Two-sided p-value of the hypothesis that there is no correlation; NaN where the correlation is NaN.
    """

    medians: np.ndarray
    correlations: np.ndarray
    p_values: np.ndarray


def magnitude(network: Network, x: Array, y: Array) -> Array:
    """Return G(x), the mean over pixels and channels of |∂L/∂x|, where L is the cross entropy of each sample.

    Parameters
    ----------
    network : Network
        A network that ends in logits.
    x : ndarray of float, shape (N, *input_shape)
    y : ndarray of int, shape (N,)
        True labels.

    Returns
    -------
    ndarray of float, shape (N,), on the network's backend

    Raises
    ------
    ValueError, TypeError
        If `x` or `y` is wrong, or the network does not end in logits.

    Examples
    --------
    >>> import minirobust as mr
    >>> net = mr.Network([mr.Dense(3)], input_shape=(2,))
    >>> magnitude(net, np.ones((5, 2), "float32"), np.zeros(5, int)).shape
    (5,)
    """
    return mean_magnitude(network.input_gradient(x, y))


def mean_magnitude(gradient: Array) -> Array:
    """Return G of each sample from its input gradient.

    Parameters
    ----------
    gradient : ndarray of float, shape (N, ...)

    Returns
    -------
    ndarray of float, shape (N,)
    """
    with np.errstate(under="ignore"):
        return abs(gradient).reshape(len(gradient), -1).mean(axis=1)


def by_class(magnitudes: Array, confidences: Array, y: Array, classes: int = 10) -> ClassSaliency:
    """Return for each class the median of G and its correlation with the confidence in the true class.

    The median is used because a few samples have gradients so large that they would dominate a mean.

    Parameters
    ----------
    magnitudes : ndarray of float, shape (N,)
        G(x), from `magnitude`.
    confidences : ndarray of float, shape (N,)
        The softmax probability of each sample's true class: ``network.predict_proba(x)[np.arange(N), y]``.
    y : ndarray of int, shape (N,)
        True labels in [0, classes).
    classes : int, default 10

    Returns
    -------
    ClassSaliency
        On the host.

    Raises
    ------
    ValueError
        If shapes differ, there is no sample, a number is not finite, or a label is out of range.
    """
    g, p = _finite(magnitudes, "magnitudes"), _finite(confidences, "confidences")
    if g.shape != p.shape:
        raise ValueError(
            f"saliency: expected magnitudes and confidences of the same shape, got {g.shape} and {p.shape}"
        )
    y = _labels(y, len(g), classes)
    medians, correlations, p_values = np.full((3, classes), np.nan)
    for c in range(classes):
        members = y == c
        if members.any():
            medians[c] = np.median(g[members])
        # Two points always lie on a line, and a constant correlates with nothing.
        if members.sum() >= 3 and np.ptp(g[members]) > 0 and np.ptp(p[members]) > 0:
            correlations[c], p_values[c] = _pearson(g[members], p[members])
    return ClassSaliency(medians, correlations, p_values)


def _pearson(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Return the Pearson correlation of two samples and its p-value, like `scipy.stats`, which is slow to import."""
    from scipy.special import betainc

    a, b = (values - values.mean() for values in (a, b))
    a, b = (values / abs(values).max() for values in (a, b))  # so that no square underflows or overflows
    r = float(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1, 1))
    # For independent normal samples, (1 + r) / 2 has a symmetric beta distribution.
    shape = len(a) / 2 - 1
    return r, 2 * float(betainc(shape, shape, (1 - abs(r)) / 2))


def largest(magnitudes: Array, count: int) -> np.ndarray:
    """Return the indices of the `count` samples of largest G, largest first; ties keep their order.

    These are the study's "ugly" images (Fig. 7).

    Parameters
    ----------
    magnitudes : ndarray of float, shape (N,)
    count : int
        From 1 to N.

    Returns
    -------
    ndarray of int, shape (count,), on the host

    Raises
    ------
    ValueError
        If `count` is out of range, or a magnitude is not finite.
    """
    g = _finite(magnitudes, "magnitudes")
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or not 1 <= count <= len(g):
        raise ValueError(f"saliency: expected count to be a whole number from 1 to {len(g)}, got {count!r}")
    return np.argsort(-g, kind="stable")[:count]


def _labels(y: Array, samples: int, classes: int) -> np.ndarray:
    """Return one label in [0, classes) for each sample, on the host."""
    y = backend.of(y).to_numpy(y)
    if y.shape != (samples,) or y.dtype.kind not in "iu":
        raise ValueError(f"saliency: expected labels to be integers of shape ({samples},), got {y.dtype} of {y.shape}")
    if y.min() < 0 or y.max() >= classes:
        raise ValueError(f"saliency: expected labels 0 to {classes - 1}, got {y.min()} to {y.max()}")
    return y


def _finite(numbers: Array, name: str) -> np.ndarray:
    """Return numbers as (N,) on the host in float64, after checking that there are some and that all are finite."""
    numbers = backend.of(numbers).to_numpy(numbers)
    if numbers.ndim != 1 or not len(numbers):
        raise ValueError(f"saliency: expected {name} of shape (N,), one for each sample, got {numbers.shape}")
    if not np.isfinite(numbers).all():
        raise ValueError(f"saliency: expected finite {name}, got {numbers[~np.isfinite(numbers)][0]}")
    return numbers.astype("float64")
