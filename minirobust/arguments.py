"""Attributes that are checked when they are assigned, and the constructor arguments of layers and optimizers.

Copies and checkpoints rebuild a layer from its arguments, so every argument is stored under its own name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from minirobust import backend as backends

T = TypeVar("T")


class Argument(Generic[T]):
    """A constructor argument that is checked and normalized whenever it is assigned.

    Reading it is an ordinary attribute lookup on the instance, which runs no code of this class.

    Parameters
    ----------
    check : callable
        ``check(owner's class name, argument's name, value, **limits)`` returns the normalized value or raises.
    fixed : bool, default False
        Whether the argument determines the shapes of arrays, and cannot change once they exist.
    limits
        Passed on to `check`.
    """

    def __init__(self, check: Callable[..., T], *, fixed: bool = False, **limits: Any) -> None:
        self.check, self.fixed, self.limits = check, fixed, limits

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __set__(self, owner: object, value: Any) -> None:
        value = self.check(type(owner).__name__, self.name, value, **self.limits)
        if self.fixed and "index" in vars(owner) and not same(value, vars(owner)[self.name]):
            raise AttributeError(
                f"{owner}: {self.name} determines the shapes of arrays that exist already: "
                f"create a new network to change it to {value!r}"
            )
        vars(owner)[self.name] = value

    if TYPE_CHECKING:

        def __get__(self, owner: object, kind: type) -> T: ...


class Rate(Argument[Any]):
    """An optimizer's argument: a number, or an array with one for each of the network's parameters.

    `Optimizer.rates` also holds it as an array on the network's backend, which the arithmetic uses.  Assigning a number
    writes into that array, so a step that was recorded on a device uses the new value.
    """

    def __set__(self, owner: Any, value: Any) -> None:
        network, kind = owner.network, type(owner).__name__
        if getattr(value, "shape", ()) == ():
            value = self.check(kind, self.name, value[()] if isinstance(value, np.ndarray) else value, **self.limits)
            array = np.asarray(value, dtype=network.dtype)
        else:
            array = network.backend.to_numpy(value).astype(network.dtype)
            least = "of at least 0" if self.limits.get("include_low") else "above 0"
            inside = array >= 0 if self.limits.get("include_low") else array > 0
            if array.shape != network.parameters.shape or not (inside & np.isfinite(array)).all():
                raise ValueError(
                    f"{kind}: expected {self.name} to be a number {least}, or an array of such numbers of shape "
                    f"{network.parameters.shape}, got an array of shape {array.shape}"
                )
        moved = network.backend.asarray(array)
        held = owner.rates.get(self.name)
        if held is not None and held.shape == moved.shape:
            held[...] = moved
        else:
            held = owner.rates[self.name] = moved
        vars(owner)[self.name] = held if moved.shape else value


class FlatArray:
    """A network's attribute that holds a flat array; assigning to it writes into the array, so its views stay valid."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __set__(self, network: Any, values: Any) -> None:
        flat = network.__dict__.setdefault(self.name, values)
        if flat is values:
            return
        values = network.backend.asarray(values)
        if values.shape != flat.shape:
            raise ValueError(f"{self.name}: expected an array of shape {flat.shape}, got shape {values.shape}")
        flat[...] = values

    if TYPE_CHECKING:

        def __get__(self, network: object, kind: type) -> Any: ...


def normalized(value: Any) -> Any:
    """Return `value` with NumPy scalars as Python numbers, lists as tuples, and arrays copied and made read-only."""
    if isinstance(value, np.generic):
        return value.item()
    if type(value) in (list, tuple):  # not a named tuple, whose constructor differs
        return tuple(normalized(item) for item in value)
    if type(value) is np.ndarray and value.flags.writeable:
        value = value.copy()
        value.setflags(write=False)
    return value


def same(a: Any, b: Any) -> bool:
    """Return whether two values are equal: numbers, text, arrays, or tuples, lists and dictionaries of them."""
    if hasattr(a, "dtype") and hasattr(b, "dtype") and hasattr(a, "shape") and hasattr(b, "shape"):
        a, b = (backends.of(array).to_numpy(array) for array in (a, b))
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    if type(a) is not type(b):
        return isinstance(a, Real) and isinstance(b, Real) and a == b
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return a is b or bool(a == b) or (isinstance(a, float) and a != a and b != b)


def shown(value: Any) -> str:
    """Return `repr(value)`, or the dtype and shape of an array with more than a few elements."""
    if isinstance(value, np.ndarray) and value.size > 4:
        return f"<{value.dtype} array of shape {value.shape}>"
    return repr(value)


def _parameters(kind: Any) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a class's constructor, by name."""
    if kind.__init__ is object.__init__ and kind.__new__ is object.__new__:
        return {}  # at once: `inspect` would parse the text of the signature of `object`
    return inspect.signature(kind).parameters


def constructor_arguments(owner: object) -> dict[str, Any]:
    """Return the arguments that build an equal object.

    Raises
    ------
    TypeError
        If the constructor takes ``*args`` or ``**kwargs``, or an argument is not stored under its own name.
    """
    kind = type(owner).__name__
    parameters = _parameters(type(owner))
    for name, parameter in parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError(
                f"{kind}: expected a constructor with named arguments, got {parameter}: "
                "copies and checkpoints pass every argument by its name"
            )
        if not hasattr(owner, name):
            raise TypeError(
                f"{kind}: expected the constructor to store its argument {name!r} as self.{name}, "
                "found no such attribute"
            )
    return {name: getattr(owner, name) for name in parameters}


def constructor_call(owner: object) -> str:
    """Return the call that builds an equal object, without arguments that have their default values."""
    parameters = _parameters(type(owner))
    texts = [
        shown(value) if parameters[name].default is inspect.Parameter.empty else f"{name}={shown(value)}"
        for name, value in constructor_arguments(owner).items()
        if not same(value, parameters[name].default)
    ]
    return f"{type(owner).__name__}({', '.join(texts)})"


def expect_rebuilt(layer: object, twin: object, names: Iterable[str]) -> None:
    """Raise TypeError if one of a layer's attributes is missing or different in `twin`, built from its arguments."""
    for name in names:
        if name not in vars(twin) or not same(vars(layer)[name], vars(twin)[name]):
            raise TypeError(
                f"{layer}: the attribute {name!r} would be lost, because a new {type(layer).__name__} built from the "
                f"same arguments {'has another value' if name in vars(twin) else 'does not have it'}: make it a "
                f"constructor argument, a Parameter or a Buffer, or list it in `saved` if forward stores it for the "
                f"backward pass"
            )
