"""Transfer: adversarials made on one network, tried on another."""

from __future__ import annotations

from collections.abc import Callable

from minirobust.attacks.attack import Attack, under_attack
from minirobust.backend import Array
from minirobust.network import Network


def transfer(
    source: Network, target: Network, x: Array, y: Array, attack: Callable[[Network, Array, Array], Attack]
) -> Attack:
    """Make images by `attack(source, x, y)` and judge them by `target`.

    A network that falls to images made on another one, but resists those made on itself, hides its gradient.

    Parameters
    ----------
    source, target : Network
        Of one input shape, input range and number of classes; backends and dtypes may differ.
    x : ndarray of float, shape (N, *input_shape)
        Within the networks' `input_range`.
    y : ndarray of int, shape (N,)
        True labels.
    attack : callable
        Takes a network, images and labels and returns an `Attack`: `pgd`, or ``functools.partial(pgd, epsilon=0.2)``.

    Returns
    -------
    Attack
        Judged by `target`; `epsilon` and `seed` are those of the attack on `source`.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong; the message says what was expected.
    """
    check_source("transfer: source", source, target)
    model, x_target, y_target, _ = under_attack(target, x, y)
    made = attack(source, x, y)
    images = made.images if target.backend.owns(made.images) else source.backend.to_numpy(made.images)
    return Attack.judge(model, x_target, y_target, target.check_input(images), made.epsilon, made.seed)


def check_source(name: str, source: Network, target: Network) -> None:
    """Raise unless `source`, which messages call `name`, has the shapes and the input range of `target`.

    Raises
    ------
    ValueError, TypeError
        If it is no network, or does not end in logits, or differs in input shape, input range or number of classes.
    """
    if not isinstance(source, Network):
        raise TypeError(f"{name}: expected a Network, got {source!r}")
    try:
        source.expect_logits()
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    for attribute in ("input_shape", "input_range", "output_shape"):
        expected, got = getattr(target, attribute), getattr(source, attribute)
        if got != expected:
            raise ValueError(f"{name}: expected the target's {attribute} {expected}, got {got}")
