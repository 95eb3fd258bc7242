import numpy as np


def step(x, direction, mask, epsilon):
    moved = np.where(mask, x + epsilon * direction, x)
    return moved.clip(min=0, max=1)


def fgsm(network, x, y, epsilon, mask):
    g = network.input_gradient(x, y)
    direction = 1.0 * (g > 0) - (g < 0)
    return step(x, direction, mask, epsilon)


def fgvm(network, x, y, epsilon, mask):
    g = network.input_gradient(x, y)
    flat = np.where(mask, g, 0).reshape(g.shape[0], -1)
    scale = np.linalg.norm(flat, np.inf, axis=1)
    scale[scale == 0] = 1
    return step(x, g / np.expand_dims(scale, (1, 2, 3)), mask, epsilon)
