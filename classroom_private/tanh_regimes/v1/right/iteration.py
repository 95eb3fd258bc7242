import numpy as np


def r1(temperature, delta1):
    """u = tanh(u) + gap is a fixed point, and an iteration finds it."""
    gap = np.hypot(delta1, delta1 / temperature)
    u = 5.0
    for _ in range(2000):
        u = np.tanh(u) + gap
    return u * temperature


def r2(temperature, delta2):
    share = delta2 * temperature
    if share >= 1:
        raise ValueError("the slope is smaller everywhere")
    # A quadratic equation for exp(2 u): sech(u)^2 = 4 e / (1 + e)^2 = share.
    e = (2 - share + 2 * np.sqrt(1 - share)) / share
    return temperature * np.log(e) / 2


def fractions(net, temperature, delta1, delta2):
    a, b = r1(temperature, delta1), r2(temperature, delta2)
    if not a < b:
        raise ValueError(f"r2 = {b} is not above r1 = {a}")
    linear = saturated = 0
    for value in np.nditer(net):
        if -a <= value <= a:
            linear += 1
        elif value <= -b or value >= b:
            saturated += 1
    return linear / net.size, (net.size - linear - saturated) / net.size, saturated / net.size
