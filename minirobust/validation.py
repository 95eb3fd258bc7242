"""Checks of users' arguments: each returns the value to use, or raises an error that says what was expected."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from minirobust import backend as backends
from minirobust.backend import Array, Backend

if TYPE_CHECKING:
    from minirobust.layers import Layer

Size = int | tuple[int, int]
T = TypeVar("T")


def positive_int(owner: str, name: str, value: int) -> int:
    """Return a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{owner}: expected {name} to be a whole number of at least 1, got {value!r}")
    return int(value)


def size(owner: str, name: str, value: Size, least: int = 1) -> Size:
    """Return a whole number or a pair (down, across) of them, each at least `least`."""
    values = value if isinstance(value, tuple | list) else (value, value)
    whole = all(isinstance(v, Integral) and not isinstance(v, bool) and v >= least for v in values)
    if len(values) != 2 or not whole:
        raise ValueError(
            f"{owner}: expected {name} to be a whole number of at least {least} or a pair of them, got {value!r}"
        )
    return pair(value) if isinstance(value, tuple | list) else int(value)


def size_or_none(owner: str, name: str, value: Size | None) -> Size | None:
    """Return a whole number of at least 1, a pair of them, or None."""
    return None if value is None else size(owner, name, value)


def check_padding(owner: str, name: str, padding: str | Size) -> str | Size:
    """Return "valid", "same", a whole number of at least 0, or a pair of them."""
    if not isinstance(padding, str):
        return size(owner, name, padding, least=0)
    if padding not in ("valid", "same"):
        raise ValueError(f"{owner}: expected {name} 'valid', 'same', a whole number or a pair of them, got {padding!r}")
    return padding


def pair(value: Size) -> tuple[int, int]:
    """Return (down, across) for a size given as one number or as a pair."""
    return (int(value[0]), int(value[1])) if isinstance(value, tuple | list) else (int(value), int(value))


def number(
    owner: str, name: str, value: float, low: float, high: float = math.inf, *, include_low: bool = False
) -> float:
    """Return a finite number between `low` and `high`, excluding `high`, and excluding `low` unless `include_low`."""
    real = isinstance(value, Real) and not isinstance(value, bool) and abs(value) < math.inf  # isfinite(10**400) raises
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
    """Return the shape of one sample: at least one axis, every size a whole number of at least 1."""
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if not sizes or not all(isinstance(n, int | np.integer) and n > 0 for n in sizes):
        raise ValueError(f"expected input_shape (height, width, channels) or (features,), got {shape!r}")
    return tuple(int(n) for n in sizes)


def check_dtype(dtype: Any) -> str:
    """Return "float32" or "float64"."""
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = ""
    if name not in ("float32", "float64"):
        raise ValueError(f"expected dtype 'float32' or 'float64', got {dtype!r}")
    return name


def check_seed(seed: int) -> int:
    """Return a whole number of at least 0."""
    if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
        raise ValueError(f"expected seed to be a whole number of at least 0, got {seed!r}")
    return int(seed)


def check_range(bounds: tuple[float, float]) -> tuple[float, float]:
    """Return finite bounds (low, high) with low < high."""
    low, high = (float(bound) for bound in bounds)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"expected input_range (low, high) with low < high, got {bounds!r}")
    return low, high


def all_finite(x: np.ndarray) -> bool:
    """Return whether no element is NaN or infinite."""
    with np.errstate(over="ignore"):
        # The sum of squares is finite only if every element is.  It takes a third of the time of checking each element.
        return math.isfinite(np.vdot(x, x)) or bool(np.isfinite(x).all())


