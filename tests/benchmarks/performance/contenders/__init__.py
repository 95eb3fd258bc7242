"""The contenders: one module for each library, with the same functions.

A module has some of the functions `training`, `input_gradient`, `fgsm`, `pgd`, `pixel` and `square`.  Each takes a
`Work` and returns a `Contender` for every variant that takes part.  The first call of a contender compiles and warms
up.  Each is written as a competent user of its library would write it.

=================  ==================================================================================================
`training`         One more epoch at each call; returns the mean loss.
`input_gradient`   Returns ∂L/∂x of every image.
`fgsm`, `pgd`      Returns two rows: which images are misclassified before the attack, and which after it.
`pixel`            Returns a row for 1, 2, ..., n pixels: which images are misclassified after it.
`square`           As `fgsm`.
=================  ==================================================================================================
"""

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

# Module here: package that it needs.
LIBRARIES = {
    "ours": "minirobust",
    "pytorch": "torch",
    "jax_": "jax",
    "autograd_": "autograd",
    "mygrad_": "mygrad",
}


@dataclass(frozen=True)
class Contender:
    """A call to time.

    Attributes
    ----------
    name : str
    run : callable
        Does the work once, and returns when it is done: a device or another thread is waited for.
    to_numpy : callable
        Turns what `run` returned into an array that can be compared; not timed.
    """

    name: str
    run: Callable[[], Any]
    to_numpy: Callable[[Any], np.ndarray] = np.asarray


@cache
def installed() -> list[ModuleType]:
    """Return the modules whose library is installed, and print which are not."""
    modules = []
    for module, package in LIBRARIES.items():
        if importlib.util.find_spec(package) is None:
            print(f"left out: {package} is not installed")
        else:
            modules.append(importlib.import_module(f"{__name__}.{module}"))
    return modules


def enter(function: str, *arguments: Any) -> list[Contender]:
    """Return the contenders of all installed libraries; the first is minirobust on NumPy."""
    return [
        contender
        for module in installed()
        if hasattr(module, function)
        for contender in getattr(module, function)(*arguments)
    ]
