"""Class and network robustness as the study defines them (section 3.2)."""

from __future__ import annotations

import numpy

from minirobust import backend
from minirobust.backend import Array


def by_class(fooled: Array, y: Array, classes: int = 10) -> numpy.ndarray:
    """R_c: the share of class c's samples that are classified as c after the attack.

    A sample that was wrong before the attack and stays wrong counts as not robust, as in the study.

    Parameters
    ----------
    fooled : ndarray of bool, shape (N,)
        `Attack.fooled`.
    y : ndarray of int, shape (N,)
        True labels in [0, classes).
    classes : int, default 10

    Returns
    -------
    ndarray of float, shape (classes,)
        In [0, 1]; NaN for a class without a sample.

    Raises
    ------
    ValueError
        If shapes differ, there is no sample, or a label is out of range.
    """
    fooled, y = (backend.of(array).to_numpy(array) for array in (fooled, y))
    if fooled.shape != y.shape or fooled.ndim != 1 or not len(y):
        raise ValueError(f"robustness: expected fooled and y of one shape (N,), got {fooled.shape} and {y.shape}")
    if fooled.dtype != bool:
        raise ValueError(f"robustness: expected fooled to be of bool, got {fooled.dtype}")
    if y.min() < 0 or y.max() >= classes:
        raise ValueError(f"robustness: expected labels 0 to {classes - 1}, got {y.min()} to {y.max()}")
    samples = numpy.bincount(y, minlength=classes)
    robust = numpy.bincount(y[~fooled], minlength=classes)
    return numpy.where(samples > 0, robust / numpy.maximum(samples, 1), numpy.nan)


def network_robustness(fooled: Array, y: Array, classes: int = 10) -> float:
    """The plain mean of R_c over the classes present: a macro mean, which differs from accuracy on unbalanced data.

    See `by_class` for the arguments and errors.
    """
    return float(numpy.nanmean(by_class(fooled, y, classes)))
