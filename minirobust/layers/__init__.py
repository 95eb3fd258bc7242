"""The layers: in each, `forward`, `input_gradient` and `parameter_gradients` stand below one another."""

from minirobust.layers.activations import ReLU, Tanh
from minirobust.layers.conv import Conv2D
from minirobust.layers.dense import Dense
from minirobust.layers.dropout import Dropout
from minirobust.layers.flatten import Flatten
from minirobust.layers.layer import Buffer, Layer, Parameter
from minirobust.layers.pooling import AvgPool2D, MaxPool2D
from minirobust.layers.sigmoid import TemperatureSigmoid
from minirobust.layers.softmax import Softmax

__all__ = [
    "AvgPool2D",
    "Buffer",
    "Conv2D",
    "Dense",
    "Dropout",
    "Flatten",
    "Layer",
    "MaxPool2D",
    "Parameter",
    "ReLU",
    "Softmax",
    "Tanh",
    "TemperatureSigmoid",
]
