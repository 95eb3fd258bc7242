"""`save` and `load`: a network and its optimizer in one HDF5 file.

The file holds numbers and JSON, and loading it executes nothing: layers are looked up by name among the library's own
and those handed to `load`.  How it is written whole or not at all, and known to be whole, is in `sealed`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from minirobust import layers as own_layers
from minirobust import optimizers as own_optimizers
from minirobust import sealed
from minirobust.backend import Backend
from minirobust.layers import Layer
from minirobust.network import Network
from minirobust.optimizers import Optimizer
from minirobust.sealed import CheckpointError


class Checkpoint(NamedTuple):
    """What `load` returns: ``network, optimizer, epoch = load(path)``.

    Attributes
    ----------
    network : Network
    optimizer : Optimizer or None
        None if the file was saved without one.
    epoch : int
        How many epochs were trained; `fit` goes on from there with ``start=epoch``.
    """

    network: Network
    optimizer: Optimizer | None
    epoch: int


def save(path: str | Path, network: Network, optimizer: Optimizer | None = None, epoch: int = 0) -> None:
    """Writes a checkpoint, replacing the file at `path` as a whole or not at all.

    Parameters
    ----------
    path : path
        By custom, ending in ``.h5``.
    network : Network
    optimizer : Optimizer, optional
        Of this network.
    epoch : int, default 0

    Raises
    ------
    ValueError, TypeError
        If the optimizer is another network's, or a layer has an argument that JSON cannot hold (a function, say).
    OSError
        If the folder does not exist or cannot be written; what stood at `path` is untouched.
    """
    sealed.write(Path(path), *pack(network, optimizer, epoch))


def load(
    path: str | Path,
    backend: str | Backend = "numpy",
    dtype: str | None = None,
    layers: Sequence[type[Layer]] = (),
) -> Checkpoint:
    """Reads a checkpoint.

    Parameters
    ----------
    path : path
    backend : str or Backend, default "numpy"
        Where the network shall live, wherever it was saved.
    dtype : {"float32", "float64"}, optional
        The saved network's if not given.
    layers : sequence of Layer subclasses
        Your own layers that the network uses, found by their class's name.

    Returns
    -------
    Checkpoint
        (network, optimizer, epoch)

    Raises
    ------
    FileNotFoundError
        If there is no file.
    CheckpointError
        If it is foreign, truncated, damaged or of a newer version, or uses a layer that is not known here.
    """
    description, arrays = sealed.read(Path(path))
    try:
        return unpack(description, arrays, backend, dtype, layers)
    except CheckpointError as error:
        raise CheckpointError(f"checkpoint {path}: {error}") from error


def check_saveable(network: Network, optimizer: Optimizer | None, path: str | Path) -> None:
    """Raises what `save` would raise, before any work is done that could be lost."""
    _description(network, optimizer, 0)
    sealed.check_writable(Path(path))


def pack(
    network: Network, optimizer: Optimizer | None = None, epoch: int = 0
) -> tuple[dict[str, Any], dict[str, numpy.ndarray]]:
    """What `save` hands to `sealed.write`: whoever has more to keep adds it under names of its own."""
    return _description(network, optimizer, epoch), _arrays(network, optimizer)


def unpack(
    description: Mapping[str, Any],
    arrays: Mapping[str, numpy.ndarray],
    backend: str | Backend = "numpy",
    dtype: str | None = None,
    layers: Sequence[type[Layer]] = (),
) -> Checkpoint:
    """What `pack` packed, whatever stands beside it; see `load` for the arguments and errors."""
    try:
        return _rebuild(description, arrays, backend, dtype, layers)
    except CheckpointError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"cannot be rebuilt: {error}") from error


# What is written


def _description(network: Network, optimizer: Optimizer | None, epoch: int) -> dict[str, Any]:
    """Everything that is not an array, as JSON can hold it."""
    description: dict[str, Any] = {
        "layers": [[type(layer).__name__, _plain(layer)] for layer in network.layers],
        "draws": [layer.draws for layer in network.layers],
        "input_shape": list(network.input_shape),
        "dtype": network.dtype,
        "seed": network.seed,
        "input_range": list(network.input_range),
        "epoch": epoch,
    }
    if optimizer is not None:
        if optimizer.network is not network:
            raise ValueError("save: expected the optimizer of this network, got another network's")
        arguments = {name: getattr(optimizer, name) for name in optimizer.arguments}
        numbers = {name: float(a) for name, a in arguments.items() if isinstance(a, int | float)}
        description["optimizer"] = [type(optimizer).__name__, numbers, optimizer.t]
    return description


def _plain(layer: Layer) -> dict[str, Any]:
    """A layer's constructor arguments, if JSON gives them back as they are."""
    plain = {}
    for name, value in layer.arguments().items():
        plain[name] = value.item() if isinstance(value, numpy.generic) else value
        try:
            json.dumps(plain[name])
        except TypeError:
            raise TypeError(
                f"save: expected the arguments of {layer} to be numbers, strings or tuples of them, "
                f"got {name}={value!r}"
            ) from None
    return plain


