"""Class and network robustness as the study defines them (section 3.2), over ε and over several attacks.

The input is an array that marks the samples fooled by an attack; `minirobust.attacks` contains the attacks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minirobust import backend
from minirobust.attacks.attack import Attack, check_epsilon, under_attack
from minirobust.attacks.fgsm import sign_step
from minirobust.backend import Array
from minirobust.losses import Loss
from minirobust.network import Network


def by_class(fooled: Array, y: Array, classes: int = 10) -> np.ndarray:
    """Return R_c, the share of class c's samples that are classified as c after the attack.

    A sample that is misclassified both before and after the attack counts as not robust, as in the study.

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
    fooled, y = _checked("fooled", fooled, y, classes)
    return _shares(fooled, y, classes)


def network_robustness(fooled: Array, y: Array, classes: int = 10) -> float:
    """Return the plain mean of R_c over the classes present: a macro mean, unlike accuracy on unbalanced data.

    Parameters
    ----------
    fooled, y, classes
        See `by_class`.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If shapes differ, there is no sample, or a label is out of range.

    Examples
    --------
    >>> fooled, y = np.array([True, False, False, False]), np.array([0, 1, 1, 1])
    >>> network_robustness(fooled, y, classes=2)
    0.5
    """
    return mean_over_classes(by_class(fooled, y, classes))


def mean_over_classes(shares: np.ndarray) -> float:
    """Return the plain mean of the classes' shares, ignoring those that are NaN; NaN if all are.

    Parameters
    ----------
    shares : ndarray of float, shape (classes,)

    Returns
    -------
    float
    """
    present = shares[~np.isnan(shares)]
    return float(present.mean()) if len(present) else np.nan


def by_class_of_correct(fooled: Array, clean_correct: Array, y: Array, classes: int = 10) -> np.ndarray:
    """Return `by_class` of the samples that were classified correctly before the attack.

    This shows the effect of the attack alone; R_c as the study defines it also counts samples that were misclassified
    before it.

    Parameters
    ----------
    fooled, clean_correct : ndarray of bool, shape (N,)
        `Attack.fooled` and `Attack.clean_correct`.
    y : ndarray of int, shape (N,)
        True labels in [0, classes).
    classes : int, default 10

    Returns
    -------
    ndarray of float, shape (classes,)
        In [0, 1]; NaN for a class without a correct sample.

    Raises
    ------
    ValueError
        See `by_class`.
    """
    correct, _ = _checked("clean_correct", clean_correct, y, classes)
    fooled, y = _checked("fooled", fooled, y, classes)
    return _shares(fooled[correct], y[correct], classes)


def network_robustness_of_correct(fooled: Array, clean_correct: Array, y: Array, classes: int = 10) -> float:
    """Return the plain mean of `by_class_of_correct` over the classes with a correct sample; NaN if there is none.

    Parameters
    ----------
    fooled, clean_correct, y, classes
        See `by_class_of_correct`.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If shapes differ, there is no sample, or a label is out of range.
    """
    return mean_over_classes(by_class_of_correct(fooled, clean_correct, y, classes))


def epsilon_curve(
    network: Network, x: Array, y: Array, epsilons: Sequence[float], *, loss: Loss | None = None
) -> np.ndarray:
    """Return network robustness against FGSM at several ε, from one gradient: only the length of the step differs.

    Parameters
    ----------
    network : Network
        A network that ends in logits.
    x : ndarray of float, shape (N, *input_shape)
        Within the network's `input_range`.
    y : ndarray of int, shape (N,)
        True labels.
    epsilons : sequence of float
        Each from 0 to the width of the input range, in any order; at 0 the robustness is that without an attack.
    loss : object with ``value_and_gradient(logits, y)``, default `SoftmaxCrossEntropy`

    Returns
    -------
    ndarray of float, shape (len(epsilons),)
        For each ε, exactly the result of `attacks.fgsm` followed by `network_robustness`.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong; the message says what was expected.
    """
    steps = [check_epsilon(network, epsilon) for epsilon in epsilons]
    if not steps:
        raise ValueError("robustness: expected at least one epsilon, got none")
    model, x, y, loss = under_attack(network, x, y, loss)
    fooled = model.xp.empty((len(steps), len(x)), dtype=bool)
    for chunk in model.chunks(len(x)):
        _, _, gradient = model.gradient(x[chunk], y[chunk], loss)
        for row, epsilon in enumerate(steps):
            images = sign_step(model, x[chunk], gradient, epsilon)
            fooled[row, chunk] = model.predict(images) != y[chunk]
    (classes,) = network.output_shape
    return np.array([network_robustness(fooled[row], y, classes) for row in range(len(steps))])


def worst_case(attacks: Sequence[Attack]) -> np.ndarray:
    """Return which samples are misclassified without an attack or under any of several attacks.

    Report the robustness over this union; the lowest robustness against a single attack would be too high.

    Parameters
    ----------
    attacks : sequence of Attack
        Attacks on the same samples of one network.

    Returns
    -------
    ndarray of bool, shape (N,)
        On the host; use it wherever `Attack.fooled` is expected.

    Raises
    ------
    ValueError
        If there is no attack, or the attacks differ in the number of samples or in which were correct without one.
    """
    if not attacks:
        raise ValueError("robustness: expected at least one attack, got none")
    fooled, *others = (on_host(attack.fooled) for attack in attacks)
    correct, *others_correct = (on_host(attack.clean_correct) for attack in attacks)
    for index, other in enumerate(others_correct, start=1):
        if not np.array_equal(other, correct):
            raise ValueError(
                f"robustness: expected attacks on the same samples of one network, got {correct.sum()} of "
                f"{len(correct)} correct before attack 0, {other.sum()} of {len(other)} before attack {index}"
            )
    return np.logical_or.reduce([~correct, fooled, *others])


def on_host(array: Array) -> np.ndarray:
    """Return an array of any backend as a NumPy array."""
    return backend.of(array).to_numpy(array)


def _checked(name: str, mask: Array, y: Array, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return both arrays on the host, after checking that they fit each other and the number of classes."""
    mask, y = on_host(mask), on_host(y)
    if mask.shape != y.shape or mask.ndim != 1 or not len(y):
        raise ValueError(f"robustness: expected {name} and y of the same shape (N,), got {mask.shape} and {y.shape}")
    if mask.dtype != bool:
        raise ValueError(f"robustness: expected {name} to have dtype bool, got {mask.dtype}")
    if y.min() < 0 or y.max() >= classes:
        raise ValueError(f"robustness: expected labels 0 to {classes - 1}, got {y.min()} to {y.max()}")
    return mask, y


def _shares(fooled: np.ndarray, y: np.ndarray, classes: int) -> np.ndarray:
    """Return the share of each class that is not fooled; NaN for a class without a sample."""
    samples = np.bincount(y, minlength=classes)
    robust = np.bincount(y[~fooled], minlength=classes)
    return np.where(samples > 0, robust / np.maximum(samples, 1), np.nan)
