# mistake: mask of FGVM too late
import numpy as np


def fgsm(network, x, y, epsilon, mask):
    gradient = network.input_gradient(x, y)
    return np.clip(x + epsilon * mask * np.sign(gradient), 0, 1)


def fgvm(network, x, y, epsilon, mask):
    gradient = network.input_gradient(x, y)
    largest = abs(gradient).max(axis=(1, 2, 3), keepdims=True)
    largest[largest == 0] = 1
    return np.clip(x + epsilon * mask * gradient / largest, 0, 1)