def _arrays(network: Network, optimizer: Optimizer | None) -> dict[str, numpy.ndarray]:
    """Everything that is an array, on the host."""
    home = network.backend
    arrays = {"parameters": network.parameters}
    if optimizer is not None:
        state = {name: value for name, value in optimizer.state().items() if name != "t"}
        arrays |= {f"optimizer/{name}": value for name, value in state.items()}
        for name in optimizer.arguments:
            if not isinstance(getattr(optimizer, name), int | float):
                arrays[f"optimizer/{name}"] = getattr(optimizer, name)
    return {name: home.to_numpy(value) for name, value in arrays.items()}


# What is read


def _rebuild(
    description: Mapping[str, Any],
    arrays: Mapping[str, numpy.ndarray],
    backend: str | Backend,
    dtype: str | None,
    layers: Sequence[type[Layer]],
) -> Checkpoint:
    known = {name: getattr(own_layers, name) for name in own_layers.__all__}
    known |= {layer.__name__: layer for layer in layers}
    unknown = [name for name, _ in description["layers"] if name not in known]
    if unknown:
        raise CheckpointError(
            f"layer {unknown[0]} is not known here: hand its class over, load(..., layers=[{unknown[0]}])"
        )
    stack = [
        known[name](**{k: _untupled(v) for k, v in arguments.items()}) for name, arguments in description["layers"]
    ]
    network = Network(
        stack,
        tuple(description["input_shape"]),
        backend=backend,
        dtype=dtype or description["dtype"],
        seed=description["seed"],
        input_range=tuple(description["input_range"]),
    )
    parameters = arrays["parameters"]
    if parameters.shape != network.parameters.shape:
        raise CheckpointError(f"expected {network.parameters.size} parameters, got {parameters.size}")
    network.parameters[...] = network.backend.asarray(parameters.astype(network.dtype))
    for layer, draws in zip(network.layers, description["draws"], strict=True):
        layer.draws = int(draws)
    return Checkpoint(network, _rebuild_optimizer(description, arrays, network), int(description["epoch"]))


def _rebuild_optimizer(
    description: Mapping[str, Any], arrays: Mapping[str, numpy.ndarray], network: Network
) -> Optimizer | None:
    if "optimizer" not in description:
        return None
    name, numbers, t = description["optimizer"]
    if name not in ("SGD", "Momentum", "Adam"):
        raise CheckpointError(f"checkpoint: optimizer {name} is not known here")
    kind = getattr(own_optimizers, name)
    saved = {key.removeprefix("optimizer/"): value for key, value in arrays.items() if key.startswith("optimizer/")}
    rates = {argument: saved[argument] for argument in kind.arguments if argument in saved}
    optimizer = kind(network, **numbers, **rates)
    optimizer.load_state({"t": t, **saved})
    return optimizer


def _untupled(value: Any) -> Any:
    """JSON knows no tuples."""
    return tuple(value) if isinstance(value, list) else value
