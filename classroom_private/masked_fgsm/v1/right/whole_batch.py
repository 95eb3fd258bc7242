import numpy as np


def fgsm(network, x, y, epsilon, mask):
    slope = network.input_gradient(x, y)
    return np.clip(x + epsilon * mask * np.sign(slope), 0, 1)


def fgvm(network, x, y, epsilon, mask):
    ascent = mask * network.input_gradient(x, y)
    largest = np.abs(ascent).max(keepdims=True, axis=(-3, -2, -1))
    ascent = np.divide(ascent, largest, out=np.zeros_like(ascent), where=largest > 0)
    return np.clip(x + epsilon * ascent, 0, 1)
