"""What users pass in: each check returns the value to go on with, or raises a sentence with what was expected."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from minirobust import backend as backends
from minirobust.backend import Array, Backend

Size = int | tuple[int, int]
T = TypeVar("T")


class Argument(Generic[T]):
    """A constructor argument that is checked and normalized whenever it is assigned.

    Reading it is an ordinary look-up on the instance: no code runs between a layer and its numbers.

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
                f"{owner}: {self.name} determines the shapes of the layer's arrays, which exist already: "
                f"make a new network to change it to {value!r}"
            )
        vars(owner)[self.name] = value

    if TYPE_CHECKING:

        def __get__(self, owner: object, kind: type) -> T: ...


class Rate(Argument[Any]):
    """An optimizer's argument: a number, or an array with one for each of the network's parameters.

    Besides, `Optimizer.rates` holds it as an array on the network's backend, which the arithmetic uses.  Assigning a
    number writes into that array, so that a step that a device has recorded sees it.
    """

    def __set__(self, owner: Any, value: Any) -> None:
        network, kind = owner.network, type(owner).__name__
        if getattr(value, "shape", ()) == ():
            value = self.check(kind, self.name, value[()] if isinstance(value, np.ndarray) else value, **self.limits)
            array = np.asarray(value, dtype=network.dtype)
        else:
            array = network.backend.to_numpy(value).astype(network.dtype)
            least = "from 0 upwards" if self.limits.get("include_low") else "above 0"
            inside = array >= 0 if self.limits.get("include_low") else array > 0
            if array.shape != network.parameters.shape or not (inside & np.isfinite(array)).all():
                raise ValueError(
                    f"{kind}: expected {self.name} to be a number {least}, or an array of them of shape "
                    f"{network.parameters.shape}, got an array of shape {array.shape}"
                )
        moved = network.backend.asarray(array)
        held = owner.rates.get(self.name)
        if held is not None and held.shape == moved.shape:
            held[...] = moved
        else:
            held = owner.rates[self.name] = moved
        vars(owner)[self.name] = held if moved.shape else value


def normalized(value: Any) -> Any:
    """Return `value` with NumPy scalars as Python numbers, lists as tuples, and arrays copied and made read-only."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
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
    """Return `repr`, but an array of more than a few numbers as its dtype and shape."""
    if isinstance(value, np.ndarray) and value.size > 4:
        return f"<{value.dtype} array of shape {value.shape}>"
    return repr(value)


def positive_int(owner: str, name: str, value: int) -> int:
    """Return a whole number from 1 upwards."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{owner}: expected {name} to be a whole number of at least 1, got {value!r}")
    return int(value)


def size(owner: str, name: str, value: Size, least: int = 1) -> Size:
    """Return a whole number or a pair (down, across) of them, from `least` upwards."""
    values = value if isinstance(value, tuple | list) else (value, value)
    whole = all(isinstance(v, Integral) and not isinstance(v, bool) and v >= least for v in values)
    if len(values) != 2 or not whole:
        raise ValueError(
            f"{owner}: expected {name} to be a whole number of at least {least} or a pair of them, got {value!r}"
        )
    return pair(value) if isinstance(value, tuple | list) else int(value)


def pair(value: Size) -> tuple[int, int]:
    """Return (down, across) of a size that is the same both ways or given for each."""
    return (int(value[0]), int(value[1])) if isinstance(value, tuple | list) else (int(value), int(value))


def number(
    owner: str, name: str, value: float, low: float, high: float = math.inf, *, include_low: bool = False
) -> float:
    """Return a finite number between `low` and `high`, which do not belong unless `include_low`."""
    real = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if not real or not (value > low or (include_low and value == low)) or not value < high:
        bracket = "[" if include_low else "("
        raise ValueError(f"{owner}: expected {name} in {bracket}{low:g}, {high:g}), got {value!r}")
    # A Python number takes on the dtype of the arrays it meets; a numpy.float64 would turn float32 into float64.
    return value.item() if isinstance(value, np.generic) else value


def check_members(owner: str, name: str, values: Sequence[Any], kind: type[T]) -> tuple[T, ...]:
    """Return a sequence of at least one object of a class as a tuple."""
    members = tuple(values)
    if not members:
        raise ValueError(f"{owner}: expected at least one {kind.__name__.lower()}, got none")
    for index, value in enumerate(members):
        if not isinstance(value, kind):
            hint = f": write {value.__name__}(...)" if isinstance(value, type) else ""
            raise TypeError(f"{owner}: expected {name}[{index}] to be a {kind.__name__}, got {value!r}{hint}")
    return members


def check_shape(shape: int | Sequence[int]) -> tuple[int, ...]:
    """Return the shape of one sample: at least one axis, every size a whole number from 1 upwards."""
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if not sizes or not all(isinstance(n, int | np.integer) and n > 0 for n in sizes):
        raise ValueError(f"expected input_shape (height, width, channels) or (features,), got {shape!r}")
    return tuple(int(n) for n in sizes)


def check_dtype(dtype: Any) -> str:
    """Return "float32" or "float64"."""
    name = np.dtype(dtype).name
    if name not in ("float32", "float64"):
        raise ValueError(f"expected dtype 'float32' or 'float64', got {dtype!r}")
    return name


