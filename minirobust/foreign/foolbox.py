"""`to_foolbox`: one of our networks for Foolbox's attacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minirobust.foreign.torch import to_torch
from minirobust.model import Model
from minirobust.network import Network

if TYPE_CHECKING:
    from foolbox import PyTorchModel


def to_foolbox(network: Network | Model) -> PyTorchModel:
    """Return a model for Foolbox's attacks that gets logits and gradients from a network.

    Foolbox takes gradients from PyTorch, so this is `to_torch` with the network's input range.  Images are tensors,
    channels first, (N, C, H, W).

    Parameters
    ----------
    network : Network or Model
        A network must end in logits.

    Returns
    -------
    foolbox.PyTorchModel

    Raises
    ------
    ImportError
        If Foolbox or PyTorch is not installed.
    ValueError, TypeError
        If a network does not end in logits, or an object is not a model.
    """
    import foolbox

    return foolbox.PyTorchModel(to_torch(network), bounds=network.input_range, device="cpu")
