# mistake: no clip
import numpy as np


def fgsm(network, x, y, epsilon, mask):
    gradient = network.input_gradient(x, y)
    return x + epsilon * mask * np.sign(gradient)


def fgvm(network, x, y, epsilon, mask):
    gradient = network.input_gradient(x, y) * mask
    largest = abs(gradient).max(axis=(1, 2, 3), keepdims=True)
    largest[largest == 0] = 1
    return x + epsilon * gradient / largest