def check_seed(seed: int) -> int:
    """Return a whole number from 0 upwards."""
    if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
        raise ValueError(f"expected seed to be a whole number from 0 upwards, got {seed!r}")
    return int(seed)


def check_range(bounds: tuple[float, float]) -> tuple[float, float]:
    """Return a finite low and a finite high above it."""
    low, high = (float(bound) for bound in bounds)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"expected input_range (low, high) with low < high, got {bounds!r}")
    return low, high


def check_batch(x: object, shape: tuple[int, ...], dtype: str, owner: object, backend: Backend) -> Array:
    """Return `x` on `backend` and in `dtype`, if it is a batch of float samples of that shape.

    Finiteness is checked for host arrays only: reading a device array would stop the device.

    Parameters
    ----------
    x : ndarray or nested lists
    shape : tuple of int
        Of one sample.
    dtype : str
    owner : object
        Whose input it is; its `str` opens the message, and is computed only then.
    backend : Backend

    Raises
    ------
    ValueError, TypeError
        If it is empty, of another shape or kind, not finite, or from another library.
    """
    batch = own_array(x, owner, backend)
    if tuple(batch.shape[1:]) != shape or len(batch.shape) != len(shape) + 1:
        expected = ", ".join(map(str, ("N", *shape)))
        raise ValueError(f"{owner}: expected shape ({expected}), got {tuple(batch.shape)}")
    if len(batch) == 0:
        raise ValueError(f"{owner}: expected at least one sample, got an empty batch {tuple(batch.shape)}")
    if batch.dtype.kind in "iub":
        raise TypeError(f"{owner}: expected float numbers, got {batch.dtype} (images from 0 to 255? divide by 255)")
    if batch.dtype.kind != "f":
        raise TypeError(f"{owner}: expected float numbers, got {batch.dtype}")
    if batch.dtype != dtype:
        with np.errstate(over="ignore", under="ignore"):  # a number too large for float32 becomes infinity: see below
            batch = batch.astype(dtype)
    if isinstance(batch, np.ndarray):
        if not np.isfinite(batch).all():
            raise ValueError(f"{owner}: expected finite numbers in {dtype}, got NaN or infinity")
        batch = np.ascontiguousarray(batch)  # a matrix product rounds differently for another memory layout
    return backend.asarray(batch)


def check_labels(y: object, shape: tuple[int, ...], backend: Backend, owner: str = "labels") -> Array:
    """Return `y` on `backend`, if it labels logits of that shape.

    The range is checked for host arrays only: reading labels on a device would stop it at every training step.

    Raises
    ------
    ValueError, TypeError
        If the labels are not integers in [0, K) of shape (N,).
    """
    if len(shape) != 2:
        raise ValueError(f"logits: expected shape (N, classes), got {shape}")
    labels = own_array(y, owner, backend)
    if labels.dtype.kind not in "iu":
        raise TypeError(f"{owner}: expected integers, got {labels.dtype}")
    if tuple(labels.shape) != (shape[0],):
        raise ValueError(f"{owner}: expected shape ({shape[0]},), one for each sample, got {tuple(labels.shape)}")
    if isinstance(labels, np.ndarray) and len(labels) and not 0 <= labels.min() <= labels.max() < shape[1]:
        wrong = labels[(labels < 0) | (labels >= shape[1])][0]
        raise ValueError(f"{owner}: expected classes 0 to {shape[1] - 1}, got {wrong}")
    return backend.asarray(labels)


def check_gradient(grad: Any, shape: tuple[int, ...] | None, dtype: str, owner: object, backend: Backend) -> Array:
    """Return `grad` on `backend` and in `dtype`, if it is a gradient of an output of that shape.

    Raises
    ------
    RuntimeError
        If there was no output yet, and `shape` is None.
    ValueError, TypeError
        If the gradient is of another shape or kind, or from another library.
    """
    if shape is None:
        raise RuntimeError(f"{owner}: backward before forward, there are no activations to go back through")
    grad = backend.asarray(own_array(grad, owner, backend))
    if tuple(grad.shape) != shape:
        raise ValueError(
            f"{owner}: expected a gradient of shape {shape}, like the output of the last forward pass, "
            f"got {tuple(grad.shape)}"
        )
    if grad.dtype.kind != "f":
        raise TypeError(f"{owner}: expected a gradient of float numbers, got {grad.dtype}")
    return grad.astype(dtype)


def own_array(array: Any, owner: object, backend: Backend) -> Array:
    """Return an array of `backend` as it is and anything else as a plain NumPy array: it moves when all is checked.

    Raises
    ------
    TypeError
        If it is of another library, or of a subclass of ``numpy.ndarray``, whose extra meaning (a mask, a matrix
        product) would be lost without a word.
    """
    if isinstance(array, np.memmap):
        return np.asarray(array)
    if isinstance(array, np.ndarray) and type(array) is not np.ndarray:
        kind = type(array)
        raise TypeError(
            f"{owner}: expected a plain ndarray, got {kind.__module__}.{kind.__qualname__}: "
            "convert it first (numpy.asarray; for a masked array, .filled(value))"
        )
    try:
        return array if backend.owns(array) else backends.get("numpy").asarray(array)
    except TypeError as error:
        raise TypeError(f"{owner}: {error}") from None
