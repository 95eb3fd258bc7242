"""Input gradients: how strongly the loss hangs on the pixels, per sample and per class (sections 3.2 and 4.1).

Everything but `magnitude` takes arrays, and knows nothing of networks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy

from minirobust import backend
from minirobust.backend import Array
from minirobust.network import Network


class ClassSaliency(NamedTuple):
    """What `by_class` finds; each of shape (classes,), NaN where a class has too little to say.

    Attributes
    ----------
    medians : ndarray of float
        Of G over the class's samples; NaN for a class without a sample.
    correlations : ndarray of float
        Pearson's, between G and the confidence; NaN below three samples and where either is constant.
    p_values : ndarray of float
        Two-sided, of the hypothesis that there is no correlation; NaN where the correlation is.
    """

    medians: numpy.ndarray
    correlations: numpy.ndarray
    p_values: numpy.ndarray


def magnitude(network: Network, x: Array, y: Array) -> Array:
    """G(x): the mean over pixels and channels of |∂L/∂x|, L the cross entropy of each sample on its own.

    Parameters
    ----------
    network : Network
        Ends in logits.
    x : ndarray of float, shape (N, *input_shape)
    y : ndarray of int, shape (N,)
        True labels.

    Returns
    -------
    ndarray of float, shape (N,), on the network's backend

    Raises
    ------
    ValueError, TypeError
        If `x` or `y` are wrong, or the network does not end in logits.
    """
    return mean_magnitude(network.input_gradient(x, y))


def mean_magnitude(gradient: Array) -> Array:
    """G of each sample whose input gradient is at hand: (N, ...) → (N,)."""
    return abs(gradient).reshape(len(gradient), -1).mean(axis=1)


def by_class(magnitudes: Array, confidences: Array, y: Array, classes: int = 10) -> ClassSaliency:
    """Per class, the median of G and its correlation with the confidence in the true class.

    The median, because a few samples have gradients so large that a mean would show nothing else.

    Parameters
    ----------
    magnitudes : ndarray of float, shape (N,)
        G(x), from `magnitude`.
    confidences : ndarray of float, shape (N,)
        The softmax probability of each sample's true class: ``network.predict_proba(x)[numpy.arange(N), y]``.
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
    from scipy.stats import pearsonr

    g, p = _finite(magnitudes, "magnitudes"), _finite(confidences, "confidences")
    if g.shape != p.shape:
        raise ValueError(f"saliency: expected magnitudes and confidences of one shape, got {g.shape} and {p.shape}")
    y = _labels(y, len(g), classes)
    medians, correlations, p_values = numpy.full((3, classes), numpy.nan)
    for c in range(classes):
        members = y == c
        if members.any():
            medians[c] = numpy.median(g[members])
        # Through two points there is always a line, and a constant goes along with nothing.
        if members.sum() >= 3 and numpy.ptp(g[members]) > 0 and numpy.ptp(p[members]) > 0:
            correlations[c], p_values[c] = pearsonr(g[members], p[members])
    return ClassSaliency(medians, correlations, p_values)


def largest(magnitudes: Array, count: int) -> numpy.ndarray:
    """The indices of the `count` samples of largest G, largest first; of equal ones the first sample leads.

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
    if isinstance(count, bool) or not isinstance(count, int | numpy.integer) or not 1 <= count <= len(g):
        raise ValueError(f"saliency: expected count to be a whole number from 1 to {len(g)}, got {count!r}")
    return numpy.argsort(-g, kind="stable")[:count]


def _labels(y: Array, samples: int, classes: int) -> numpy.ndarray:
    """One label in [0, classes) for each sample, on the host."""
    y = backend.of(y).to_numpy(y)
    if y.shape != (samples,) or y.dtype.kind not in "iu":
        raise ValueError(f"saliency: expected labels to be integers of shape ({samples},), got {y.dtype} of {y.shape}")
    if y.min() < 0 or y.max() >= classes:
        raise ValueError(f"saliency: expected labels 0 to {classes - 1}, got {y.min()} to {y.max()}")
    return y


def _finite(numbers: Array, name: str) -> numpy.ndarray:
    """At least one finite number, as (N,) on the host and in float64."""
    numbers = backend.of(numbers).to_numpy(numbers)
    if numbers.ndim != 1 or not len(numbers):
        raise ValueError(f"saliency: expected {name} of shape (N,), one for each sample, got {numbers.shape}")
    if not numpy.isfinite(numbers).all():
        raise ValueError(f"saliency: expected finite {name}, got {numbers[~numpy.isfinite(numbers)][0]}")
    return numbers.astype("float64")
