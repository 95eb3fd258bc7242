"""Networks with an honest gradient and networks that hide it: for the audit's tests and the table of its margins."""

import numpy as np

import minirobust as mr


def softmax_regression(seed=0):
    return mr.Network([mr.Flatten(), mr.Dense(10)], (28, 28, 1), seed=seed)


def train(network, data, epochs, seed=0):
    """Yields the epochs done so far after each."""
    for record in mr.epochs(network, mr.Adam(network), data, epochs, seed=seed):
        yield record.epoch


def train_adversarially(network, data, epochs, seed=0, epsilon=0.1):
    """Madry's training, written out: every batch is attacked before the network learns from it."""
    x, y = data.train.pixels(), data.train.labels
    optimizer, loss = mr.Adam(network, lr=2e-3), mr.SoftmaxCrossEntropy()
    rng = np.random.default_rng(seed)
    for epoch in range(1, epochs + 1):
        for batch in np.array_split(rng.permutation(len(x)), len(x) // 64):
            images = mr.attacks.pgd(network, x[batch], y[batch], epsilon, steps=5, starts=1).images
            gradient = loss.value_and_gradient(network.forward(images), y[batch])[1]
            network.backward(gradient / len(batch), input_gradient=False)
            optimizer.step()
        yield epoch


class Quantize(mr.Layer):
    """Rounds to a few levels.  Its gradient is 0 wherever there is one; the straight-through one pretends it is 1."""

    def __init__(self, levels=8, straight_through=False):
        self.levels, self.straight_through = levels, straight_through

    def forward(self, x):
        steps = self.levels - 1
        return (x * steps).round() / steps

    def input_gradient(self, grad_y):
        return grad_y if self.straight_through else self.xp.zeros_like(grad_y)


class Blind(mr.Layer):
    """Passes everything on and no gradient back: a gradient zeroed by hand."""

    def forward(self, x):
        return x

    def input_gradient(self, grad_y):
        return self.xp.zeros_like(grad_y)


def louder(network, factor=1000):
    """The same classes, from logits so large that softmax rounds to 0 and 1."""
    loud = network.copy()
    for parameter in loud.layers[-1].parameters:
        parameter.value *= factor
    return loud


def behind(layer, network):
    """The same network with a layer without parameters in front."""
    layers = [layer, *(type(layer)(**layer.arguments()) for layer in network.layers)]
    whole = mr.Network(layers, network.input_shape, backend=network.backend, dtype=network.dtype)
    whole.parameters[...] = network.parameters
    return whole
