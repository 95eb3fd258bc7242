# assignment: tanh_regimes v1
"""Where the activation f(net) = tanh(net / T) is linear, and where it is saturated. NumPy is all you need."""


def r1(temperature, delta1):
    """Return the smallest net > 0 whose point (net, f(net)) is `delta1` away from the tangent of f at 0.

    The distance is the perpendicular one. Compute it to ten digits.
    """
    raise NotImplementedError


def r2(temperature, delta2):
    """Return the net > 0 at which the slope f'(net) is `delta2`.

    Raise ValueError if the slope is below `delta2` everywhere, or reaches it only at 0.
    """
    raise NotImplementedError


def fractions(net, temperature, delta1, delta2):
    """Return three numbers: the fractions of linear, nonlinear and saturated values in the array `net`.

    A value is linear if |net| ≤ r1, saturated if |net| ≥ r2, and nonlinear in between. Raise ValueError if r2 ≤ r1.
    """
    raise NotImplementedError
