"""`to_torch` and `from_torch`: a network as a PyTorch module, and a PyTorch module as a network.

Images are channels first in PyTorch, (N, C, H, W), and channels last here, (N, H, W, C).  A `Flatten` therefore gives
the same numbers in a different order, and the weights of the next layer are reordered to match.  `torch_modules`
defines which module corresponds to which layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from minirobust.backend import Backend
from minirobust.layers import Dense, Dropout, Flatten, ReLU, Tanh, TemperatureSigmoid
from minirobust.neighbours.optional import import_optional
from minirobust.network import Network
from minirobust.validation import check_shape

if TYPE_CHECKING:
    from torch import nn

ELEMENTWISE = (Dropout, ReLU, Tanh, TemperatureSigmoid)  # the order of features makes no difference to them


def to_torch(network: Network) -> nn.Sequential:
    """Return a PyTorch module with the same layers and a copy of the weights.

    The module computes what the network does, and can be trained, saved and exported like any other.  It takes images
    channels first, (N, C, H, W), and inputs of any other shape unchanged.  Where the network flattens images with
    several channels, the columns of the next `Linear` are reordered, because PyTorch flattens channels first.

    Parameters
    ----------
    network : Network

    Returns
    -------
    torch.nn.Sequential
        In evaluation mode, on the CPU, and in the network's dtype.  Its attributes `input_shape` and `input_range` are
        the network's; `from_torch` reads them.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    ValueError, TypeError
        If PyTorch has no counterpart of a layer; the message names it.

    See Also
    --------
    minirobust.foreign.to_torch : A module that calls the network itself, with any layers, for other libraries' attacks.
    """
    torch = import_optional("torch", "to_torch", "torch")
    from minirobust.neighbours import torch_modules

    network.check_states()
    orders = _feature_orders("to_torch", network)
    parts = [part for layer in network.layers for part in torch_modules.from_layer(layer, orders.get(layer.index))]
    module: nn.Sequential = torch.nn.Sequential(*parts).eval()
    module.input_shape, module.input_range = network.input_shape, network.input_range
    return module


def from_torch(
    module: nn.Module,
    input_shape: int | Sequence[int] | None = None,
    *,
    input_range: tuple[float, float] | None = None,
    backend: str | Backend = "numpy",
) -> Network:
    """Return a network with the layers of a PyTorch module and a copy of its weights.

    The network takes images channels last, (N, H, W, C).  Where the module flattens images with several channels, the
    rows of the next `Dense` are reordered.  The module does not change.

    Parameters
    ----------
    module : torch.nn.Module
        A `Sequential`, nested or not, or a single layer.
    input_shape : int or sequence of int, optional
        Shape of one sample, channels last: (H, W, C) for images, else (features,).  By default, it is the attribute of
        that name, which `to_torch` sets, or the input size of a `Linear` at the beginning.
    input_range : (float, float), optional
        By default, the attribute of that name, else (0, 1).
    backend : str or Backend, default "numpy"
        See `Network`.

    Returns
    -------
    Network
        In the dtype of the module's parameters.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    ValueError, TypeError
        If a part of the module has no counterpart here, or an argument is wrong; the message names the part.

    Examples
    --------
    ::

        net = mr.from_torch(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10)), (28, 28, 1))
    """
    torch = import_optional("torch", "from_torch", "torch")
    from minirobust.neighbours import torch_modules

    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"from_torch: expected a torch.nn.Module, got {module!r}")
    found = list(torch_modules.to_layers(module))
    if input_shape is None:
        input_shape = getattr(module, "input_shape", None) or torch_modules.first_features(found)
    if input_range is None:
        input_range = getattr(module, "input_range", (0.0, 1.0))
    dtype = torch_modules.common_dtype(module)
    network = Network([each.layer for each in found], check_shape(input_shape), backend, dtype, input_range=input_range)
    orders = _feature_orders("from_torch", network)
    for each in found:
        each.copy_weights(orders.get(each.layer.index))
    return network


def _feature_orders(owner: str, network: Network) -> dict[int, np.ndarray]:
    """Return, by index, PyTorch's order of the inputs of each `Dense` for which it differs from ours.

    Raises
    ------
    ValueError
        If a flattened image reaches a layer, or the output, that cannot be reordered.
    """
    orders: dict[int, np.ndarray] = {}
    order = None
    for layer in network.layers:
        if isinstance(layer, Flatten) and len(layer.input_shape) == 3:
            ours = np.arange(layer.output_shape[0]).reshape(layer.input_shape)
            theirs = ours.transpose(2, 0, 1).ravel()
            order = None if np.array_equal(theirs, ours.ravel()) else theirs
        elif order is not None and isinstance(layer, Dense):
            orders[layer.index], order = order, None
        elif order is not None and not isinstance(layer, (*ELEMENTWISE, Flatten)):
            raise ValueError(f"{owner}: {layer}: expected Dense after Flatten of images with several channels")
    if order is not None:
        raise ValueError(f"{owner}: expected Dense after Flatten of images with several channels, got none")
    return orders
