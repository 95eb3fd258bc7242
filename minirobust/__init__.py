"""minirobust: neural networks small enough to read, and a laboratory for how robust they are."""

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
from minirobust.network import Network
from minirobust.nonfinite import NonFiniteError
from minirobust.optimizers import SGD, Adam, Momentum
from minirobust.samples import batches
from minirobust.saving.checkpoint import load, save
from minirobust.saving.sealed import CheckpointError
from minirobust.training import epochs, fit

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
    "fit",
    "foreign",
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
    if name not in ("certify", "foreign", "study"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return importlib.import_module(f"minirobust.{name}")


def __dir__() -> list[str]:
    """Return the public names, those that are not imported yet among them."""
    return [*__all__, "__version__"]
