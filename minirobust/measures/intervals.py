"""95 % confidence intervals of robustness: per class, for the mean over classes, and for a difference of two attacks.

`robustness` computes robustness itself.  The input is an array that marks the fooled samples, which are assumed to be
drawn at random and independently from their classes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minirobust.backend import Array
from minirobust.measures import robustness
from minirobust.measures.robustness import on_host

Z = 1.959963984540054  # 95 % of a normal distribution lies within ± Z of its centre, counted in standard deviations


class Estimate(NamedTuple):
    """A value and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


class ClassEstimates(NamedTuple):
    """An estimate for every class: arrays of shape (classes,), NaN for a class without a sample."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def by_class(fooled: Array, y: Array, classes: int = 10) -> ClassEstimates:
    """Return each class's robustness with Wilson's score interval: all rates p with |R_c - p| ≤ Z √(p (1 - p) / n).

    The interval (Wilson, 1927) stays within [0, 1]. Even at rates of 0 and 1, which are frequent here, it has a width.

    Parameters
    ----------
    fooled : ndarray of bool, shape (N,)
        `Attack.fooled`.
    y : ndarray of int, shape (N,)
        True labels in [0, classes).
    classes : int, default 10

    Returns
    -------
    ClassEstimates
        On the host.

    Raises
    ------
    ValueError
        If shapes differ, there is no sample, or a label is out of range.
    """
    p = robustness.by_class(fooled, y, classes)
    n = np.where(np.isnan(p), np.nan, _samples(y, classes))
    centre = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * np.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    return ClassEstimates(p, np.maximum(centre - half, 0), np.minimum(centre + half, 1))


def network(fooled: Array, y: Array, classes: int = 10) -> Estimate:
    """Return network robustness with the interval of a stratified mean: R ± Z √(Σ_c R_c (1 - R_c) / n_c) / K.

    This uses the variance of a mean of K independent rates (Cochran, *Sampling Techniques*, 1977, section 5).  It would
    be 0 if all R_c were 0 or 1, so Z² / 2 robust samples and Z² / 2 fooled ones are added first, as Agresti & Coull
    (1998) do for a single rate; each class gets 1/K of them (our choice).  With a single class, it is their interval.

    Parameters
    ----------
    fooled, y, classes
        See `by_class`.

    Returns
    -------
    Estimate

    Raises
    ------
    ValueError
        If shapes differ, there is no sample, or a label is out of range.
    """
    return mean_of_rates(robustness.by_class(fooled, y, classes), _samples(y, classes))


def mean_of_rates(rates: np.ndarray, samples: np.ndarray) -> Estimate:
    """Return what `network` does, given the rate and the number of samples of each class; NaN without a sample.

    Parameters
    ----------
    rates : ndarray of float, shape (classes,)
    samples : ndarray of int, shape (classes,)

    Returns
    -------
    Estimate
    """
    present = ~np.isnan(rates)
    p, n, share = rates[present], samples[present], Z**2 / present.sum()
    smoothed = (n * p + share / 2) / (n + share)
    half = Z * np.sqrt((smoothed * (1 - smoothed) / (n + share)).sum()) / len(p)
    centre = smoothed.mean()
    return Estimate(robustness.mean_over_classes(rates), float(max(centre - half, 0)), float(min(centre + half, 1)))


def difference(fooled: Array, other: Array, y: Array, classes: int = 10) -> Estimate:
    """Return network robustness under one attack minus that under another, on the same samples.

    For each sample, d = other - fooled is 1, 0 or -1.  The estimate is the mean of the class means of d.  Its interval
    is d̄ ± Z √(Σ_c s_c² / n_c) / K, where s_c² is the variance of d in class c.  This is the stratified mean of paired
    differences (Cochran, 1977), and much narrower than the intervals of the two rates suggest.  To give it a width even
    if the attacks never differ, half a sample is added to each cell of the 2 × 2 table, as Agresti & Min (2005) do;
    each of the K classes gets 1/K of it (our choice).  With a single class, it is their interval.

    Parameters
    ----------
    fooled, other : ndarray of bool, shape (N,)
        `Attack.fooled` of the two attacks.
    y, classes
        See `by_class`, which raises the same errors.

    Returns
    -------
    Estimate
        From -1 to 1; above 0 if `other` is the stronger attack.
    """
    p = robustness.by_class(fooled, y, classes) - robustness.by_class(other, y, classes)
    present = ~np.isnan(p)
    y, d = on_host(y), on_host(other).astype(int) - on_host(fooled)
    n, total, nonzero = (np.bincount(y, weights=weights, minlength=classes)[present] for weights in (None, d, abs(d)))
    share = 1 / (2 * len(n))
    n, nonzero = n + 4 * share, nonzero + 2 * share
    variance = nonzero / n - (total / n) ** 2
    half = Z * np.sqrt((variance / n).sum()) / len(n)
    centre = (total / n).mean()
    return Estimate(float(p[present].mean()), float(max(centre - half, -1)), float(min(centre + half, 1)))


def _samples(y: Array, classes: int) -> np.ndarray:
    return np.bincount(on_host(y), minlength=classes)
