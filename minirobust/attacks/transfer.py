"""Transfer attack: adversarial images made on one network and tested on another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minirobust import backend
from minirobust.attacks.attack import Attack, as_model, under_attack
from minirobust.backend import Array
from minirobust.validation import check_batch


def transfer(source: Any, target: Any, x: Array, y: Array, attack: Callable[[Any, Array, Array], Attack]) -> Attack:
    """Make images with `attack(source, x, y)`, and evaluate them on `target`.

    A model that is fooled by images made on another model, but not by images made on itself, masks its gradient.

    Parameters
    ----------
    source, target : Network or Model
        Two models with the same input shape, input range and number of classes; backends and dtypes may differ.
    x : ndarray of float, shape (N, *input_shape)
        Within the models' `input_range`.
    y : ndarray of int, shape (N,)
        True labels.
    attack : callable
        Takes a model, images and labels, and returns an `Attack`: for example `pgd`, or
        ``functools.partial(pgd, epsilon=0.2)``.

    Returns
    -------
    Attack
        Evaluated on `target`; `epsilon` and `seed` are those of the attack on `source`.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong; the message says what was expected.
    """
    check_source("transfer: source", source, target)
    model, x_target, y_target, _ = under_attack(target, x, y)
    made = attack(source, x, y)
    images = made.images if model.backend.owns(made.images) else backend.of(made.images).to_numpy(made.images)
    images = check_batch(images, model.input_shape, model.dtype, "transfer", model.backend)
    return Attack.judge(model, x_target, y_target, images, made.epsilon, made.seed)


def check_source(name: str, source: Any, target: Any) -> None:
    """Raise unless `source`, called `name` in messages, has the same shapes and input range as `target`.

    Raises
    ------
    ValueError, TypeError
        If `source` is not a model, is a network that does not end in logits, or differs from `target` in input shape,
        input range or number of classes.
    """
    try:
        source = as_model(source)
    except (ValueError, TypeError) as error:
        raise type(error)(f"{name}: {error}") from None
    target = as_model(target)
    for attribute in ("input_shape", "input_range", "classes"):
        expected, got = getattr(target, attribute), getattr(source, attribute)
        if got != expected:
            raise ValueError(f"{name}: expected the target's {attribute} {expected}, got {got}")