def check_batch(
    x: object, shape: tuple[int, ...], dtype: str, owner: object, backend: Backend, finite: bool = True
) -> Array:
    """Return `x` on `backend` and in `dtype`, after checking that it is a batch of float samples of that shape.

    Finiteness is checked only for host arrays, because reading a device array would stall the device.

    Parameters
    ----------
    x : ndarray or nested lists
    shape : tuple of int
        Shape of one sample.
    dtype : str
    owner : object
        The object whose input this is.  Error messages begin with its `str`, which is not computed otherwise.
    backend : Backend
    finite : bool, default True
        Whether to check that all numbers are finite; False if the caller compares them with a range anyway.

    Raises
    ------
    ValueError, TypeError
        If `x` is empty, has the wrong shape or type, is not finite, or is from another library.
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
        if finite and not all_finite(batch):
            raise ValueError(f"{owner}: expected finite numbers in {dtype}, got NaN or infinity")
        batch = np.ascontiguousarray(batch)  # a matrix product rounds differently for another memory layout
    return backend.asarray(batch)


def check_labels(y: object, shape: tuple[int, ...], backend: Backend, owner: str = "labels") -> Array:
    """Return `y` on `backend`, after checking that it contains labels for logits of that shape.

    The range is checked only for host arrays, because reading labels would stall a device at every training step.

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
    """Return `grad` on `backend` and in `dtype`, after checking that it fits an output of that shape.

    Raises
    ------
    RuntimeError
        If there was no output yet, and `shape` is None.
    ValueError, TypeError
        If the gradient has the wrong shape or type, or is from another library.
    """
    if shape is None:
        raise RuntimeError(f"{owner}: backward before forward: call forward first, which stores the activations")
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
    """Return an array of `backend` unchanged, and anything else as a plain NumPy array, to be moved after all checks.

    Raises
    ------
    TypeError
        If it is of another library, or of a subclass of ``numpy.ndarray``, whose extra meaning (a mask, a matrix
        product) would be lost silently.
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


def check_loss(loss: Any, classes: int, *, targeted: bool = False) -> None:
    """Raise TypeError or ValueError unless `loss` is an object with `value_and_gradient` for that many classes."""
    if isinstance(loss, type):
        raise TypeError(f"loss: expected an object, got the class {loss.__name__}: write {loss.__name__}()")
    if not callable(getattr(loss, "value_and_gradient", None)):
        raise TypeError(
            f"loss: expected an object with value_and_gradient(logits, y, target=None), got {loss!r}, which has none"
        )
    least, purpose = getattr(loss, "least_classes", 1), ""
    if targeted:
        least, purpose = getattr(loss, "least_classes_targeted", least), " for a target"
    if classes < least:
        raise ValueError(f"{loss!r}: expected at least {least} classes{purpose}, got logits of shape (N, {classes})")


def check_per_sample(loss: object, result: Any, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Return the result of a loss, after checking that it is (losses, gradients), one of each per sample."""
    if not isinstance(result, tuple) or len(result) != 2:
        raise ValueError(f"{loss!r}: expected (losses, gradients), got {type(result).__name__}")
    for name, array, expected in zip(("losses", "gradients"), result, (shape[:1], shape), strict=True):
        if getattr(array, "shape", None) != expected:
            got = f"shape {tuple(array.shape)}" if hasattr(array, "shape") else type(array).__name__
            raise ValueError(f"{loss!r}: expected {name} of shape {expected}, one for each sample, got {got}")
    return result


def wrong_output(owner: object, y: Any, shape: tuple[int, ...], dtype: str) -> Exception:
    """Return the error for a layer's output whose shape is not the one that `build` returned, or not in `dtype`."""
    expected = f"({', '.join(map(str, ('N', *shape)))}) in {dtype}"
    if not hasattr(y, "shape"):
        return TypeError(f"{owner}: expected forward to return an array {expected}, got {type(y).__name__}")
    got = f"{tuple(y.shape)} in {y.dtype}"
    # The usual cause of another dtype is an array in float64 among the layer's arguments or constants.
    hint = "" if y.dtype == dtype else ": convert the arrays it computes with, .astype(x.dtype)"
    return ValueError(f"{owner}: expected forward to return an array {expected}, as declared by build, got {got}{hint}")


def check_states(declared: Sequence[tuple[object, str, object]]) -> None:
    """For each (layer, name, state), raise AttributeError if the layer's attribute `name` is no longer that state."""
    for layer, name, state in declared:
        found = vars(layer).get(name)
        if found is not state:
            raise AttributeError(
                f"{layer}: expected {name} to be the {type(state).__name__} that build declared, found "
                f"{type(found).__name__}: write into its array, .{name}.value[...] = new"
            )


def check_logits(last: Layer, output_shape: tuple[int, ...]) -> None:
    """Raise ValueError if the last layer of a network does not return logits (N, classes)."""
    if last.gives_probabilities:
        raise ValueError(
            f"{last}: expected a network that ends in logits: remove this layer, the loss contains the softmax"
        )
    if len(output_shape) != 1:
        shape = ", ".join(map(str, ("N", *output_shape)))
        raise ValueError(f"{last}: expected an output of logits (N, classes), got ({shape})")


def check_run(network: object, optimizer: Any, epochs: int, batch_size: int, start: int) -> None:
    """Raise ValueError unless an optimizer can train this network for these epochs."""
    if optimizer.network is not network:
        raise ValueError(
            "fit: expected an optimizer made for this network, got another network's (a copy is another network)"
        )
    positive_int("fit", "epochs", epochs)
    positive_int("fit", "batch_size", batch_size)
    if not 0 <= start <= epochs:
        raise ValueError(f"fit: expected start from 0 to epochs = {epochs}, got {start}")
