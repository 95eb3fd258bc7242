# mistake: batch maximum
import numpy as np


def fgsm(network, x, y, epsilon, mask):
    gradient = network.input_gradient(x, y)
    return np.clip(x + epsilon * mask * np.sign(gradient), 0, 1)


def fgvm(network, x, y, epsilon, mask):
    gradient = network.input_gradient(x, y) * mask
    largest = abs(gradient).max()
    return np.clip(x + epsilon * gradient / largest, 0, 1)
