"""Estimates with intervals: over seeds, of differences, of areas under a curve; and measures of how classes differ."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from minirobust.measures.intervals import Estimate, Z


def exact(value: float | np.floating) -> Estimate:
    """Return an exact value as an estimate whose interval has no width."""
    return Estimate(float(value), float(value), float(value))


def minus(one: Estimate, other: Estimate) -> Estimate:
    """Return the difference of two independent estimates; for the same images, its interval is too wide."""
    value = one.value - other.value
    below = math.hypot(one.value - one.low, other.high - other.value)
    above = math.hypot(one.high - one.value, other.value - other.low)
    return Estimate(value, value - below, value + above)


def over_seeds(estimates: Sequence[Estimate]) -> Estimate:
    """Return the mean over seeds, with an interval that covers both other seeds (Student's t) and other test images.

    All seeds share their test images, so averaging does not shrink that part. One seed says nothing about others.
    """
    from scipy.stats import t

    value, low, high = (float(mean) for mean in np.mean(estimates, axis=0))
    n, half = len(estimates), 0.0
    if n > 1:
        half = t.ppf(0.975, n - 1) * float(np.std([one.value for one in estimates], ddof=1)) / math.sqrt(n)
    return Estimate(value, value - math.hypot(half, value - low), value + math.hypot(half, high - value))


def spearman(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> float:
    """Return Spearman's ρ; 0 if `x` or `y` is constant.

    There is no p-value, because networks that share seeds and images are not independent observations.

    Parameters
    ----------
    x, y : sequence of float

    Returns
    -------
    float
    """
    from scipy.stats import spearmanr

    return 0.0 if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0 else float(spearmanr(x, y).statistic)


def p_of_difference(rates: np.ndarray, images: np.ndarray) -> float:
    """Return the p-value of Pearson's χ² test that all classes have the same rate; both arrays are (classes,)."""
    from scipy.stats import chi2_contingency

    present = ~np.isnan(rates)
    hits = np.rint(rates[present] * images[present])
    table = np.array([hits, images[present] - hits])
    return 1.0 if (table.sum(axis=1) == 0).any() else float(chi2_contingency(table).pvalue)


def spread(rates: np.ndarray, images: np.ndarray) -> tuple[float, float]:
    """Return the standard deviation of a rate over the classes, and the part of the variance due to sampling.

    The sampling variance, p (1 - p) / n averaged over the classes, is subtracted first; if nothing remains, the
    standard deviation is 0.
    """
    present = ~np.isnan(rates)
    p, n = rates[present], images[present]
    total, noise = float(p.var(ddof=1)), float((p * (1 - p) / n).mean())
    return math.sqrt(max(total - noise, 0.0)), min(noise / total, 1.0) if total else 1.0


def auroc(scores: np.ndarray, positive: np.ndarray) -> Estimate:
    """Return how often a positive sample scores above a negative one, with the interval of Hanley & McNeil (1982).

    Parameters
    ----------
    scores : ndarray of float, shape (N,)
    positive : ndarray of bool, shape (N,)

    Returns
    -------
    Estimate
    """
    from scipy.stats import rankdata

    m, n = int(positive.sum()), int((~positive).sum())
    area = float((rankdata(scores)[positive].sum() - m * (m + 1) / 2) / (m * n))
    above, below = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + (m - 1) * (above - area**2) + (n - 1) * (below - area**2)) / (m * n)
    half = Z * math.sqrt(max(variance, 0.0))
    return Estimate(area, max(area - half, 0.0), min(area + half, 1.0))
