"""minirobust: neural networks small enough to read, and a laboratory for how robust they are."""

from minirobust import attacks, backend, models, plots, regimes, robustness, saliency, study
from minirobust.checkpoint import load, save
from minirobust.gradient_check import GradientError, gradcheck
from minirobust.layers import (
    AvgPool2D,
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
from minirobust.losses import Margin, SoftmaxCrossEntropy
from minirobust.masking import audit
from minirobust.network import Network
from minirobust.optimizers import SGD, Adam, Momentum
from minirobust.tracing import trace
from minirobust.training import fit

__all__ = [
    "SGD",
    "Adam",
    "AvgPool2D",
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
    "Parameter",
    "ReLU",
    "Softmax",
    "SoftmaxCrossEntropy",
    "Tanh",
    "TemperatureSigmoid",
    "attacks",
    "audit",
    "backend",
    "fit",
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
