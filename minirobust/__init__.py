"""minirobust: neural networks small enough to read, and a laboratory for how robust they are."""

from typing import TYPE_CHECKING

from minirobust import attacks, backend, models, plots
from minirobust.gradients.check import GradientError, gradcheck
from minirobust.gradients.trace import trace
from minirobust.layers import (
    AvgPool2D,
    Buffer,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPool2D,
    Parameter,
    ReLU,
    Softmax,
    Tanh,
    TemperatureSigmoid,
)
from minirobust.losses import DLR, Margin, ScaleFree, SoftmaxCrossEntropy
from minirobust.masking import audit
from minirobust.measures import regimes, robustness, saliency
from minirobust.neighbours import export_onnx, from_torch
from minirobust.network import Network
from minirobust.nonfinite import NonFiniteError
from minirobust.optimizers import SGD, Adam, Momentum
from minirobust.samples import batches
from minirobust.saving.checkpoint import load, save
from minirobust.saving.sealed import CheckpointError
from minirobust.training import epochs, fit

if TYPE_CHECKING:
    from minirobust.neighbours.sklearn import MLPClassifier

__all__ = [
    "DLR",
    "SGD",
    "Adam",
    "AvgPool2D",
    "Buffer",
    "CheckpointError",
    "Conv2D",
    "Dense",
    "Dropout",
    "Flatten",
    "GradientError",
    "Layer",
    "MLPClassifier",
    "Margin",
    "MaxPool2D",
    "Momentum",
    "Network",
    "NonFiniteError",
    "Parameter",
    "ReLU",
    "ScaleFree",
    "Softmax",
    "SoftmaxCrossEntropy",
    "Tanh",
    "TemperatureSigmoid",
    "attacks",
    "audit",
    "backend",
    "batches",
    "certify",
    "epochs",
    "export_onnx",
    "fit",
    "foreign",
    "from_torch",
    "gradcheck",
    "load",
    "models",
    "plots",
    "regimes",
    "robustness",
    "saliency",
    "save",
    "study",
    "trace",
]


def __getattr__(name: str) -> object:
    """Import what is rarely used, or needs `data_loaders`, when it is first used; look up the version then, too."""
    if name == "__version__":
        from importlib.metadata import version

        return version("minirobust")
    import importlib

    if name == "MLPClassifier":
        return importlib.import_module("minirobust.neighbours.sklearn").MLPClassifier
    if name in ("certify", "foreign", "study"):
        return importlib.import_module(f"minirobust.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names, those that are not imported yet among them."""
    return [*__all__, "__version__"]
