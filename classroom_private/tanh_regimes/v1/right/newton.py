import math

import numpy as np


def r1(temperature, delta1):
    gap = delta1 / math.cos(math.atan(1 / temperature))
    u = gap + 1
    for _ in range(60):
        t = math.tanh(u)
        u -= (u - t - gap) / t**2
    return u * temperature


def r2(temperature, delta2):
    # tanh'(u) = 1 - tanh(u)^2 = T delta2
    t = math.sqrt(1 - temperature * delta2)
    if t == 0:
        raise ValueError
    # artanh(t), without the loss of digits near 1
    return temperature * math.log((1 + t) / math.sqrt(temperature * delta2))


def fractions(net, temperature, delta1, delta2):
    borders = [r1(temperature, delta1), r2(temperature, delta2)]
    if borders != sorted(set(borders)):
        raise ValueError
    regime = np.digitize(abs(net).ravel(), borders)
    return tuple(np.bincount(regime, minlength=3) / regime.size)
