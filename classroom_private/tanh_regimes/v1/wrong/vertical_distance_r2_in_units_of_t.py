# mistake: vertical distance + r2 in units of T
import numpy as np


def r1(temperature, delta1):
    slope = 1 / temperature
    low, high = 0.0, 2.0
    while np.tanh(high) > high - delta1 * np.sqrt(1 + slope**2):
        high = 2 * high
    for _ in range(200):
        u = (low + high) / 2
        distance = u - np.tanh(u)
        if distance < delta1:
            low = u
        else:
            high = u
    return temperature * u


def r2(temperature, delta2):
    if temperature * delta2 >= 1:
        raise ValueError("no r2")
    return np.arccosh(1 / np.sqrt(temperature * delta2))


def fractions(net, temperature, delta1, delta2):
    a = r1(temperature, delta1)
    b = r2(temperature, delta2)
    if b <= a:
        raise ValueError("r2 <= r1")
    linear = (abs(net) <= a).mean()
    saturated = (abs(net) >= b).mean()
    return linear, 1 - linear - saturated, saturated
