"""Where arrays live and what computes on them: the only package in which NumPy, Numba and CuPy differ.

``get("numpy" | "numba" | "cupy" | "auto")`` gives a backend: an object with the array module `xp`, `asarray`,
`to_numpy`, random numbers, and the few kernels whose best form differs from device to device.  Everything else in
minirobust is plain array expressions, and runs wherever its arrays are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from minirobust.backend.cupy_backend import CupyBackend
from minirobust.backend.errors import BackendError
from minirobust.backend.numba_backend import NumbaBackend
from minirobust.backend.numpy_backend import Array, NumpyBackend

__all__ = ["BACKENDS", "Array", "BackendError", "NumpyBackend", "available", "get", "of"]

Backend = NumpyBackend  # the reference is the interface: every other backend is a subclass of it

# In the order in which "auto" tries them.  A new backend needs a line here and nothing elsewhere.
BACKENDS: dict[str, Callable[[], Backend]] = {"cupy": CupyBackend, "numba": NumbaBackend, "numpy": NumpyBackend}

_made: dict[str, Backend] = {}
_log = logging.getLogger("minirobust")


def get(name: str | Backend = "auto") -> Backend:
    """Return the backend of this name, of which there is one object; a backend is returned as it is.

    Parameters
    ----------
    name : {"numpy", "numba", "cupy", "auto"} or Backend
        "auto" takes CuPy if a CUDA device answers, else Numba if it is installed, else NumPy, and logs which.

    Returns
    -------
    Backend

    Raises
    ------
    BackendError
        If there is no backend of that name, or it cannot run here: one sentence that says why.
    """
    if isinstance(name, Backend):
        return name
    if name == "auto":
        return _first_that_runs()
    if name not in BACKENDS:
        raise BackendError(f"backend: expected one of {', '.join(map(repr, [*BACKENDS, 'auto']))}, got {name!r}")
    if name not in _made:
        _made[name] = BACKENDS[name]()
    return _made[name]


def _first_that_runs() -> Backend:
    reasons = []
    for name in BACKENDS:
        try:
            backend = get(name)
        except BackendError as error:
            reasons.append(str(error))
        else:
            _log.info("auto takes %r%s", backend, "".join(f"; {reason}" for reason in reasons))
            return backend
    raise BackendError("; ".join(reasons))


def of(array: object) -> Backend:
    """Return the backend to which an array belongs.

    Parameters
    ----------
    array : ndarray
        Of NumPy or CuPy.

    Returns
    -------
    Backend

    Raises
    ------
    TypeError
        If it is an array of no backend in use.
    """
    for backend in [
        get("numpy"),
        *_made.values(),
    ]:  # NumPy's arrays are the reference's, whatever else computes on them
        if backend.owns(array):
            return backend
    kind = type(array)
    raise TypeError(
        f"expected an array of one of the backends in use ({', '.join(_made)}), "
        f"got {kind.__module__}.{kind.__qualname__}"
    )


def available() -> dict[str, str]:
    """Return what each backend runs on, or one sentence that says why it does not run here.

    Returns
    -------
    dict of str to str
    """
    found = {}
    for name in BACKENDS:
        try:
            found[name] = get(name).describe()
        except BackendError as error:
            found[name] = str(error)
    return found
