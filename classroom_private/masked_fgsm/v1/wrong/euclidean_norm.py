# mistake: Euclidean norm
import numpy as np


def fgsm(network, x, y, epsilon, mask):
    gradient = network.input_gradient(x, y)
    return np.clip(x + epsilon * mask * np.sign(gradient), 0, 1)


def fgvm(network, x, y, epsilon, mask):
    gradient = network.input_gradient(x, y) * mask
    largest = np.sqrt((gradient**2).sum(axis=(1, 2, 3), keepdims=True))
    largest[largest == 0] = 1
    return np.clip(x + epsilon * gradient / largest, 0, 1)
