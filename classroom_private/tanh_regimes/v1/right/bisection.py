import numpy as np


def r1(temperature, delta1):
    gap = delta1 * np.sqrt(1 + temperature**-2)
    low, high = gap, gap + 1
    for _ in range(100):
        middle = (low + high) / 2
        if middle - np.tanh(middle) > gap:
            high = middle
        else:
            low = middle
    return temperature * low


def r2(temperature, delta2):
    steepest = 1 / temperature
    if delta2 >= steepest:
        raise ValueError("no such slope")
    return temperature * np.arccosh(np.sqrt(steepest / delta2))


def fractions(net, temperature, delta1, delta2):
    inner, outer = r1(temperature, delta1), r2(temperature, delta2)
    if inner >= outer:
        raise ValueError("nothing between the regimes")
    size = np.abs(net)
    return np.mean(size <= inner), np.mean((inner < size) & (size < outer)), np.mean(outer <= size)
