"""One network for every layer and kind of padding, with non-default arguments, for tests of modules and files."""

import numpy as np

import minirobust as mr

# Layers and the shape of a sample; a layer that needs a flat input gets one.
CASES = [
    ([mr.Dense(5)], (4,)),
    ([mr.Flatten()], (3, 4, 1)),
    ([mr.Flatten(), mr.Dense(5)], (3, 4, 2)),
    ([mr.Flatten(), mr.Tanh(), mr.Dropout(0.3), mr.Dense(5), mr.ReLU(), mr.Dense(2)], (2, 3, 4)),
    ([mr.Conv2D(3, 3)], (5, 6, 2)),
    ([mr.Conv2D(4, (2, 5), initializer="he_normal")], (9, 6, 1)),
    ([mr.Conv2D(2, (2, 4), stride=3, padding=(1, 2))], (7, 5, 1)),
    ([mr.Conv2D(2, 3, stride=(1, 4), padding=2)], (4, 9, 3)),
    ([mr.Conv2D(3, 3, padding="same")], (4, 7, 2)),
    ([mr.Conv2D(3, (4, 2), padding="same")], (4, 7, 2)),
    ([mr.Conv2D(3, (3, 2), stride=(2, 1), padding="same")], (6, 5, 2)),
    ([mr.Conv2D(2, 1, stride=3, padding="same")], (8, 7, 3)),
    ([mr.MaxPool2D(2)], (5, 7, 3)),
    ([mr.MaxPool2D(3, stride=2, padding=1)], (6, 7, 2)),
    ([mr.MaxPool2D((3, 2), stride=1, padding=(1, 0))], (4, 5, 1)),
    ([mr.AvgPool2D(2)], (5, 7, 3)),
    ([mr.AvgPool2D((3, 2), stride=(1, 2))], (4, 5, 1)),
    ([mr.TemperatureSigmoid(1 / 64)], (40,)),
    ([mr.TemperatureSigmoid(0.3)], (3, 2, 2)),
    ([mr.TemperatureSigmoid(16)], (7,)),
    ([mr.ReLU()], (40,)),
    ([mr.Tanh()], (3, 2, 1)),
    ([mr.Softmax()], (4,)),
    ([mr.Dropout(0.4)], (8,)),
    ([mr.Conv2D(4, 3), mr.ReLU(), mr.MaxPool2D(2), mr.Flatten(), mr.Dense(6), mr.Softmax()], (8, 9, 3)),
]
IDS = [f"{layers!r} on {shape}" for layers, shape in CASES]


def network_of(layers, shape, dtype):
    """Return a network of new layers with random weights, biases among them, which would else be zero."""
    layers = [type(layer)(**layer.arguments()) for layer in layers]
    network = mr.Network(layers, shape, dtype=dtype, input_range=(-50, 50))
    network.parameters = np.random.default_rng(1).normal(0, 0.5, network.parameters.size).astype(dtype)
    return network


def samples_for(network, count=3):
    """Return random samples; those of a temperature sigmoid reach its linear part and its tails."""
    temperature = getattr(network.layers[0], "temperature", 1)
    x = np.random.default_rng(2).standard_normal((count, *network.input_shape))
    return (3 * temperature * x).astype(network.dtype)
