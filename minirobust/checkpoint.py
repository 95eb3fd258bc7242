"""`save` and `load`: a network and its optimizer in one HDF5 file.

The file holds numbers and JSON, and loading it executes nothing: layers are looked up by name among the library's own
and those handed to `load`.  It is written under a temporary name and moved into place, so that a path holds the old
checkpoint or the new one and never half of either.

In front of the HDF5 data, in what that format calls the user block, stands a line with a name, a version and the
SHA-256 of everything behind it.  A file that was cut, damaged or made by somebody else is told by that line, before the
HDF5 library, which a single wrong bit can send into an endless loop, sees any of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedRandom, BufferedReader
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import numpy

from minirobust import layers as own_layers
from minirobust import optimizers as own_optimizers
from minirobust.backend import Backend
from minirobust.layers import Layer
from minirobust.network import Network
from minirobust.optimizers import Optimizer

FORMAT = "minirobust checkpoint"
VERSION = 1
SEAL = 512  # bytes of the user block; HDF5 asks for a power of two from 512


class CheckpointError(ValueError):
    """A file that is no checkpoint, not a whole one, or a newer one than this version reads."""


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
    description = _description(network, optimizer, epoch)
    arrays = _arrays(network, optimizer)
    import h5py

    with _ctrl_c_held_back(), _replacing(Path(path)) as temporary:
        with h5py.File(temporary, "x", userblock_size=SEAL) as file:
            file.attrs["description"] = json.dumps(description)
            for name, array in arrays.items():
                file.create_dataset(name, data=array)
        _seal(temporary)


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
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"checkpoint: no file at {path}")
    try:
        description, arrays = _read(path)
        return _rebuild(description, arrays, backend, dtype, layers)
    except CheckpointError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"checkpoint {path}: cannot be rebuilt: {error}") from error


def check_saveable(network: Network, optimizer: Optimizer | None, path: str | Path) -> None:
    """Raises what `save` would raise, before any work is done that could be lost."""
    _description(network, optimizer, 0)
    temporary = _temporary(Path(path))
    temporary.touch()
    temporary.unlink()


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


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` whose file takes its place when the block ends well, and is gone when it does not."""
    temporary = _temporary(path)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    """The name, cleared of what a process that was killed may have left there."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"save: expected an existing folder, got {path.parent}")
    if path.is_dir():
        raise IsADirectoryError(f"save: expected the name of a file, got the folder {path}")
    temporary = path.with_name(f".{path.name}.part")
    temporary.unlink(missing_ok=True)
    return temporary


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Lets Ctrl-C take effect after the block: a KeyboardInterrupt in one of h5py's callbacks would be lost."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or handler is None:
        yield
        return
    pressed = False

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True

    signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if pressed:
            signal.raise_signal(signal.SIGINT)


# The line in front


def _seal(path: Path) -> None:
    """Writes the line that says what the file is, and that it is whole."""
    with path.open("r+b") as file:
        line = f"{FORMAT} {VERSION} {_digest(file)}\n"
        file.seek(0)
        file.write(line.encode("ascii"))


def _digest(file: BufferedReader | BufferedRandom) -> str:
    """The SHA-256 of everything behind the user block."""
    file.seek(SEAL)
    return hashlib.file_digest(file, "sha256").hexdigest()


def _check_seal(path: Path) -> None:
    """Raises CheckpointError unless the file is a whole checkpoint of a version that is known."""
    with path.open("rb") as file:
        line = file.read(SEAL).split(b"\n")[0].decode("ascii", errors="replace")
        name, _, rest = line.partition(f"{FORMAT} ")
        version, _, digest = rest.partition(" ")
        if name or not version.isdecimal():
            raise CheckpointError(f"checkpoint {path}: expected a {FORMAT}, got another kind of file")
        if int(version) > VERSION:
            raise CheckpointError(
                f"checkpoint {path}: expected version {VERSION} or older, got {version}: update minirobust"
            )
        if int(version) < 1:
            raise CheckpointError(f"checkpoint {path}: expected version 1 to {VERSION}, got {version}")
        if digest != _digest(file):
            raise CheckpointError(f"checkpoint {path}: truncated or damaged: its checksum does not fit")


# What is read


def _read(path: Path) -> tuple[dict[str, Any], dict[str, numpy.ndarray]]:
    _check_seal(path)
    import h5py

    with h5py.File(path, "r") as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        return json.loads(file.attrs["description"]), {name: file[name][...] for name in names}


def _rebuild(
    description: dict[str, Any],
    arrays: dict[str, numpy.ndarray],
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
    description: dict[str, Any], arrays: dict[str, numpy.ndarray], network: Network
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
