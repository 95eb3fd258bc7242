"""`save` and `load`: a network and its optimizer in one HDF5 file.

The file holds arrays, JSON and the names of classes. Loading it neither imports nor executes anything: every class
belongs to the library or is passed to `load`. `sealed` writes the file and verifies that it is undamaged.
"""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minirobust import backend as backends
from minirobust import layers as built_in_layers
from minirobust.arguments import normalized, same, shown
from minirobust.backend import Backend
from minirobust.layers import AvgPool2D, Buffer, Layer, Parameter
from minirobust.network import Network
from minirobust.optimizers import SGD, Adam, Momentum, Optimizer
from minirobust.saving import atomic, sealed
from minirobust.saving.sealed import CheckpointError
from minirobust.validation import check_dtype, check_shape, pair

Arrays = dict[str, np.ndarray]
Class = type[Layer] | type[Optimizer]

BUILT_IN: dict[str, Class] = {
    kind.__name__: kind
    for kind in (*vars(built_in_layers).values(), SGD, Momentum, Adam)
    if isinstance(kind, type) and issubclass(kind, Layer | Optimizer) and kind is not Layer
}

ARRAYS = ("parameters", "buffers", "layers", "optimizer")  # what is read from a file; other programs may add to it

# A few bytes of a forged description can demand terabytes or hours. With these limits, `load` refuses it in a second.
MAX_LAYERS = 1_000
MAX_OUTPUT = 2**26  # numbers in one sample's output of one layer: 256 MiB in float32
MAX_AXES = 32  # of the input; the product of a million sizes takes minutes
MAX_WINDOW = 2**18  # pixels in a window of AvgPool2D, which makes a list of them


class Checkpoint(NamedTuple):
    """What `load` returns: ``network, optimizer, epoch = load(path)``.

    Attributes
    ----------
    network : Network
    optimizer : Optimizer or None
        None if the file was saved without one.
    epoch : int
        Number of epochs trained. To continue, call `fit` with ``start=epoch``.
    """

    network: Network
    optimizer: Optimizer | None
    epoch: int


def save(path: str | Path, network: Network, optimizer: Optimizer | None = None, epoch: int = 0) -> None:
    """Write a checkpoint, replacing an existing file atomically.

    Anything that `load` would refuse or lose raises an error before the file is written.

    Parameters
    ----------
    path : path
        By convention, ending in ``.h5``.
    network : Network
    optimizer : Optimizer, optional
        An optimizer made for this network.
    epoch : int, default 0
        Number of epochs trained.

    Raises
    ------
    ValueError, TypeError
        If the optimizer belongs to another network, an argument of a layer or of the optimizer could not be restored (a
        function, for example), or an undeclared attribute would be lost. The message names the owner and the argument
        or attribute.
    AttributeError
        If a parameter or buffer was replaced by another object.
    OSError
        If the folder does not exist or the file cannot be written.

    Examples
    --------
    See `load`.
    """
    sealed.write(Path(path), *pack(network, optimizer, epoch))


def load(
    path: str | Path,
    backend: str | Backend = "numpy",
    dtype: str | None = None,
    classes: Iterable[Class] = (),
) -> Checkpoint:
    """Read a checkpoint.

    Parameters
    ----------
    path : path
    backend : str or Backend, default "numpy"
        Backend of the loaded network, which may differ from that of the saved one.
    dtype : {"float32", "float64"}, optional
        By default, the saved network's.
    classes : sequence of Layer and Optimizer subclasses, optional
        The custom classes that the file uses. A class is found by its module and name, or by its name alone if that is
        unambiguous, because a script saves its classes under the module ``__main__``.

    Returns
    -------
    Checkpoint
        (network, optimizer, epoch)

    Raises
    ------
    FileNotFoundError
        If there is no file.
    CheckpointError
        If the file is not a checkpoint, is truncated, damaged or from a newer version, uses a class that was not
        passed, has arrays that do not fit its layers, or describes a network of more than `MAX_LAYERS` layers or with
        an output of more than `MAX_OUTPUT` numbers.
    ValueError, TypeError, BackendError
        If another argument is wrong.

    Examples
    --------
    >>> import tempfile, minirobust as mr
    >>> net = mr.Network([mr.Dense(2)], input_shape=(3,))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     mr.save(f"{folder}/net.h5", net)
    ...     loaded = mr.load(f"{folder}/net.h5").network
    >>> bool((loaded.parameters == net.parameters).all())
    True
    """
    path = Path(path)
    return unpack(path, *sealed.read(path, ARRAYS), backend, dtype, classes)


def check_saveable(network: Network, optimizer: Optimizer | None, path: str | Path) -> None:
    """Raise what `save` would raise, before any work is done that would be lost."""
    pack(network, optimizer)
    atomic.check_writable(Path(path))


