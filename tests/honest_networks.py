"""Eleven small networks with honest gradients: no check of the audit may call one of them masked."""

import audited_networks as make

import minirobust as mr


def dense(*hidden):
    """Return the layers of an MLP: each number is a number of units, anything else an activation."""
    units = (mr.Dense(layer) if isinstance(layer, int) else layer for layer in hidden)
    return [mr.Flatten(), *units, mr.Dense(10)]


def small_cnn():
    layers = [mr.Conv2D(8, 5, stride=2), mr.ReLU(), mr.Conv2D(16, 5, stride=2), mr.ReLU()]
    return [*layers, mr.Flatten(), mr.Dense(10)]


def sigmoid_cnn():
    layers = [mr.Conv2D(8, 5), mr.TemperatureSigmoid(1), mr.MaxPool2D(2)]
    return [*layers, mr.Flatten(), mr.Dense(32), mr.TemperatureSigmoid(1), mr.Dense(10)]


# Name: layers, and whether the network is trained adversarially
HONEST = {
    "T = 1/4": (lambda: dense(256, mr.TemperatureSigmoid(1 / 4)), False),
    "T = 1": (lambda: dense(256, mr.TemperatureSigmoid(1)), False),
    "T = 4": (lambda: dense(256, mr.TemperatureSigmoid(4)), False),
    "ReLU": (lambda: dense(256, mr.ReLU()), False),
    "tanh": (lambda: dense(256, mr.Tanh()), False),
    "deep": (lambda: dense(128, mr.ReLU(), 128, mr.ReLU(), 128, mr.ReLU()), False),
    "linear": (dense, False),
    "CNN, ReLU": (small_cnn, False),
    "CNN, sigmoid": (sigmoid_cnn, False),
    "adversarially trained, T = 1": (lambda: dense(128, mr.TemperatureSigmoid(1)), True),
    "adversarially trained, ReLU": (lambda: dense(128, mr.ReLU()), True),
}


def honest(name, data, seed=0, *, backend="numpy", epochs=15):
    """Return one of the networks, trained on digits."""
    layers, adversarially = HONEST[name]
    network = mr.Network(layers(), (28, 28, 1), backend, seed=seed)
    if adversarially:
        for _ in make.train_adversarially(network, data, epochs, seed):
            pass
    else:
        mr.fit(network, mr.Adam(network), data, epochs, seed=seed, progress=False)
    return network
