"""What users hand in: each check returns the value to go on with, or says what was expected and what came."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy

from minirobust.backend import Array, Backend, get

Size = int | tuple[int, int]


def positive_int(owner: str, name: str, value: int) -> int:
    """A whole number from 1 upwards."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{owner}: expected {name} to be a whole number of at least 1, got {value!r}")
    return value


def size(owner: str, name: str, value: Size, least: int = 1) -> Size:
    """A whole number or a pair (down, across) of them, from `least` upwards."""
    values = value if isinstance(value, tuple | list) else (value, value)
    whole = all(isinstance(v, Integral) and not isinstance(v, bool) and v >= least for v in values)
    if len(values) != 2 or not whole:
        raise ValueError(
            f"{owner}: expected {name} to be a whole number of at least {least} or a pair of them, got {value!r}"
        )
    return value


def pair(value: Size) -> tuple[int, int]:
    """(down, across) of a size that is the same both ways or given for each."""
    return (int(value[0]), int(value[1])) if isinstance(value, tuple | list) else (int(value), int(value))


def number(
    owner: str, name: str, value: float, low: float, high: float = math.inf, *, include_low: bool = False
) -> float:
    """A finite number between `low` and `high`, which do not belong unless `include_low`."""
    real = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if not real or not (value > low or (include_low and value == low)) or not value < high:
        bracket = "[" if include_low else "("
        raise ValueError(f"{owner}: expected {name} in {bracket}{low:g}, {high:g}), got {value!r}")
    # A Python number takes on the dtype of the arrays that it meets; a numpy.float64 would make float32 wider.
    return value.item() if isinstance(value, numpy.generic) else value


def check_shape(shape: int | Sequence[int]) -> tuple[int, ...]:
    """The shape of one sample: at least one axis, every size a whole number from 1 upwards."""
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if not sizes or not all(isinstance(n, int | numpy.integer) and n > 0 for n in sizes):
        raise ValueError(f"expected input_shape (height, width, channels) or (features,), got {shape!r}")
    return tuple(int(n) for n in sizes)


def check_dtype(dtype: Any) -> str:
    """ "float32" or "float64"."""
    name = numpy.dtype(dtype).name
    if name not in ("float32", "float64"):
        raise ValueError(f"expected dtype 'float32' or 'float64', got {dtype!r}")
    return name


def check_seed(seed: int) -> int:
    """A whole number from 0 upwards."""
    if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
        raise ValueError(f"expected seed to be a whole number from 0 upwards, got {seed!r}")
    return int(seed)


def check_range(bounds: tuple[float, float]) -> tuple[float, float]:
    """A finite low and a finite high above it."""
    low, high = (float(bound) for bound in bounds)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"expected input_range (low, high) with low < high, got {bounds!r}")
    return low, high


def check_batch(x: object, shape: tuple[int, ...], dtype: str, owner: object, home: Backend) -> Array:
    """`x` on the backend `home` and in `dtype`, if it is a batch of float samples of that shape.

    Finiteness is checked of host arrays only: a look at a device array would stop the device.

    Parameters
    ----------
    x : ndarray or nested lists
    shape : tuple of int
        Of one sample.
    dtype : str
    owner : object
        Whose input it is; its `str` opens the message, and is made only then.
    home : Backend

    Raises
    ------
    ValueError, TypeError
        If it is empty, of another shape or kind, not finite, or of a foreign library.
    """
    batch = _where_it_is(x, owner, home)
    if tuple(batch.shape[1:]) != shape or len(batch.shape) != len(shape) + 1:
        expected = ", ".join(map(str, ("N", *shape)))
        raise ValueError(f"{owner}: expected shape ({expected}), got {tuple(batch.shape)}")
    if len(batch) == 0:
        raise ValueError(f"{owner}: expected at least one sample, got an empty batch {tuple(batch.shape)}")
    if batch.dtype.kind in "iub":
        raise TypeError(f"{owner}: expected float numbers, got {batch.dtype} (images from 0 to 255? divide by 255)")
    if batch.dtype.kind != "f":
        raise TypeError(f"{owner}: expected float numbers, got {batch.dtype}")
    with numpy.errstate(over="ignore"):  # what float32 cannot hold becomes infinity, and is refused as such
        batch = batch.astype(dtype, copy=False)
    if isinstance(batch, numpy.ndarray) and not numpy.isfinite(batch).all():
        raise ValueError(f"{owner}: expected finite numbers in {dtype}, got NaN or infinity")
    return home.asarray(batch)


def check_labels(y: object, shape: tuple[int, ...], home: Backend) -> Array:
    """`y` on the backend `home`, if it labels logits of that shape.

    The range is checked where the labels are on the host.  Labels on a device are taken as they are: looking at them
    would stop the device at every training step.

    Raises
    ------
    ValueError, TypeError
        If the labels are not integers in [0, K) of shape (N,).
    """
    if len(shape) != 2:
        raise ValueError(f"logits: expected shape (N, classes), got {shape}")
    labels = _where_it_is(y, "labels", home)
    if labels.dtype.kind not in "iu":
        raise TypeError(f"labels: expected integers, got {labels.dtype}")
    if tuple(labels.shape) != (shape[0],):
        raise ValueError(f"labels: expected shape ({shape[0]},), one for each sample, got {tuple(labels.shape)}")
    if isinstance(labels, numpy.ndarray) and len(labels) and not 0 <= labels.min() <= labels.max() < shape[1]:
        wrong = labels[(labels < 0) | (labels >= shape[1])][0]
        raise ValueError(f"labels: expected classes 0 to {shape[1] - 1}, got {wrong}")
    return home.asarray(labels)


def _where_it_is(array: Any, owner: object, home: Backend) -> Array:
    """An array of the backend as it is, anything else as a NumPy array: looked at first, moved when all is well."""
    try:
        return array if home.owns(array) else get("numpy").asarray(array)
    except TypeError as error:
        raise TypeError(f"{owner}: {error}") from None