def pack(network: Network, optimizer: Optimizer | None = None, epoch: int = 0) -> tuple[dict[str, Any], Arrays]:
    """Return the description and the arrays of a checkpoint, to which a caller may add entries.

    See `save` for the arguments and errors.
    """
    network.check_states()
    if optimizer is not None and optimizer.network is not network:
        raise ValueError("save: expected the optimizer of this network, got another network's")
    description, arrays = _network_entries(network)
    description["epoch"] = operator.index(epoch)
    if optimizer is not None:
        description["optimizer"], averages = _optimizer_entries(optimizer)
        arrays |= averages
    # Load it before writing it, so that nothing is saved that cannot be rebuilt or would be changed.
    classes = _by_reference({_class(part) for part in (*network.layers, optimizer) if part is not None})
    try:
        twin = _rebuild(json.loads(json.dumps(description)), arrays, network.backend, None, classes)
    except CheckpointError as error:
        raise ValueError(f"save: the file could not be loaded: {error}") from error
    _expect_same(network, optimizer, twin)
    return description, arrays


def unpack(
    path: Path,
    description: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    backend: str | Backend = "numpy",
    dtype: str | None = None,
    classes: Iterable[Class] = (),
) -> Checkpoint:
    """Return the checkpoint that `sealed.read` read from `path`. See `load` for the arguments and errors."""
    known, backend = _by_reference(classes), backends.get(backend)
    dtype = None if dtype is None else check_dtype(dtype)
    try:
        return _rebuild(description, arrays, backend, dtype, known)
    except CheckpointError as error:
        raise CheckpointError(f"checkpoint {path}: {error}") from error


# Write


def _network_entries(network: Network) -> tuple[dict[str, Any], Arrays]:
    """Return a network as JSON and arrays."""
    to_numpy = network.backend.to_numpy
    arrays = {"parameters": to_numpy(network.parameters), "buffers": to_numpy(network.buffers)}
    layers = []
    for layer in network.layers:
        plain, large = _split(layer, layer.arguments())
        layers.append([_reference(_class(layer)), plain])
        arrays |= {f"layers/{layer.index}/{name}": array for name, array in large.items()}
    description = {
        "version": sealed.VERSION,
        "layers": layers,
        "draws": [layer.draws for layer in network.layers],
        "input_shape": list(network.input_shape),
        "dtype": network.dtype,
        "seed": network.seed,
        "input_range": list(network.input_range),
    }
    return description, arrays


def _optimizer_entries(optimizer: Optimizer) -> tuple[list[Any], Arrays]:
    """Return an optimizer as JSON and arrays."""
    state = optimizer.state()
    t = state.pop("t")
    plain, large = _split(optimizer, _optimizer_arguments(optimizer))
    to_numpy = optimizer.network.backend.to_numpy
    arrays = {f"optimizer/{name}": to_numpy(array) for name, array in (state | large).items()}
    return [_reference(type(optimizer)), plain, t], arrays


def _optimizer_arguments(optimizer: Optimizer) -> dict[str, Any]:
    """Return an optimizer's constructor arguments except for the network, with arrays on the host."""
    missing = [name for name in optimizer.arguments if not hasattr(optimizer, name)]
    if missing:
        raise TypeError(
            f"save: expected {type(optimizer).__name__} to store its argument {missing[0]!r} as self.{missing[0]}, "
            "found no such attribute"
        )
    backend = optimizer.network.backend
    arguments = {name: getattr(optimizer, name) for name in optimizer.arguments}
    return {name: backend.to_numpy(value) if backend.owns(value) else value for name, value in arguments.items()}


def _split(owner: Layer | Optimizer, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], Arrays]:
    """Split constructor arguments into those that JSON can represent and those that are arrays."""
    plain, arrays = {}, {}
    for name, value in arguments.items():
        value = normalized(value)
        if type(value) is np.ndarray and value.dtype.kind in "biufc":
            arrays[name] = value
        elif _is_plain(value):
            plain[name] = value
        else:
            raise TypeError(
                f"save: expected the argument {name!r} of {owner} to be None, text, a finite number, a NumPy array, or "
                f"a tuple or dictionary (with text as keys) of text and finite numbers, got {shown(value)}: "
                "pass a name or numbers from which the class can create it"
            )
    return plain, arrays


def _is_plain(value: object) -> bool:
    """Return whether JSON restores a value exactly, once its lists are converted to tuples."""
    if type(value) is tuple:
        return all(map(_is_plain, value))
    if type(value) is dict:
        return all(type(key) is str for key in value) and all(map(_is_plain, value.values()))
    return value is None or type(value) in (bool, int, str) or (type(value) is float and math.isfinite(value))


def _expect_same(network: Network, optimizer: Optimizer | None, twin: Checkpoint) -> None:
    """Raise TypeError if the network or optimizer differs from `twin`, which was built from its checkpoint."""
    for layer, other in zip(network.layers, twin.network.layers, strict=True):
        _expect_kept(layer, layer.arguments(), other.arguments())
    network.expect_declared(twin.network)
    if optimizer is None:
        return
    assert twin.optimizer is not None
    _expect_kept(optimizer, _optimizer_arguments(optimizer), _optimizer_arguments(twin.optimizer))
    kept = vars(twin.optimizer)
    for name, value in vars(optimizer).items():
        if name != "network" and (name not in kept or not same(value, kept[name])):
            raise TypeError(
                f"{type(optimizer).__name__}: the attribute {name!r} would be lost: make it a constructor argument "
                f"that `arguments` names, or a running average, self.average({name!r}), that is changed in place"
            )


def _expect_kept(owner: Layer | Optimizer, given: Mapping[str, Any], kept: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if not same(normalized(value), normalized(kept[name])):
            raise TypeError(
                f"save: expected the constructor of {owner} to keep its argument {name!r} as it is, but given "
                f"{shown(value)} it keeps {shown(kept[name])}"
            )


# Read


def _rebuild(
    description: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    backend: Backend,
    dtype: str | None,
    classes: Mapping[str, Class],
) -> Checkpoint:
    """Return what a description and arrays describe; raise CheckpointError if anything is wrong with them."""
    try:
        network = _rebuild_network(description, arrays, backend, dtype, classes)
        optimizer = _rebuild_optimizer(description, arrays, network, classes)
        return Checkpoint(network, optimizer, _count("epoch", description["epoch"]))
    except CheckpointError:
        raise
    except Exception as error:  # A file may be forged, and a custom class may raise anything.
        raise CheckpointError(f"cannot be rebuilt: {type(error).__name__}: {error}") from error


def _rebuild_network(
    description: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    backend: Backend,
    dtype: str | None,
    classes: Mapping[str, Class],
) -> Network:
    arrays = {"buffers": np.zeros(0), **arrays}  # minirobust 0.1 had no buffers
    layers = _new_layers(description, arrays, classes)
    if len(description["input_shape"]) > MAX_AXES:
        raise CheckpointError(f"expected input_shape of at most {MAX_AXES} axes, got {len(description['input_shape'])}")
    input_shape = check_shape(_tuples(description["input_shape"]))
    _check_sizes([layer.fresh() for layer in layers], input_shape, arrays, backend)
    network = Network(
        layers,
        input_shape,
        backend=backend,
        dtype=dtype or description["dtype"],
        seed=description["seed"],
        input_range=_tuples(description["input_range"]),
    )
    network.parameters = arrays["parameters"].astype(network.dtype)
    network.buffers = arrays["buffers"].astype(network.dtype)
    for layer, draws in zip(network.layers, description["draws"], strict=True):
        layer.draws = _count(f"draws of layer {layer.index}", draws)
    return network


def _new_layers(
    description: Mapping[str, Any], arrays: Mapping[str, np.ndarray], classes: Mapping[str, Class]
) -> list[Layer]:
    """Return the layers in a description, before they join a network."""
    references = [reference for reference, _ in description["layers"]]
    if len(references) > MAX_LAYERS:
        raise CheckpointError(f"expected at most {MAX_LAYERS:,} layers, got {len(references):,}")
    version = description.get("version", 1)
    layers = []
    for index, (reference, plain) in enumerate(description["layers"]):
        kind = _find_class(reference, references, Layer, classes, version)
        layers.append(kind(**_tuples(plain), **_below(f"layers/{index}/", arrays)))
    return layers


def _check_sizes(
    layers: Sequence[Layer], shape: tuple[int, ...], arrays: Mapping[str, np.ndarray], backend: Backend
) -> None:
    """Raise CheckpointError unless the layers fit the saved arrays and stay within the limits.

    The layers do not join a network, so nothing is allocated for their parameters and buffers.
    """
    sizes = dict.fromkeys((Parameter, Buffer), 0)
    for index, layer in enumerate(layers):
        if isinstance(layer, AvgPool2D) and math.prod(pair(layer.window)) > MAX_WINDOW:
            raise CheckpointError(f"expected a window of at most {MAX_WINDOW:,} pixels in layer {index}, got {layer}")
        layer.join(index, shape, backend, "float32", seed=0)
        shape = layer.output_shape
        if math.prod(shape) > MAX_OUTPUT:
            raise CheckpointError(f"expected at most {MAX_OUTPUT:,} numbers as output of {layer}, got shape {shape}")
        for kind in sizes:
            sizes[kind] += sum(math.prod(state.shape) for state in layer.states(kind))
    _check_floats("parameters", arrays["parameters"], (sizes[Parameter],))
    _check_floats("buffers", arrays["buffers"], (sizes[Buffer],))


def _rebuild_optimizer(
    description: Mapping[str, Any], arrays: Mapping[str, np.ndarray], network: Network, classes: Mapping[str, Class]
) -> Optimizer | None:
    if "optimizer" not in description:
        return None
    reference, plain, t = description["optimizer"]
    version = description.get("version", 1)
    kind = _find_class(reference, [reference], Optimizer, classes, version)
    saved = _below("optimizer/", arrays)
    rates = {name: saved.pop(name) for name in kind.arguments if name in saved}
    optimizer = kind(network, **_tuples(plain), **rates)
    if version == 1 and t == 0:  # minirobust 0.1 had no averages before the first step.
        return optimizer
    if saved.keys() != optimizer.averages.keys():
        raise CheckpointError(f"expected the averages {list(optimizer.averages)} of {reference}, got {list(saved)}")
    shape = network.parameters.shape
    for name, array in saved.items():
        _check_floats(f"optimizer/{name}", array, shape)
    averages = {name: array.astype(network.dtype) for name, array in saved.items()}
    optimizer.load_state({"t": _count("t", t), **averages})
    return optimizer


def _tuples(value: Any) -> Any:
    """Convert the lists in a value from JSON, which has no tuples, to tuples."""
    if isinstance(value, list):
        return tuple(map(_tuples, value))
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return value


def _below(prefix: str, arrays: Mapping[str, np.ndarray]) -> Arrays:
    """Return the arrays of one group of the file."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _check_floats(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raise CheckpointError unless an array has exactly this shape; NumPy would silently broadcast others."""
    if array.shape != shape or array.dtype.kind != "f":
        raise CheckpointError(f"expected {name} to be floats of shape {shape}, got {array.dtype} of {array.shape}")


def _count(name: str, value: object) -> int:
    if type(value) is not int or value < 0:
        raise CheckpointError(f"expected {name} to be a whole number of at least 0, got {value!r}")
    return value


# Names of classes


def _class(part: Layer | Optimizer) -> type:
    """Return the class of a layer or an optimizer, even inside `trace`, which replaces a layer's class temporarily."""
    return getattr(type(part), "recorded_class", type(part))


def _reference(kind: type) -> str:
    """Return a file's reference to a class: the name of a built-in class, or ``module:qualname`` of any other."""
    return kind.__name__ if BUILT_IN.get(kind.__name__) is kind else f"{kind.__module__}:{kind.__qualname__}"


def _by_reference(classes: Iterable[Class]) -> dict[str, Class]:
    """Return classes by their references in files."""
    if not isinstance(classes, Iterable):
        raise TypeError(f"classes: expected a sequence of classes, got {classes!r}: put it into a list")
    found: dict[str, Class] = {}
    for kind in classes:
        if not isinstance(kind, type) or not issubclass(kind, Layer | Optimizer):
            raise TypeError(f"classes: expected subclasses of Layer and Optimizer, got {kind!r}")
        if found.setdefault(_reference(kind), kind) is not kind:
            raise ValueError(
                f"classes: expected one class of each name, got two called {_reference(kind)}: rename one of them"
            )
    return found


def _find_class(
    reference: str, references: Sequence[str], base: Class, classes: Mapping[str, Class], version: int
) -> Any:
    """Return the class for one of a file's `references`.

    The name of a built-in class refers to that class. Any other reference is to the custom class of that module and
    name. If there is none, the only custom class of that name is used, unless another of the `references` is to it.
    Version 1, of minirobust 0.1, stored no modules and preferred custom classes to built-ins.

    Raises
    ------
    CheckpointError
        If there is no such class, or it could be one of several.
    """
    known = {name: kind for name, kind in {**BUILT_IN, **classes}.items() if issubclass(kind, base)}
    custom = {name: kind for name, kind in known.items() if name not in BUILT_IN}
    exact = [known[reference]] if reference in known else []
    module, _, name = reference.rpartition(":")
    if version == 1:
        found = [kind for kind in custom.values() if kind.__name__ == name] or exact
    elif exact:
        found = exact
    else:
        found = [kind for other, kind in custom.items() if kind.__qualname__ == name and other not in references]
        rivals = {other for other in references if other not in known and other.rpartition(":")[2] == name}
        found = found if rivals == {reference} else []
    if len(found) != 1:
        of_module = f" of the module {module}" if module else ""
        got = " and ".join(map(_reference, found)) or "none"
        raise CheckpointError(
            f"expected the {base.__name__.lower()} class {name}{of_module}, got {got}: "
            f"pass that class, load(path, classes=[{name.rpartition('.')[2]}])"
        )
    return found[0]
